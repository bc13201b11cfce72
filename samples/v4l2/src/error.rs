//! What can go wrong with a video device, by cause.

use std::io;
use std::path::PathBuf;

use dmashare::{Extent, Fourcc};

/// What can go wrong with a video device. Each names the device, and what to do where that is known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum V4l2Error {
    /// The node cannot be opened.
    #[error("{} cannot be opened", path.display())]
    Open {
        /// The node.
        path: PathBuf,
        /// open(2)'s error.
        source: io::Error,
    },
    /// The node is not one of V4L2: `VIDIOC_QUERYCAP` is refused.
    #[error("{} is not a video device: give one of /dev/video*", path.display())]
    NotVideo {
        /// The node.
        path: PathBuf,
        /// The ioctl's error.
        source: io::Error,
    },
    /// The node is a video device of another kind.
    #[error("{device} is {found}, not {wanted}")]
    WrongKind {
        /// The device.
        device: String,
        /// What it is.
        found: &'static str,
        /// What is needed.
        wanted: &'static str,
    },
    /// There is no such device at all.
    #[error("there is no {wanted} among the video devices: {}", if found.is_empty() { "none" } else { found })]
    None {
        /// What was looked for.
        wanted: String,
        /// The devices that there are.
        found: String,
    },
    /// The device does not offer the format.
    #[error("{device} has no {asked}; it has {}", list(offered))]
    Format {
        /// The device.
        device: String,
        /// What was asked for.
        asked: Fourcc,
        /// What it offers, of the formats that are known here.
        offered: Vec<Fourcc>,
    },
    /// The device has the format in other sizes only.
    #[error("{device} has no {asked} frames of {format}; the nearest is {nearest}")]
    Size {
        /// The device.
        device: String,
        /// The format.
        format: Fourcc,
        /// What was asked for.
        asked: Extent,
        /// What the driver would take.
        nearest: Extent,
    },
    /// The driver's answer makes no sense.
    #[error("{device}: {what}")]
    Driver {
        /// The device.
        device: String,
        /// What makes no sense.
        what: String,
    },
    /// The device has given or taken nothing for too long.
    #[error("{device} is silent: nothing came back within {seconds} s")]
    Silence {
        /// The device.
        device: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Every slot of the queue is in use by a buffer that is attached.
    #[error("{device} has no free slot: {slots} buffers are attached already")]
    NoSlot {
        /// The device.
        device: String,
        /// How many slots there are.
        slots: usize,
    },
    /// The mapping is of another device.
    #[error("'{buffer}' is not attached to {device}")]
    NotAttached {
        /// The device.
        device: String,
        /// The buffer's name.
        buffer: String,
    },
    /// A buffer's use cannot begin.
    #[error("'{buffer}' cannot be given to {device}")]
    Submit {
        /// The device.
        device: String,
        /// The buffer's name.
        buffer: String,
        /// Why not.
        source: Box<dmashare::SubmitError>,
    },
    /// Another use of the buffer does not end, or has failed.
    #[error("'{buffer}' is not ready for {device}")]
    NotReady {
        /// The device.
        device: String,
        /// The buffer's name.
        buffer: String,
        /// The fence's error.
        source: dmashare::FenceError,
    },
    /// A dma-buf that the driver exported, or its layout, is not valid.
    #[error("{device} exported something that is not a valid buffer")]
    DmaBuf {
        /// The device.
        device: String,
        /// What is wrong.
        source: dmashare::DmaBufError,
    },
    /// An ioctl failed.
    #[error("{operation} failed on {device}")]
    Ioctl {
        /// The device.
        device: String,
        /// The ioctl.
        operation: &'static str,
        /// Its error.
        source: io::Error,
    },
}

/// Formats for a message: their codes, or "nothing".
fn list(formats: &[Fourcc]) -> String {
    let names: Vec<String> = formats.iter().map(ToString::to_string).collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}
