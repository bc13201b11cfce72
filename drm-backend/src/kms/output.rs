//! Outputs: connectors as an application sees them.

use std::sync::Arc;

use dmashare::Fourcc;

use crate::error::ModeError;
use crate::kms::connector::{Connector, ConnectorStatus};
use crate::kms::format_set::FormatSet;
use crate::kms::mode;
use crate::kms::mode::Mode;
use crate::kms::plane::Plane;

/// Identifier of an output on its card: the KMS object id of the connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutputId(u32);

impl OutputId {
    pub(crate) fn new(connector: u32) -> Self {
        Self(connector)
    }

    /// The KMS object id of the connector.
    pub fn as_raw(self) -> u32 {
        self.0
    }
}

/// State of an output when [`Card::outputs`](crate::Card::outputs) was called. Clones share it.
#[derive(Clone, Debug)]
pub struct Output {
    inner: Arc<OutputInner>,
}

#[derive(Debug)]
struct OutputInner {
    connector: Arc<Connector>,
    status: ConnectorStatus,
    primary: Option<Plane>,
    planes: Vec<Plane>,
    writeback_formats: Option<Vec<Fourcc>>,
    no_formats: FormatSet,
}

impl Output {
    pub(crate) fn new(
        connector: Arc<Connector>,
        status: ConnectorStatus,
        primary: Option<Plane>,
        planes: Vec<Plane>,
        writeback_formats: Option<Vec<Fourcc>>,
    ) -> Self {
        Self {
            inner: Arc::new(OutputInner {
                connector,
                status,
                primary,
                planes,
                writeback_formats,
                no_formats: FormatSet::default(),
            }),
        }
    }

    pub(crate) fn connector(&self) -> &Arc<Connector> {
        &self.inner.connector
    }

    /// Identifier of the output.
    pub fn id(&self) -> OutputId {
        OutputId(self.inner.connector.id)
    }

    /// Kernel name of the connector, such as "HDMI-A-1" or "Virtual-1".
    pub fn name(&self) -> &str {
        &self.inner.connector.name
    }

    /// Whether a display is connected.
    pub fn is_connected(&self) -> bool {
        self.inner.status.connected
    }

    /// Width and height of the screen in millimetres, if the display reports them.
    pub fn millimetres(&self) -> Option<(u32, u32)> {
        self.inner.status.millimetres
    }

    /// The modes that both display and driver support.
    pub fn modes(&self) -> &[Mode] {
        &self.inner.status.modes
    }

    /// The preferred mode of the display, or else its first mode.
    pub fn preferred_mode(&self) -> Option<Mode> {
        mode::preferred(self.modes())
    }

    /// The mode that `text` names: `preferred`, `1920x1080` (the preferred mode of that size, or else
    /// the one with the highest refresh rate) or `1920x1080@60`.
    ///
    /// # Errors
    /// - [`ModeError::NotAMode`]: `text` has another form.
    /// - [`ModeError::NoSuchMode`]: the output has no such mode; the error lists its modes.
    pub fn mode(&self, text: &str) -> Result<Mode, ModeError> {
        mode::find(self.name(), self.modes(), text)
    }

    /// The plane that [`PlaneCommit::primary`](crate::PlaneCommit::primary) uses; `None` if the output
    /// is not connected or has no CRTC.
    pub fn primary_plane(&self) -> Option<&Plane> {
        self.inner.primary.as_ref()
    }

    /// All planes that can be used on this output; empty if it has no CRTC.
    pub fn planes(&self) -> &[Plane] {
        &self.inner.planes
    }

    /// The formats of the primary plane; empty if there is none.
    pub fn formats(&self) -> &FormatSet {
        self.inner
            .primary
            .as_ref()
            .map_or(&self.inner.no_formats, Plane::formats)
    }

    /// Whether the output supports writeback.
    pub fn has_writeback(&self) -> bool {
        self.inner.writeback_formats.is_some()
    }

    /// The supported writeback formats (`WRITEBACK_PIXEL_FORMATS`).
    pub fn writeback_formats(&self) -> &[Fourcc] {
        self.inner.writeback_formats.as_deref().unwrap_or(&[])
    }
}
