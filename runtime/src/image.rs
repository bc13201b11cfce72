//! The description of an image: format, extent, layout. Plain data, checked when it is made.

pub(crate) mod buffer_desc;
pub(crate) mod damage;
pub(crate) mod extent;
pub(crate) mod format_info;
pub(crate) mod fourcc;
pub(crate) mod hdr_metadata;
pub(crate) mod layout;
pub(crate) mod layout_error;
pub(crate) mod modifier;
pub(crate) mod rectangle;
