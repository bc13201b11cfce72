//! KMS objects as the kernel reports them: outputs, planes, modes, properties, formats.

pub(crate) mod appearance;
pub(crate) mod blob;
pub(crate) mod capabilities;
pub(crate) mod connector;
pub(crate) mod crtc_assignment;
pub(crate) mod format_set;
pub(crate) mod in_formats;
pub(crate) mod mode;
pub(crate) mod optional_properties;
pub(crate) mod output;
pub(crate) mod plane;
pub(crate) mod property;
pub(crate) mod request;
pub(crate) mod resources;
pub(crate) mod rotation;
pub(crate) mod snapshot;
