//! Video devices (V4L2) as exporters and importers of dma-bufs, as far as the samples need them.
//!
//! - [`V4l2Capture`] is a camera: an [`Exporter`](dmashare::Exporter) of the driver's own buffers
//!   (`VIDIOC_CREATE_BUFS`, `VIDIOC_EXPBUF`), and the [`Importer`](dmashare::Importer) through which
//!   the camera itself uses them.
//! - [`V4l2Output`] is a device that reads: a video output, or the uncompressed side of an encoder. It
//!   is an [`Importer`](dmashare::Importer) of any dma-buf (`V4L2_MEMORY_DMABUF`).
//! - [`Encoder`] and [`Decoder`] are stateful codecs, fed from dma-bufs and giving dma-bufs.
//!
//! # Fences
//!
//! V4L2 has none: a queued buffer is used at once, and is free when it is dequeued. So queueing a
//! buffer here waits on the CPU for the fences of the buffer's reservation, and the use itself is a
//! fence of a [`SoftwareTimeline`](dmashare::SoftwareTimeline) in that reservation, which signals when
//! the buffer is dequeued. A camera's buffer that a display shows is therefore not given back to the
//! camera before the display's pin on it has ended.
//!
//! # What is not here
//!
//! The multi-planar interface (`V4L2_CAP_VIDEO_*_MPLANE`), where each plane may have a dma-buf of its
//! own. Such devices are refused by name.

mod capture;
mod codec;
mod device;
mod error;
mod format;
mod output;
mod party;
mod queue;
mod sys;

pub use capture::{CameraBuffer, CapturedFrame, V4l2Capture};
pub use codec::{Coded, Decoder, Encoder};
pub use device::V4l2Device;
pub use error::V4l2Error;
pub use format::VideoFormat;
pub use output::{Slot, V4l2Output};
