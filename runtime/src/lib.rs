//! Share GPU buffers between devices without copying them, and know where each buffer lives, who uses
//! it, and when it may move.
//!
//! `dmashare` owns the parts of buffer sharing that are the same for every kind of device: the dma-buf
//! and its validated [`Layout`], fences and the [`Reservation`] that orders them, attachments, pins
//! and moves, and the submissions that tie a piece of GPU work to the buffers it touches. It knows
//! neither Vulkan nor DRM: those are `dmashare-vk` and `dmashare-drm`, which implement [`Exporter`],
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
//! What is wanted can be agreed upon first: a [`Negotiation`] asks every [`Party`] which formats,
//! layouts and memory it takes, and gives what suits all of them.
//!
//! A [`Mapping`] is an owned guard: while any clone of it lives, the importer's object (a `VkImage`,
//! a framebuffer) lives. When the last clone is dropped, nothing waits: the object goes to the
//! importer's retire queue together with the fences that must signal before it may be destroyed, and
//! the importer's `dispatch()` destroys it later. There are no hidden threads.
//!
//! # A use
//!
//! A piece of work names every mapping that it touches and how. [`Submission::begin`] locks the
//! buffers' reservations (in an order that cannot deadlock), refuses a mapping whose backing has been
//! replaced, and tells which fences the work must wait for. The work is handed to the device, and
//! only then [`Submission::commit`] adds its fence to every reservation. A submission that is dropped
//! instead adds nothing. So nothing can move a buffer between the check and the fence.
//!
//! # The contract
//!
//! Memory of a GPU is small, and its owner has to move buffers out of it while others use
//! them. The kernel has had a contract for that since 2019 ("dma-buf: add explicit buffer pinning"):
//! exporters that may move, importers that are told, pins where a move would be seen. This crate is
//! that contract in user space, among all who link it.
//!
//! | exporter | importer | what happens |
//! |---|---|---|
//! | static: [`Exporter`] | any | the buffer never moves; it is mapped for as long as it is attached, and pins succeed and mean nothing |
//! | [`DynamicExporter`] | static: [`attach`](SharedBuffer::attach) | the importer cannot cope with the buffer's going away: it is **pinned and mapped at attach**, until detach |
//! | [`DynamicExporter`] | dynamic: [`attach_dynamic`](SharedBuffer::attach_dynamic) | the importer keeps its mapping until it is told, adds a fence to every use, and pins only what is read for good without fences: a scanout |
//!
//! ## What each side must do
//!
//! - **An exporter** makes memory in the places that it has, copies between them behind fences, and
//!   takes memory back. It never decides by itself to move: [`SharedBuffer::move_to`] and
//!   [`Residency`] do, and refuse while anyone has a pin, with an error that names who and since when.
//! - **A dynamic importer** is told by its callback, exactly once for each generation that it has
//!   mapped, before the memory changes. Setting a flag suffices ([`Invalidate`]). Work that it has
//!   submitted is waited for by its fences; a stale mapping is refused by every later submission, and
//!   it maps again. A mapping that it keeps for too long makes it *dead*: it is refused everything,
//!   and the memory stays its own, kept and not freed under it.
//! - **A static importer** does nothing. It pins by being there, and there is no way to pin through it.
//! - **The application** maps again when a submission says [`SubmitError::Stale`], hangs what it builds
//!   on an image (views, descriptors, recorded commands) on the [`Mapping`], and keeps an
//!   [`ExportGuard`] for as long as someone outside has the descriptors.
//!
//! ## A buffer's states
//!
//! ```text
//!                  move_to: pins = 0; new memory is made before anyone is disturbed
//!            ┌────────────────────────────────────────────────────────────────────┐
//!            │                                                                    ▼
//!      ┌──────────┐   copy submitted: from here on it is a fence            ┌──────────┐
//!      │ Resident │ ◀────────────────────────────────────────────────────── │  Moving  │
//!      │ place, g │ ◀─ copy refused: back in the old memory, as g + 2 ───── │  g + 1   │
//!      └──────────┘                                                         └──────────┘
//!         │    ▲
//!  revoke │    │ unrevoke                 an attachment:   Attached ──map──▶ Mapped(g)
//!         ▼    │                                              ▲                 │ told
//!      ┌──────────┐                                           └── last mapping ─ Stale(g)
//!      │ Revoked  │  no map, no submission                        dropped          │ deadline
//!      └──────────┘                                                              Dead
//! ```
//!
//! The old memory lives on until the fences of all work on it have signalled **and** nobody maps it.
//! Then it goes back to the exporter, which keeps it for the next buffer.
//!
//! ## Rules
//!
//! - The attachment is pinned, not the buffer: the buffer's pins are the sum of its attachments'.
//! - Descriptors that leave the library ([`SharedBuffer::export`]) are a static attachment: a move
//!   makes a *new* dma-buf, and a holder of the old one would go on reading it.
//! - While a thread holds a reservation (an open [`Submission`], an invalidate callback), nothing
//!   waits, maps, attaches, moves or asks for a sync_file. A call that tries gets a `WouldDeadlock`
//!   error at once.
//! - A move's content is a fence like any other, of the class [`FenceUsage::Move`]: everyone waits
//!   for it.
//!
//! ## Where this differs from the kernel
//!
//! - In Linux 7 a static importer is pinned when it maps; here, as in the thread of 2019 and in Linux
//!   6.12, when it attaches. The newer importers that pin and are never told are static importers here.
//! - The kernel's core has no pin count and only warns; here a move of a pinned buffer is refused
//!   before anything changes. What the kernel calls a pinned importer's invalidation is
//!   [`SharedBuffer::revoke`] here, and it is the only one that comes to a pinned importer.
//! - Detaching from inside a callback is a use-after-free there; here it is asked for
//!   ([`InvalidationContext::detach_afterwards`]) and done when the reservation is unlocked.
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
//! // A static exporter with any importer: the buffer is where it is for good.
//! let heap = DmaHeap::open("system")?;
//! let buffer = SharedBuffer::new(&heap, desc("fixed"), &[Modifier::LINEAR])?;
//! let never = Arc::new(AtomicBool::new(false));
//! let attachment = buffer.attach_dynamic(&gpu, never)?;
//! let mapping = attachment.map()?;
//! let away = AccessConstraint::placements(Placements::SHMEM);
//! assert!(matches!(buffer.move_to(&away), Err(MoveError::Static { .. })));
//!
//! // A dynamic exporter with a static importer: pinned for as long as it is attached.
//! let memory = HostMemory::open()?;
//! let buffer = SharedBuffer::new_dynamic(&memory, desc("held"), &AccessConstraint::default())?;
//! let attachment = buffer.attach(&gpu)?;
//! let refused = buffer.move_to(&away).unwrap_err().to_string();
//! assert!(refused.starts_with("'held' cannot move: pinned by 'gpu' since"), "{refused}");
//! drop(attachment);
//! buffer.move_to(&away)?;
//!
//! // A dynamic exporter with a dynamic importer: it is told, and maps again.
//! let buffer = SharedBuffer::new_dynamic(&memory, desc("moving"), &AccessConstraint::default())?;
//! let moved = Arc::new(AtomicBool::new(false));
//! let attachment = buffer.attach_dynamic(&gpu, moved.clone())?;
//! let old = attachment.map()?;
//! buffer.move_to(&away)?;
//! assert!(moved.load(Ordering::Acquire) && old.is_stale());
//! let new = attachment.map()?;
//! assert_ne!(old.object(), new.object());
//!
//! // What must not move is pinned, and the refusal says by whom.
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
//! A [`Fence`] is a point on a [`Timeline`] or a [`SyncFile`], and the sync_file is what all kernel
//! interfaces have in common: everything goes by way of it. "Waits" says whether the conversion itself
//! may block; whatever may is refused while a submission is open (I16).
//!
//! | from | to | by | cost | waits |
//! |---|---|---|---|---|
//! | Vulkan point | wait on the same `VkDevice` | a submission | none: its own semaphore | no |
//! | Vulkan point | sync_file | [`Fence::export_sync_file`] | a `vkQueueSubmit2`, a semaphore, a descriptor; of work that was submitted `exportable` no `vkQueueSubmit2` | in some drivers until the work is done |
//! | your own `VkSemaphore` or `VkFence` | sync_file | `Device::fence_of_semaphore`, `fence_of_vk_fence` | a command, an ioctl to see what it gave, a descriptor | as a Vulkan point |
//! | any that has a sync_file | your own `VkSemaphore` or `VkFence` | `Device::import_into_semaphore`, `import_into_vk_fence` | its sync_file, and a command | as its sync_file |
//! | sync_file | Vulkan wait | a submission | a `vkImportSemaphoreFdKHR` into a pooled semaphore | no |
//! | sync_file | display's wait | a commit (`IN_FENCE_FD`) | none: its number goes along | no |
//! | display's flip | sync_file | a commit (`OUT_FENCE_PTR`) | a descriptor | no |
//! | display's use of a buffer | anything of the kernel's | not at all: it is software | | |
//! | syncobj point | sync_file | [`Fence::export_sync_file`] | 4 ioctls; not before its work was submitted | no |
//! | any that has a sync_file | syncobj point | `SyncobjTimeline::import` | its sync_file, and 4 ioctls | as its sync_file |
//! | dma-buf's own fences | sync_file | [`DmaBuf::fences`] | 2 ioctls for each memory | no |
//! | any that has a sync_file | dma-buf's own fence | [`DmaBuf::add_fence`] | its sync_file, and an ioctl for each memory | as its sync_file |
//! | several | one sync_file | [`SyncFile::merge_all`], [`FenceSet::export_sync_file`] | their sync_files, and a `SYNC_IOC_MERGE` for each but the first | as their sync_files |
//! | software | anything of the kernel's | not at all ([`FenceError::NoSyncFile`]): wait for it, or poll it | | |
//! | any | a descriptor for poll | [`Fence::pollable`] | a descriptor: a sync_file, or an eventfd of software and syncobjs | as its sync_file |
//! | any | one that ends in an error by a deadline | [`Fence::with_deadline`] | an allocation | no |
//! | any | the CPU | [`Fence::wait`] | | yes |
//!
//! A producer that dies ends its fences in an error. A sync_file keeps it, and a software fence. A
//! Vulkan queue that waits for one goes on as if nothing were; the fence of that work fails with it
//! here. A dma-buf forgets the fence, and a syncobj its error: what cannot wait for a word that
//! never comes gets a deadline.
//!
//! ## Buffers that others hold
//!
//! Who has a buffer's descriptors and nothing else finds fences only in the dma-buf. So an
//! [`ExportGuard`], and an attachment that asks for it, makes the buffer
//! [implicit](SyncMode::Implicit): every use, by whomever, first merges the dma-buf's own fences
//! into its waits and adds its fence there afterwards, with nothing locked. Of the kernel's classes
//! only reads and writes can be added; a move goes there as a write, and the library's own uses
//! know it from the reservation. Attachments are explicit unless they are told: then no use takes a
//! system call for this, and a display that is given an in-fence ignores what the dma-buf says, as
//! the kernel has it.
//!
//! # When there is not room for all
//!
//! A [`Residency`] keeps a set of buffers within a budget for each place: what was used least recently
//! moves out, and comes back when it is used. [`SharedBuffer::report`] and [`RuntimeReport`] say who
//! is attached, pinned, stale, and waiting for what, as text and as JSON; every attach, map, move, pin
//! and refusal is an event of `tracing`.
//!
//! # When a device does not take a buffer
//!
//! [`Negotiation`] finds what suits everyone before memory is made, or tells who stands in whose
//! way. A device that does not take a buffer all the same (its strides, its place, no dma-bufs at
//! all) gets a copy that is kept fresh by damage: [`route`] says which way it is, why, and how many
//! bytes it copies.
//!
//! # What it cannot do
//!
//! User space is not told when the *kernel* moves memory. What this library promises holds among the
//! participants that use it.

#![deny(unsafe_code)]

mod access;
mod attachment;
mod box_error;
mod buffer;
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
pub use fence::{Fence, Timeline, TimelineId};
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
