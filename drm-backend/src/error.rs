//! Errors: of opening a card, of a device operation, of a commit, of choosing a mode.

use std::fmt;
use std::io;
use std::path::PathBuf;

use dmashare::{Extent, FenceError, Fourcc, Modifier, PinError, SubmitError};

use crate::plane_property::PlaneProperty;

/// An operation on a DRM device failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed on {card}")]
pub struct DeviceError {
    /// The device.
    pub card: String,
    /// The ioctl or system call.
    pub operation: &'static str,
    /// The error of the system call.
    pub source: io::Error,
}

/// A process that has a display open.
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

/// This process may not change what the card shows: another one is DRM master.
#[derive(Debug, thiserror::Error)]
#[error(
    "{card} is held by {} (DRM master): end it, or switch to a virtual terminal of your own",
    Holders(holders)
)]
pub struct NoMaster {
    /// The card.
    pub card: String,
    /// The holder, as far as this process may know: the master itself where debugfs tells, else
    /// every process that has the card open. Empty if nothing could be read.
    pub holders: Vec<Holder>,
    /// The kernel's answer.
    pub source: io::Error,
}

struct Holders<'a>(&'a [Holder]);

impl fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("another process");
        }
        for (index, holder) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{holder}")?;
        }
        Ok(())
    }
}

/// Why a card could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// open(2) failed. `EACCES`: be on the seat, in group `video`, or root.
    #[error("cannot open {path}")]
    Open {
        /// The node.
        path: PathBuf,
        /// The error of the system call.
        source: io::Error,
    },
    /// The file is no DRM device.
    #[error("{path} is not a DRM device")]
    NotDrm {
        /// The file.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The device has no displays: a render node, or a driver without mode setting.
    #[error(
        "{card} has no KMS: it cannot drive a display; open the primary node of another device"
    )]
    NoKms {
        /// The device.
        card: String,
    },
    /// The driver has no atomic mode setting, which this library needs.
    #[error("the driver of {card} has no atomic mode setting")]
    NoAtomic {
        /// The device.
        card: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Another process holds the display.
    #[error(transparent)]
    NoMaster(#[from] NoMaster),
    /// An object lacks a property that every atomic driver has.
    #[error("{object} of {card} has no property {property}")]
    MissingProperty {
        /// The device.
        card: String,
        /// The object: "plane 31".
        object: String,
        /// The property's name.
        property: &'static str,
    },
    /// There is no card with a connected output.
    #[error("no card has a connected display: {}", if tried.is_empty() { "there is no DRM device in /dev/dri".to_owned() } else { tried.join("; ") })]
    NoDisplay {
        /// Each node that was tried, with the reason why it was not taken.
        tried: Vec<String>,
    },
    /// There is no device with this driver.
    #[error("there is no DRM device with driver {driver}")]
    NoDriver {
        /// The driver's name.
        driver: String,
    },
    /// An operation failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Why a mode was not found.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModeError {
    /// The text is not of the form `1920x1080`, `1920x1080@60` or `preferred`.
    #[error("{text:?} is no mode: give WIDTHxHEIGHT, WIDTHxHEIGHT@HERTZ, or preferred")]
    NotAMode {
        /// The value that was given.
        text: String,
    },
    /// The output has no such mode.
    #[error("{output} has no mode {text}; it has {}", if modes.is_empty() { "none".to_owned() } else { modes.join(", ") })]
    NoSuchMode {
        /// The output.
        output: String,
        /// The mode that was asked for.
        text: String,
        /// The modes that the output has.
        modes: Vec<String>,
    },
}

struct Available<'a>(Option<&'a str>);

impl fmt::Display for Available<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("it has no such property; leave it out, or use another plane"),
            Some(available) => write!(f, "it takes {available}"),
        }
    }
}

/// Why a commit was not done. Nothing has changed then: neither what is shown, nor any reservation,
/// and no buffer is held.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The previous commit on an output is still on its way (`EBUSY`): commit again after its
    /// [`Flip`](crate::Event::Flip).
    #[error("the previous commit on {} has not been shown yet: commit again after its flip", outputs.join(", "))]
    Busy {
        /// The outputs.
        outputs: Vec<String>,
    },
    /// This process may not change what is shown.
    #[error(transparent)]
    NoMaster(#[from] NoMaster),
    /// The output's display was unplugged. Commits work again after it was plugged in.
    #[error("nothing is connected to {output}")]
    Disconnected {
        /// The output.
        output: String,
    },
    /// A buffer is in use by someone whose fence the display cannot wait for: wait until it is
    /// ready, then commit.
    #[error(
        "'{buffer}' is still in use by '{producer}', whose fence a display cannot wait for: wait until the buffer is ready"
    )]
    NotReady {
        /// The buffer.
        buffer: String,
        /// The producer of the fence.
        producer: String,
    },
    /// The driver refuses this configuration (`EINVAL`), this scaling (`ERANGE`), or has no
    /// bandwidth for it (`ENOSPC`).
    #[error("the driver of {card} refuses this: {configuration}")]
    Rejected {
        /// The card.
        card: String,
        /// What was asked for: outputs, modes, planes with their formats and rectangles.
        configuration: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The output has no mode.
    #[error("{output} has no mode to be set: none is set and it offers none")]
    NoMode {
        /// The output.
        output: String,
    },
    /// All CRTCs of the card drive other outputs.
    #[error("the card has no CRTC left for {output}")]
    NoCrtc {
        /// The output.
        output: String,
    },
    /// The plane is not for this output, or another output shows something on it.
    #[error("plane {plane} cannot be used on {output}: {reason}")]
    NoPlane {
        /// The plane's number, 0 if the output has no primary plane.
        plane: u32,
        /// The output.
        output: String,
        /// Why.
        reason: &'static str,
    },
    /// The plane does not take the buffer's format and modifier (the card has another one that
    /// does, else the import had failed).
    #[error("plane {plane} does not take {format} with modifier {modifier}")]
    PlaneFormat {
        /// The plane's number.
        plane: u32,
        /// The buffer's format.
        format: Fourcc,
        /// The buffer's modifier.
        modifier: Modifier,
    },
    /// The source rectangle is empty or not inside the buffer.
    #[error("the source rectangle {width}x{height}+{x}+{y} is not inside a buffer of {extent}")]
    Source {
        /// Pixels from the left.
        x: i32,
        /// Pixels from the top.
        y: i32,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// The buffer's size.
        extent: Extent,
    },
    /// A damage clip is empty or not inside the buffer.
    #[error("the damage clip {width}x{height}+{x}+{y} is not inside a buffer of {extent}")]
    Damage {
        /// Pixels from the left.
        x: i32,
        /// Pixels from the top.
        y: i32,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// The buffer's size.
        extent: Extent,
    },
    /// The plane lacks a property, or the property does not take the value. Another plane may.
    #[error("plane {plane} cannot have {property} {value}: {}", Available(available.as_deref()))]
    PlaneProperty {
        /// The plane's number.
        plane: u32,
        /// The property.
        property: PlaneProperty,
        /// What was asked for, in the kernel's words.
        value: String,
        /// What the property takes, in the kernel's words; `None` if the plane lacks it.
        available: Option<String>,
    },
    /// The output cannot be captured, or not into this buffer.
    #[error("{output} cannot be captured into '{buffer}': {reason}")]
    NoWriteback {
        /// The output.
        output: String,
        /// The target.
        buffer: String,
        /// Why.
        reason: String,
    },
    /// A mapping, output or plane is of another card.
    #[error("{what} belongs to another card than {card}")]
    Foreign {
        /// What.
        what: String,
        /// The card of the commit.
        card: String,
    },
    /// An output was named twice, or a plane was.
    #[error("{what} is named twice in one commit")]
    Twice {
        /// What.
        what: String,
    },
    /// A fence has failed, or could not become a sync_file.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// A mapping is stale (map its attachment again, and commit that), its importer is taken for
    /// dead, or this thread has an open submission.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A buffer cannot be held in place for the display: it is being moved
    /// ([`PinError::Moving`]: commit again when it is ready), was revoked or detached, or its
    /// exporter refuses.
    #[error(transparent)]
    Pin(PinError),
    /// An operation failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// An error that a submission reports as well keeps its words.
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
    /// The driver has no syncobjs, or no timelines of them.
    #[error("{device} has no timelines of syncobjs")]
    Unsupported {
        /// The device.
        device: String,
    },
    /// The device could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The descriptor is not that of a syncobj.
    #[error("the file descriptor is not a drm_syncobj")]
    NotSyncobj,
    /// The time limit passed first.
    #[error("the syncobj did not signal in time")]
    Timeout,
    /// The syncobj has no fence at that point: its work was not submitted yet (`EINVAL`).
    #[error("the syncobj has no fence at that point")]
    NoFence,
    /// The syncobjs are not of one device. Export one, and import it there.
    #[error("the syncobjs are of two devices: import one into the device of the other")]
    OtherDevice,
    /// A fence could not become a sync_file.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The ioctl failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
