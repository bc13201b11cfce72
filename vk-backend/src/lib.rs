//! Vulkan exporter and importer for `dmashare`.
//!
//! A [`Device`] creates images and exports them as dma-bufs ([`dmashare::Exporter`]), imports the
//! dma-bufs of other exporters as [`Image`]s ([`dmashare::Importer`]), and ties the application's
//! own `vkQueueSubmit2` to the fences of the buffers it touches ([`Device::submission`]). It
//! creates a `VkDevice` ([`Device::open`]) or adopts one from the application ([`Device::adopt`]).
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
//! [`MovableImages`] is an exporter ([`dmashare::DynamicExporter`]) whose buffers leave device
//! memory when room is needed there or when a display wants them elsewhere, and come back when they
//! are used. The device copies them on its queue, after the fences of all previous users; no CPU
//! thread waits. [`Device::memory_budget`] reports how much memory the driver says is available.
//!
//! A device follows a buffer through [`attach_dynamic`](dmashare::SharedBuffer::attach_dynamic). A
//! submission rejects a mapping of memory that the buffer has left
//! ([`SubmitError::Stale`](dmashare::SubmitError::Stale)), the next
//! [`map`](dmashare::DynamicAttachment::map) imports the new memory, and the old image goes through
//! the retire queue. What the application has built on an image (views, descriptor sets, recorded
//! command buffers) becomes stale with it: keep it beside the mapping, and rebuild it when the
//! mapping changes.
//!
//! The first submission after a move waits for the copy on the GPU: through the timeline on the
//! device that copied, through a semaphore on others. A submission made after the callbacks but
//! before the copy is submitted waits briefly for that submit. If the copy itself waits for
//! software, it returns [`SubmitError::NotReady`](dmashare::SubmitError::NotReady) instead.
//!
//! # Rules that drivers leave to their callers, and that are kept here
//!
//! - Before an image is created or imported, `vkGetPhysicalDeviceImageFormatProperties2` is queried
//!   with its exact usage, flags, view formats, modifier and handle type.
//! - Shared memory is a dedicated allocation of the size in the image's requirements. A smaller
//!   dma-buf is refused.
//! - The driver takes ownership of a file descriptor only when the import succeeds.
//! - Between submissions, `FOREIGN` owns an image: each submission acquires it and releases it
//!   again, in layout `GENERAL`.
//! - No call blocks while a reservation is locked: fences of other devices become semaphores before
//!   the reservations are locked.
//!
//! # Devices without dma-bufs
//!
//! A CPU renderer without dma-bufs, such as SwiftShader, imports images of one plane by a pointer
//! to host memory ([`PhysicalDevice::imports_by_host_pointer`]), provided that their stride is the
//! one its driver uses. Its [`constraint`](dmashare::Importer::constraint) demands that; with an
//! attachment by [`dmashare::route`], any other buffer reaches it through a copy in that layout. If
//! its semaphores do not support sync_files, a submission with pending work of other devices before
//! it returns [`SubmitError::NotReady`](dmashare::SubmitError::NotReady), and so does a submission
//! of another device that follows its work. It exports nothing.
//!
//! # Locks
//!
//! A [`Submission`] locks its device's queue and then the reservations of its buffers, and holds
//! both from [`Device::submission`] to its commit or drop. The queue comes first because the points
//! of its timeline must be signalled in the order in which they are assigned, and a thread that
//! waits for the queue must hold no buffer. In between, the thread must not begin another
//! submission, request a sync_file ([`dmashare::Fence::export_sync_file`] submits to the queue of
//! its device) or wait for anything. If a thread locks the same queue twice, it gets an error
//! instead of a deadlock.
//!
//! # What it cannot do
//!
//! - Images whose width or height does not cover whole chroma samples are refused: Vulkan does not
//!   support them.
//! - Images with planes in several dma-bufs (disjoint) are imported where the driver can, but never
//!   exported: the memory of an exported image is one dma-buf.
//! - Semaphores cannot carry an error: work that waits for a sync_file runs even if the sync_file
//!   then ends in an error. Failures from before a submission begins are reported by it. If a write
//!   that the work waited for fails later, the fence of the work fails, too.
//! - A fence that only software signals (a display's) must be waited for on the CPU before the
//!   submission; the device cannot wait for it.
//! - Only a fence whose work is submitted and pending is sure to have a sync_file. One that has
//!   already signalled, or whose work was not submitted yet, returns
//!   [`NoSyncFile`](dmashare::FenceError::NoSyncFile), as a device without sync_files does. Its
//!   status tells the cases apart.
//! - The first use of an exported image is a submission, so a thread that holds the queue cannot be
//!   the first to map it. The export of an image for the CPU waits until that submission has
//!   completed, after all work submitted before it.

pub use ::ash;

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
