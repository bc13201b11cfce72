//! Error types for opening a card, device operations, commits and mode selection.

use std::fmt;
use std::io;
use std::path::PathBuf;

use dmashare::{Extent, FenceError, Fourcc, Modifier, PinError, SubmitError};

use crate::plane_property::PlaneProperty;

/// An operation on a DRM device failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed on {card}")]
pub struct DeviceError {
    /// Name of the device.
    pub card: String,
    /// The ioctl or system call that failed.
    pub operation: &'static str,
    /// Error returned by the kernel.
    pub source: io::Error,
}

/// A process that has the card open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process id of the holder.
    pub pid: u32,
    /// Command name of the holder (`/proc/PID/comm`).
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.command, self.pid)
    }
}

/// This process cannot commit to the card because another process is DRM master.
#[derive(Debug, thiserror::Error)]
#[error(
    "another process is DRM master of {card}: {}; stop it, or switch to another virtual terminal",
    Holders(holders)
)]
pub struct NoMaster {
    /// Name of the card.
    pub card: String,
    /// The master if debugfs names it, otherwise every process that has the card open. Empty if this
    /// process can read neither.
    pub holders: Vec<Holder>,
    /// Error returned by the kernel.
    pub source: io::Error,
}

struct Holders<'a>(&'a [Holder]);

impl fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("unknown process");
        }
        for (index, holder) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{holder}")?;
        }
        Ok(())
    }
}

/// A card could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// open(2) failed. On `EACCES`, the user must be on the active seat, in group `video`, or root.
    #[error("cannot open {path}")]
    Open {
        /// Path of the device node.
        path: PathBuf,
        /// Error returned by the kernel.
        source: io::Error,
    },
    /// The file is not a DRM device.
    #[error("{path} is not a DRM device")]
    NotDrm {
        /// Path of the file.
        path: String,
        /// Error returned by the kernel.
        source: io::Error,
    },
    /// The device cannot drive displays: it is a render node, or its driver has no mode setting.
    #[error(
        "{card} has no KMS and cannot drive a display; open the primary node of another device"
    )]
    NoKms {
        /// Name of the device.
        card: String,
    },
    /// The driver does not support atomic mode setting, which this library requires.
    #[error("the driver of {card} does not support atomic mode setting")]
    NoAtomic {
        /// Name of the device.
        card: String,
        /// Error returned by the kernel.
        source: io::Error,
    },
    /// Another process is DRM master.
    #[error(transparent)]
    NoMaster(#[from] NoMaster),
    /// A KMS object lacks a property that every atomic driver exposes.
    #[error("{object} of {card} has no property {property}")]
    MissingProperty {
        /// Name of the device.
        card: String,
        /// Type and id of the object, such as "plane 31".
        object: String,
        /// Name of the property.
        property: &'static str,
    },
    /// No card has a connected output.
    #[error("no card has a connected display: {}", if tried.is_empty() { "there is no DRM device in /dev/dri".to_owned() } else { tried.join("; ") })]
    NoDisplay {
        /// Each node that was tried, and why it was skipped.
        tried: Vec<String>,
    },
    /// No DRM device uses this driver.
    #[error("no DRM device uses driver {driver}")]
    NoDriver {
        /// Name of the driver.
        driver: String,
    },
    /// A device operation failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A mode was not found.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModeError {
    /// The text does not have the form `1920x1080`, `1920x1080@60` or `preferred`.
    #[error("{text:?} is not a mode: use WIDTHxHEIGHT, WIDTHxHEIGHT@HERTZ, or preferred")]
    NotAMode {
        /// Text that was parsed.
        text: String,
    },
    /// The output has no such mode.
    #[error("{output} has no mode {text}; it has {}", if modes.is_empty() { "none".to_owned() } else { modes.join(", ") })]
    NoSuchMode {
        /// Name of the output.
        output: String,
        /// Requested mode.
        text: String,
        /// Modes of the output.
        modes: Vec<String>,
    },
}

struct Available<'a>(Option<&'a str>);

impl fmt::Display for Available<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("it has no such property; omit it, or use another plane"),
            Some(available) => write!(f, "it accepts {available}"),
        }
    }
}

/// A commit failed. It has no effect: the screen and all reservations are unchanged, and the display
/// holds no additional buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The previous commit on an output is still pending (`EBUSY`). Commit again after its
    /// [`Flip`](crate::Event::Flip).
    #[error("the previous commit on {} is still pending: commit again after its flip", outputs.join(", "))]
    Busy {
        /// Names of the outputs with a pending commit.
        outputs: Vec<String>,
    },
    /// This process is not DRM master.
    #[error(transparent)]
    NoMaster(#[from] NoMaster),
    /// The output's display was unplugged. Commits succeed again once a display is connected.
    #[error("nothing is connected to {output}")]
    Disconnected {
        /// Name of the output.
        output: String,
    },
    /// A buffer has a pending fence that the display cannot wait for. Wait until the buffer is ready,
    /// then commit again.
    #[error(
        "'{buffer}' is still in use by '{producer}', whose fence the display cannot wait for: wait until the buffer is ready"
    )]
    NotReady {
        /// Name of the buffer.
        buffer: String,
        /// Producer of the fence.
        producer: String,
    },
    /// The driver rejects the configuration (`EINVAL`) or the scaling (`ERANGE`), or lacks the
    /// bandwidth (`ENOSPC`).
    #[error("the driver of {card} rejects this configuration: {configuration}")]
    Rejected {
        /// Name of the card.
        card: String,
        /// Requested configuration: outputs, modes, and planes with their formats and rectangles.
        configuration: String,
        /// Error returned by the kernel.
        source: io::Error,
    },
    /// The commit sets no mode, and the output neither has nor offers one.
    #[error("no mode for {output}: none is set, and the output offers none")]
    NoMode {
        /// Name of the output.
        output: String,
    },
    /// Every CRTC that can drive this output drives another one.
    #[error("the card has no free CRTC for {output}")]
    NoCrtc {
        /// Name of the output.
        output: String,
    },
    /// The plane cannot be used on this output, or another output uses it.
    #[error("plane {plane} cannot be used on {output}: {reason}")]
    NoPlane {
        /// Id of the plane; 0 if the output has no primary plane.
        plane: u32,
        /// Name of the output.
        output: String,
        /// Cause of the failure.
        reason: &'static str,
    },
    /// The plane does not support the buffer's format and modifier. Another plane of the card does;
    /// otherwise the import would have failed.
    #[error("plane {plane} does not support {format} with modifier {modifier}")]
    PlaneFormat {
        /// Id of the plane.
        plane: u32,
        /// Format of the buffer.
        format: Fourcc,
        /// Modifier of the buffer.
        modifier: Modifier,
    },
    /// The source rectangle is empty or exceeds the buffer.
    #[error("the source rectangle {width}x{height}+{x}+{y} is not inside a buffer of {extent}")]
    Source {
        /// Left edge, in pixels.
        x: i32,
        /// Top edge, in pixels.
        y: i32,
        /// Width, in pixels.
        width: u32,
        /// Height, in pixels.
        height: u32,
        /// Extent of the buffer.
        extent: Extent,
    },
    /// A damage clip is empty or exceeds the buffer.
    #[error("the damage clip {width}x{height}+{x}+{y} is not inside a buffer of {extent}")]
    Damage {
        /// Left edge, in pixels.
        x: i32,
        /// Top edge, in pixels.
        y: i32,
        /// Width, in pixels.
        width: u32,
        /// Height, in pixels.
        height: u32,
        /// Extent of the buffer.
        extent: Extent,
    },
    /// The plane lacks the property, or the property does not accept the value. Another plane may
    /// support it.
    #[error("plane {plane} does not support {property} {value}: {}", Available(available.as_deref()))]
    PlaneProperty {
        /// Id of the plane.
        plane: u32,
        /// Property of the plane.
        property: PlaneProperty,
        /// Requested value, in the kernel's spelling.
        value: String,
        /// Values that the property accepts, in the kernel's spelling; `None` if the plane lacks the
        /// property.
        available: Option<String>,
    },
    /// The output does not support writeback, or not into this buffer.
    #[error("{output} cannot be captured into '{buffer}': {reason}")]
    NoWriteback {
        /// Name of the output.
        output: String,
        /// Name of the target buffer.
        buffer: String,
        /// Cause of the failure.
        reason: String,
    },
    /// A mapping, output or plane belongs to another card.
    #[error("{what} does not belong to {card}")]
    Foreign {
        /// The mapping, output or plane.
        what: String,
        /// Name of the card that received the commit.
        card: String,
    },
    /// The commit names an output or a plane twice.
    #[error("{what} is named twice in one commit")]
    Twice {
        /// The output or plane.
        what: String,
    },
    /// A fence has failed, or could not be exported as a sync_file.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// A mapping is stale (map its attachment again and commit the new mapping), its importer is
    /// considered dead, or this thread has an open submission.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A buffer cannot be pinned for the display: it is moving ([`PinError::Moving`]; commit again
    /// when it is ready), it was revoked or detached, or its exporter refuses.
    #[error(transparent)]
    Pin(PinError),
    /// A device operation failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Maps errors that a submission can also report to the same [`SubmitError`] variants.
impl From<PinError> for CommitError {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Stale { buffer } => SubmitError::Stale { buffer }.into(),
            PinError::Dead { buffer, .. } => SubmitError::ImporterDead { buffer }.into(),
            PinError::WouldDeadlock { buffer } => SubmitError::WouldDeadlock { buffer }.into(),
            error => Self::Pin(error),
        }
    }
}

/// An operation on a drm_syncobj failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncobjError {
    /// The driver does not support syncobjs or timeline syncobjs.
    #[error("{device} does not support timeline syncobjs")]
    Unsupported {
        /// Name of the device.
        device: String,
    },
    /// The device could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file descriptor does not refer to a syncobj.
    #[error("the file descriptor is not a drm_syncobj")]
    NotSyncobj,
    /// The timeout expired.
    #[error("the syncobj did not signal in time")]
    Timeout,
    /// The syncobj has no fence at that point because the work has not been submitted (`EINVAL`).
    #[error("the syncobj has no fence at that point")]
    NoFence,
    /// The syncobjs belong to different devices. Export one and import it into the other's device.
    #[error("the syncobjs belong to different devices: import one into the device of the other")]
    OtherDevice,
    /// A fence could not be exported as a sync_file.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The ioctl failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
