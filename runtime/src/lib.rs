//! Share GPU buffers between devices without copying them, and know where each buffer lives, who uses
//! it, and when it may move.
//!
//! `dmashare` owns the parts of buffer sharing that are the same for every kind of device: the dma-buf
//! and its validated [`Layout`], fences and the [`Reservation`] that orders them, attachments, pins
//! and moves, and the submissions that tie a piece of GPU work to the buffers it touches. It knows
//! neither Vulkan nor DRM: `dmashare-vk` and `dmashare-drm` do, and implement [`Exporter`],
//! [`DynamicExporter`] and [`Importer`].
//!
//! # From memory to use
//!
//! ```text
//! BufferDesc ──Exporter──▶ Backing ──▶ SharedBuffer ──attach──▶ Attachment ──map──▶ Mapping
//!  what is    allocates     DmaBuf,      reservation,   one for                  the importer's
//!  wanted     and exports   Placement,   attachments,   each device              own object, of one
//!                           Generation   pins                                    generation
//! ```
//!
//! Devices can agree on the image first: a [`Negotiation`] asks every [`Party`] which formats, layouts
//! and memory it takes, and returns what suits all of them.
//!
//! A [`Mapping`] is an owned guard: the importer's object (a `VkImage`, a framebuffer) lives as long as
//! any clone of it. Dropping the last clone does not wait: the object goes to the importer's retire
//! queue together with the fences that must signal before it may be destroyed, and the importer's
//! `dispatch()` destroys it later. There are no hidden threads.
//!
//! # A use
//!
//! A piece of work names every mapping that it touches, and whether it reads or writes.
//! [`Submission::begin`] locks the buffers' reservations in an order that cannot deadlock, refuses a
//! mapping whose backing has been replaced, and lists the fences that the work must wait for. The
//! caller hands the work to the device; then [`Submission::commit`] adds its fence to every
//! reservation and unlocks them. A submission that is dropped instead adds nothing. No buffer can move
//! between the check and the fence.
//!
//! # The contract
//!
//! GPU memory is small, and its owner has to move buffers out of it while others use them. The kernel
//! has had a contract for that since 2019 ("dma-buf: add explicit buffer pinning"): exporters may move
//! buffers, importers are notified, and a pin prevents a move that would be visible. This crate is
//! that contract in user space, between all users of the crate.
//!
//! | exporter | importer | what happens |
//! |---|---|---|
//! | static: [`Exporter`] | any | the buffer never moves; it is mapped for as long as it is attached, and pins succeed without effect |
//! | [`DynamicExporter`] | static: [`attach`](SharedBuffer::attach) | the importer cannot handle a move: the buffer is **pinned and mapped at attach**, until detach |
//! | [`DynamicExporter`] | dynamic: [`attach_dynamic`](SharedBuffer::attach_dynamic) | the importer keeps its mapping until it is notified, adds a fence to every use, and pins only what a device reads continuously without fences: a scanout |
//!
//! ## What each side must do
//!
//! - **An exporter** allocates memory in the placements that it has, copies between them behind
//!   fences, and takes memory back. It never decides to move a buffer: [`SharedBuffer::move_to`] and
//!   [`Residency`] do, and refuse while the buffer is pinned, with an error that names each pin and the
//!   time since when it is held.
//! - **A dynamic importer** is notified by its callback, exactly once for each generation that it has
//!   mapped, before the memory changes. Setting a flag suffices ([`Invalidate`]). The move waits for
//!   the fences of work that the importer has submitted; every later submission refuses a stale
//!   mapping, and the importer maps again. An importer that keeps a stale mapping for too long is
//!   declared *dead*: it can no longer map, pin or submit, and the memory that it maps is kept, not
//!   freed under it.
//! - **A static importer** does nothing. Its attachment pins the buffer; it cannot take a pin of its
//!   own.
//! - **The application** maps again when a submission returns [`SubmitError::Stale`], ties what it
//!   builds on an image (views, descriptors, recorded commands) to the [`Mapping`], and keeps an
//!   [`ExportGuard`] for as long as a holder outside the library has the descriptors.
//!
//! ## A buffer's states
//!
//! ```text
//!                  move_to: pins = 0; new memory is allocated before anything changes
//!            ┌────────────────────────────────────────────────────────────────────┐
//!            │                                                                    ▼
//!      ┌──────────┐   copy submitted: the move is a fence from now on       ┌──────────┐
//!      │ Resident │ ◀────────────────────────────────────────────────────── │  Moving  │
//!      │ place, g │ ◀─ copy refused: back in the old memory, as g + 2 ───── │  g + 1   │
//!      └──────────┘                                                         └──────────┘
//!         │    ▲
//!  revoke │    │ unrevoke                 an attachment:   Attached ──map──▶ Mapped(g)
//!         ▼    │                                              ▲                 │ notified
//!      ┌──────────┐                                           └── last mapping ─ Stale(g)
//!      │ Revoked  │  map and submit fail                          dropped          │ deadline
//!      └──────────┘                                                              Dead
//! ```
//!
//! The old memory lives until the fences of all work on it have signalled **and** no mapping of it is
//! left. Then it goes back to the exporter, which keeps it for the next buffer.
//!
//! ## Rules
//!
//! - A pin belongs to an attachment: the buffer's pin count is the sum over its attachments.
//! - Descriptors that leave the library ([`SharedBuffer::export`]) are a static attachment: a move makes
//!   a *new* dma-buf, and a holder of the old one would go on reading it.
//! - A thread that holds a reservation (an open [`Submission`], an invalidate callback) must not wait,
//!   map, attach, move or ask for a sync_file. Such a call returns a `WouldDeadlock` error at once.
//! - The copy of a move is a fence like any other, of the class [`FenceUsage::Move`]: every access waits
//!   for it.
//!
//! ## Where this differs from the kernel
//!
//! - In Linux 7 a static importer pins when it maps; here, as in the thread of 2019 and in Linux 6.12,
//!   when it attaches. The newer importers that pin and are never notified are static importers here.
//! - The kernel's core has no pin count and only warns; here a move of a pinned buffer is refused before
//!   anything changes. What the kernel calls a pinned importer's invalidation is
//!   [`SharedBuffer::revoke`] here, and it is the only invalidation that a pinned importer gets.
//! - Detaching from inside a callback is a use-after-free in the kernel; here the callback requests it
//!   ([`InvalidationContext::detach_afterwards`]), and it happens when the reservation is unlocked.
//!
//! ## The three pairings
//!
//! ```
//! # use dmashare::{Backing, BufferDesc, FenceSet, ImportError, Importer, Extent, Fourcc, Usage};
//! # #[derive(Clone)] struct Gpu;
//! # impl Importer for Gpu {
//! #     type Object = u64;
//! #     fn name(&self) -> &str { "gpu" }
//! #     fn import(&self, _: &BufferDesc, backing: &Backing) -> Result<u64, ImportError> {
//! #         Ok(backing.dmabuf().id().inode())
//! #     }
//! #     fn retire(&self, _: u64, _: FenceSet) {}
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let gpu = Gpu;
//! # let desc = |name: &str| BufferDesc::new(name, Extent::new(64, 64), Fourcc::XRGB8888, Usage::SAMPLE);
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! use dmashare::host::{DmaHeap, HostMemory};
//! use dmashare::{AccessConstraint, Modifier, MoveError, Placements, SharedBuffer};
//!
//! // A static exporter with any importer: the buffer never moves.
//! let heap = DmaHeap::open("system")?;
//! let buffer = SharedBuffer::new(&heap, desc("fixed"), &[Modifier::LINEAR])?;
//! let never = Arc::new(AtomicBool::new(false));
//! let attachment = buffer.attach_dynamic(&gpu, never)?;
//! let mapping = attachment.map()?;
//! let away = AccessConstraint::placements(Placements::SHMEM);
//! assert!(matches!(buffer.move_to(&away), Err(MoveError::Static { .. })));
//!
//! // A dynamic exporter with a static importer: the buffer is pinned while it is attached.
//! let memory = HostMemory::open()?;
//! let buffer = SharedBuffer::new_dynamic(&memory, desc("held"), &AccessConstraint::default())?;
//! let attachment = buffer.attach(&gpu)?;
//! let refused = buffer.move_to(&away).unwrap_err().to_string();
//! assert!(refused.starts_with("'held' cannot move: pinned by 'gpu' since"), "{refused}");
//! drop(attachment);
//! buffer.move_to(&away)?;
//!
//! // A dynamic exporter with a dynamic importer: the importer is notified, and maps again.
//! let buffer = SharedBuffer::new_dynamic(&memory, desc("moving"), &AccessConstraint::default())?;
//! let moved = Arc::new(AtomicBool::new(false));
//! let attachment = buffer.attach_dynamic(&gpu, moved.clone())?;
//! let old = attachment.map()?;
//! buffer.move_to(&away)?;
//! assert!(moved.load(Ordering::Acquire) && old.is_stale());
//! let new = attachment.map()?;
//! assert_ne!(old.object(), new.object());
//!
//! // A pin prevents the move, and the error names the pin.
//! let pin = attachment.pin("scanout DP-1")?;
//! let back = AccessConstraint::placements(Placements::HOST);
//! let refused = buffer.move_to(&back).unwrap_err().to_string();
//! assert!(refused.starts_with("'moving' cannot move: pinned by 'scanout DP-1' since"), "{refused}");
//! # drop((pin, mapping));
//! # Ok(()) }
//! ```
//!
//! # Fences: what becomes what
//!
//! A [`Fence`] is a point on a [`Timeline`], or a [`SyncFile`]. All kernel interfaces take sync_files, so
//! fences are converted by way of them. "Waits" says whether the conversion itself may block; one that
//! may is refused while a submission is open (I16).
//!
//! | from | to | by | cost | waits |
//! |---|---|---|---|---|
//! | Vulkan point | wait on the same `VkDevice` | a submission | none: its own semaphore | no |
//! | Vulkan point | sync_file | [`Fence::export_sync_file`] | a `vkQueueSubmit2`, a semaphore, a descriptor; no `vkQueueSubmit2` for work that was submitted as `exportable` | in some drivers until the work is done |
//! | your own `VkSemaphore` or `VkFence` | sync_file | `Device::fence_of_semaphore`, `fence_of_vk_fence` | a command, an ioctl to check the result, a descriptor | as a Vulkan point |
//! | any that has a sync_file | your own `VkSemaphore` or `VkFence` | `Device::import_into_semaphore`, `import_into_vk_fence` | its sync_file, and a command | as its sync_file |
//! | sync_file | Vulkan wait | a submission | a `vkImportSemaphoreFdKHR` into a pooled semaphore | no |
//! | sync_file | display's wait | a commit (`IN_FENCE_FD`) | none: the commit carries its number | no |
//! | display's flip | sync_file | a commit (`OUT_FENCE_PTR`) | a descriptor | no |
//! | display's use of a buffer | any kernel fence | impossible: it is a software fence | | |
//! | syncobj point | sync_file | [`Fence::export_sync_file`] | 4 ioctls; only once its work was submitted | no |
//! | any that has a sync_file | syncobj point | `SyncobjTimeline::import` | its sync_file, and 4 ioctls | as its sync_file |
//! | dma-buf's own fences | sync_file | [`DmaBuf::fences`] | 2 ioctls for each memory | no |
//! | any that has a sync_file | dma-buf's own fence | [`DmaBuf::add_fence`] | its sync_file, and an ioctl for each memory | as its sync_file |
//! | several | one sync_file | [`SyncFile::merge_all`], [`FenceSet::export_sync_file`] | their sync_files, and a `SYNC_IOC_MERGE` for each but the first | as their sync_files |
//! | software | any kernel fence | impossible ([`FenceError::NoSyncFile`]): wait for it, or poll it | | |
//! | any | a descriptor for poll | [`Fence::pollable`] | a descriptor: a sync_file, or an eventfd for software and syncobj fences | as its sync_file |
//! | any | a fence that fails at a deadline | [`Fence::with_deadline`] | an allocation | no |
//! | any | the CPU | [`Fence::wait`] | | yes |
//!
//! The fences of a producer that dies end with an error. A sync_file and a software fence keep that
//! error. A Vulkan queue that waits for one continues as if it had signalled; here the fence of that
//! work fails with it. A dma-buf drops the fence, and a syncobj the error. Give a fence a deadline if
//! its consumer cannot wait forever.
//!
//! ## Buffers with foreign holders
//!
//! A holder that has only a buffer's descriptors finds fences only in the dma-buf. So
//! [`SharedBuffer::export`], and an attachment that asks for it, makes the buffer
//! [implicit](SyncMode::Implicit): every use by any importer first merges the dma-buf's own fences into
//! its waits, and adds its fence to the dma-buf afterwards, with nothing locked. Of the kernel's classes
//! only reads and writes can be added; a move is added as a write, and the library's own uses find its
//! class in the reservation. Attachments are explicit by default: then no use makes a system call for
//! this, and a display that gets an in-fence ignores the dma-buf's own fences, as in the kernel.
//!
//! # When memory is short
//!
//! A [`Residency`] keeps a set of buffers within a budget for each placement: the least recently used
//! buffer moves out, and comes back when it is used. [`SharedBuffer::report`] and [`RuntimeReport`] list
//! attachments, pins, stale mappings and pending fences, as text and as JSON; every attach, map, move,
//! pin and refusal is a `tracing` event.
//!
//! # When a device does not take a buffer
//!
//! [`Negotiation`] finds what suits all devices before memory is allocated, or reports which of them
//! conflict. A device that still does not take a buffer (its strides, its placement, no dma-bufs at all)
//! gets a copy that is kept fresh by damage: [`route`] reports the way that was chosen, why, and how
//! many bytes it copies.
//!
//! # What it cannot do
//!
//! The *kernel* does not notify user space when it moves memory. What this library promises holds among
//! the participants that use it.

#![deny(unsafe_code)]

mod access;
mod attachment;
mod box_error;
mod buffer;
mod caught_panic;
mod clock;
mod dmabuf;
mod fence;
pub mod host;
mod ids;
mod image;
#[cfg(feature = "in-memory")]
pub mod in_memory;
mod locks;
mod memory;
pub mod negotiation;
mod residency;
pub mod route;
mod shared_buffer;
mod submission;
mod sync_mode;
mod sys;

pub use access::Access;
pub use attachment::StaticAttachment;
pub use attachment::dynamic::DynamicAttachment;
pub use attachment::export_guard::ExportGuard;
pub use attachment::mapping::{Mapping, MappingUse};
pub use attachment::pin::PinGuard;
pub use box_error::BoxError;
pub use buffer::attachment_error::{AttachError, MapError, PinError};
pub use buffer::implicit_sync_error::ImplicitSyncError;
pub use buffer::invalidation::{Invalidate, InvalidationContext, InvalidationReason};
pub use buffer::move_error::{MoveError, RevokeError};
pub use buffer::moving::Move;
pub use buffer::moving::revocation::Revocation;
pub use buffer::submit_error::SubmitError;
pub use clock::Moment;
pub use dmabuf::cpu_access::CpuAccess;
pub use dmabuf::cpu_access_error::CpuAccessError;
pub use dmabuf::cpu_mapping::CpuMapping;
pub use dmabuf::dmabuf_memory::{DmaBufMemory, MemoryId};
pub use dmabuf::mapped_memory::MappedMemory;
pub use dmabuf::plane_view::{PlaneView, PlaneViewMut, Sample};
pub use dmabuf::{DmaBuf, PlaneFd};
pub use fence::descriptor_error::{DmaBufError, SyncFileError};
pub use fence::error::FenceError;
pub use fence::reservation::Reservation;
pub use fence::retire_queue::RetireQueue;
pub use fence::set::FenceSet;
pub use fence::software_timeline::SoftwareTimeline;
pub use fence::status::FenceStatus;
pub use fence::sync_file::SyncFile;
pub use fence::sync_file_info::{SyncFileFence, SyncFileInfo};
pub use fence::usage::FenceUsage;
pub use fence::{Fence, Timeline};
pub use ids::AttachmentId;
pub use image::buffer_desc::{
    AlphaMode, BufferDesc, ChromaSiting, Color, ColorRange, MatrixCoefficients, Primaries,
    TransferFunction, Usage,
};
pub use image::damage::Damage;
pub use image::extent::Extent;
pub use image::format_info::{FormatInfo, PlaneInfo};
pub use image::fourcc::Fourcc;
pub use image::hdr_metadata::{Chromaticity, HdrStaticMetadata};
pub use image::layout::{Layout, PlaneLayout};
pub use image::layout_error::LayoutError;
pub use image::modifier::Modifier;
pub use image::rectangle::Rectangle;
pub use memory::backing::{Allocation, Backing, Generation};
pub use memory::constraint::AccessConstraint;
pub use memory::dynamic_exporter::{Copied, DynamicExporter};
pub use memory::export_error::ExportError;
pub use memory::exporter::Exporter;
pub use memory::import_error::ImportError;
pub use memory::importer::Importer;
pub use memory::no_room_error::ResidencyError;
pub use memory::pins::PinReport;
pub use memory::placement::{Placement, Placements};
pub use memory::pool::BackingPool;
pub use negotiation::Negotiation;
pub use negotiation::error::{NegotiationError, UnfitError};
pub use negotiation::negotiated::Negotiated;
pub use negotiation::party::Party;
pub use negotiation::query_cache::QueryCache;
pub use negotiation::refusal::Refusal;
pub use residency::Residency;
pub use residency::member::Priority;
pub use residency::statistics::ResidencyStatistics;
pub use residency::trim::TrimReport;
pub use route::error::{CopyError, RouteError};
pub use shared_buffer::SharedBuffer;
pub use shared_buffer::report::{
    AttachmentKind, AttachmentReport, BufferReport, BufferState, FenceReport, OldBackingReport,
    RuntimeReport,
};
pub use submission::implicit_fences::{ImplicitFences, Unpublished};
pub use submission::{Contended, Submission, TryBeginError};
pub use sync_mode::SyncMode;
