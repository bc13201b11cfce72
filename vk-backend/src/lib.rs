//! Vulkan exporter and importer for `dmashare`.
//!
//! A [`Device`] makes images in its own memory and exports them as dma-bufs ([`dmashare::Exporter`]),
//! imports dma-bufs that others made ([`dmashare::Importer`], whose object is an [`Image`]), and ties
//! the application's own `vkQueueSubmit2` to the fences of the buffers that it touches
//! ([`Device::submission`]). It brings its own `VkDevice` ([`Device::open`]) or uses one that the
//! application has made ([`Device::adopt`]).
//!
//! # A frame
//!
//! ```no_run
//! # use dmashare::{BufferDesc, Extent, Fourcc, Modifier, SharedBuffer, Usage};
//! # use dmashare_vk::{ash::vk, Device, DeviceSelector, Instance, InstanceOptions};
//! # type Barrier = vk::ImageMemoryBarrier2<'static>;
//! # fn frame(record: impl Fn(Barrier, Barrier) -> vk::CommandBuffer) -> Result<(), Box<dyn std::error::Error>> {
//! let instance = Instance::new(&InstanceOptions::default())?;
//! let device = Device::open(&instance.select(&DeviceSelector::Any)?)?;
//! let desc = BufferDesc::new("picture", Extent::new(640, 480), Fourcc::XRGB8888, Usage::RENDER);
//! let buffer = SharedBuffer::new(&device, desc, &[Modifier::LINEAR])?;
//! let mapping = buffer.attach(&device)?.map()?;
//!
//! // Every command buffer that touches the image begins with the acquire barrier and ends with
//! // the release barrier; in between the image is in layout GENERAL.
//! let image = mapping.object();
//! let stage = vk::PipelineStageFlags2::COLOR_ATTACHMENT_OUTPUT;
//! let access = vk::AccessFlags2::COLOR_ATTACHMENT_WRITE;
//! let commands = record(image.acquire(stage, access), image.release(stage, access));
//!
//! let submission = device.submission([mapping.write()])?;
//! let info = vk::CommandBufferSubmitInfo::default().command_buffer(commands);
//! // SAFETY: the command buffer is executable and of this device's queue family.
//! let fence = unsafe { submission.submit(&[info]) }?;
//! device.dispatch();
//! # Ok(()) }
//! ```
//!
//! # Buffers that move
//!
//! [`MovableImages`] is an exporter ([`dmashare::DynamicExporter`]) whose buffers leave the device's
//! memory when room is needed there, or when a display wants them elsewhere, and come back when they
//! are used. The device copies, on its queue, behind everyone's fences; nobody waits on the CPU.
//! [`Device::memory_budget`] is what the driver says of the room there is.
//!
//! A device follows a buffer by [`attach_dynamic`](dmashare::SharedBuffer::attach_dynamic): a
//! submission refuses a mapping of memory that the buffer has left
//! ([`SubmitError::Stale`](dmashare::SubmitError::Stale)), the next
//! [`map`](dmashare::DynamicAttachment::map) imports the new memory, and the old image goes through
//! the retire queue. What the application has built on an image (views, descriptor sets, recorded
//! command buffers) goes stale with it: keep it beside the mapping, and build it anew when the mapping
//! is another.
//!
//! The first submission after a move waits for the copy on the device: on the device that copied for
//! its own timeline, elsewhere for a semaphore. One that comes between the callbacks and the
//! submission of the copy waits for that, which is short, unless the copy itself waits for software:
//! then it is told so ([`SubmitError::NotReady`](dmashare::SubmitError::NotReady)).
//!
//! # Rules that drivers leave to their callers, and that are kept here
//!
//! - Everything is asked of `vkGetPhysicalDeviceImageFormatProperties2` with the exact usage, flags,
//!   view formats, modifier and handle type before an image is made or imported.
//! - Shared memory is always a dedicated allocation. Its size is that of the image's requirements,
//!   and a dma-buf that is smaller is refused.
//! - A file descriptor passes to the driver only when the import has succeeded.
//! - Images belong to nobody between submissions: each acquires them from `FOREIGN` and releases
//!   them to it, in layout `GENERAL`.
//! - Nothing blocks under a reservation: fences of other devices become semaphores before the
//!   reservations are locked.
//!
//! # Devices without dma-bufs
//!
//! A renderer on the CPU that has no dma-bufs, such as SwiftShader, imports images of one plane by a
//! pointer to host memory ([`PhysicalDevice::imports_by_host_pointer`]), if their rows are exactly as far
//! apart as its driver has them. Its [`constraint`](dmashare::Importer::constraint) demands that; attach
//! by [`dmashare::route`], and everything else arrives by a copy that lies so. Where its semaphores take
//! no sync_files, a submission that others' work stands before is told to wait
//! ([`SubmitError::NotReady`](dmashare::SubmitError::NotReady)), and so are others for its work. It
//! exports nothing.
//!
//! # Locks
//!
//! A [`Submission`] holds its device's queue and the reservations of its buffers, locked in this
//! order, from [`Device::submission`] to its commit or drop. The queue comes first because points of
//! its timeline must be signalled in the order in which they were given out; whoever waits for the
//! queue keeps no buffer from anyone. Between the two, the thread begins no other submission, asks
//! for no sync_file ([`dmashare::Fence::export_sync_file`] submits to the queue of its device) and
//! waits for nothing. A second lock of the same queue by one thread is an error, not a hang.
//!
//! # What it cannot do
//!
//! - Images whose width or height leaves half a chroma sample over are refused: Vulkan has none.
//! - Images with planes in several dma-bufs (disjoint) are imported, where the driver can, and never
//!   exported: an image's memory is one dma-buf.
//! - Semaphores cannot carry an error: work that waits for a sync_file which then ends in an error
//!   runs all the same. What has failed before a submission begins is reported by it; if a write that
//!   the work waited for fails later, the work's own fence does, too.
//! - A fence that only software signals (a display's) is waited for before the submission, not by
//!   the device.
//! - Only a fence whose work is submitted and pending has a sync_file for certain. One that has
//!   signalled already, or whose work was not submitted yet, says
//!   [`NoSyncFile`](dmashare::FenceError::NoSyncFile) as a device without sync_files does: its status
//!   tells which it is.
//! - The first use of an exported image is a submission: a thread that holds the queue cannot be the
//!   first to map it. The export of an image that the CPU may use waits until the queue has reached
//!   that: after the work that was submitted before it.

pub use ash;

mod core;
mod device;
mod error;
mod failure;
mod image;
mod physical_device;
mod queue;

pub use crate::core::queue_lock::{QueueHeld, QueueLock, QueueLockGuard};
pub use crate::device::Device;
pub use crate::device::memory_budget::{MemoryBudget, PlaceBudget};
pub use crate::device::movable_images::MovableImages;
pub use crate::device::open_or_adopt::AdoptedDevice;
pub use crate::device::plain_buffer::PlainBuffer;
pub use crate::device::submission::Submission;
pub use crate::device::transfer::Transfer;
pub use crate::error::{
    DeviceError, NoSrgbFormat, PlainBufferError, StrideMisaligned, TransferError, UnfitForPointer,
    YcbcrError,
};
pub use crate::image::Image;
pub use crate::image::ycbcr::YcbcrSampling;
pub use crate::physical_device::PhysicalDevice;
pub use crate::physical_device::format::{fourccs, vk_format, vk_srgb_format};
pub use crate::physical_device::instance::{Instance, InstanceOptions};
pub use crate::physical_device::modifier_support::ModifierSupport;
pub use crate::physical_device::selector::{DeviceSelector, DrmNode, SelectorError};
pub use crate::queue::QueueGuard;
