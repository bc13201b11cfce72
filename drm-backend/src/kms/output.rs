//! Outputs: connectors as an application sees them.

use std::sync::Arc;

use dmashare::Fourcc;

use crate::error::ModeError;
use crate::kms::connector::{Connector, ConnectorStatus};
use crate::kms::format_set::FormatSet;
use crate::kms::mode;
use crate::kms::mode::Mode;
use crate::kms::plane::Plane;

/// Identity of an output on its card: the connector's KMS object id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutputId(u32);

impl OutputId {
    pub(crate) fn new(connector: u32) -> Self {
        Self(connector)
    }

    /// The connector's object id.
    pub fn as_raw(self) -> u32 {
        self.0
    }
}

/// An output as it was when [`Card::outputs`](crate::Card::outputs) was called. Clones share it.
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

    /// Which output of the card it is.
    pub fn id(&self) -> OutputId {
        OutputId(self.inner.connector.id)
    }

    /// The connector's name, as the kernel gives it: "HDMI-A-1", "Virtual-1".
    pub fn name(&self) -> &str {
        &self.inner.connector.name
    }

    /// Whether a display is plugged in.
    pub fn is_connected(&self) -> bool {
        self.inner.status.connected
    }

    /// Width and height of the screen in millimetres, if it tells.
    pub fn millimetres(&self) -> Option<(u32, u32)> {
        self.inner.status.millimetres
    }

    /// The modes that the display and the driver can do.
    pub fn modes(&self) -> &[Mode] {
        &self.inner.status.modes
    }

    /// The mode that the display likes best, else its first.
    pub fn preferred_mode(&self) -> Option<Mode> {
        mode::preferred(self.modes())
    }

    /// The mode that `text` names: `preferred`, `1920x1080` (the preferred of that size, else the
    /// fastest) or `1920x1080@60`.
    ///
    /// # Errors
    /// [`ModeError::NotAMode`] for other texts, [`ModeError::NoSuchMode`] with what there is.
    pub fn mode(&self, text: &str) -> Result<Mode, ModeError> {
        mode::find(self.name(), self.modes(), text)
    }

    /// The plane that [`PlaneCommit::primary`](crate::PlaneCommit::primary) is shown on; `None` while
    /// the output is not connected or no CRTC is left for it.
    pub fn primary_plane(&self) -> Option<&Plane> {
        self.inner.primary.as_ref()
    }

    /// Every plane that can be on this output; an output without a CRTC has none.
    pub fn planes(&self) -> &[Plane] {
        &self.inner.planes
    }

    /// The formats of its primary plane; empty without one.
    pub fn formats(&self) -> &FormatSet {
        self.inner
            .primary
            .as_ref()
            .map_or(&self.inner.no_formats, Plane::formats)
    }

    /// Whether what it shows can be captured.
    pub fn has_writeback(&self) -> bool {
        self.inner.writeback_formats.is_some()
    }

    /// The formats that it can be captured in (`WRITEBACK_PIXEL_FORMATS`).
    pub fn writeback_formats(&self) -> &[Fourcc] {
        self.inner.writeback_formats.as_deref().unwrap_or(&[])
    }
}
