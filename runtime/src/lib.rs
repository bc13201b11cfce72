//! Share GPU buffers between devices without copying them.
//!
//! `dmashare` knows where a buffer lives, who uses it and when. It owns the parts of buffer sharing
//! that are the same for every kind of device: the dma-buf and its validated [`Layout`], fences and
//! the [`Reservation`] that orders them, attachments and their mappings, and the submissions that
//! tie a piece of GPU work to the buffers it touches. It knows neither Vulkan nor DRM: those are
//! `dmashare-vk` and `dmashare-drm`, which implement [`Exporter`] and [`Importer`].
//!
//! # From memory to use
//!
//! ```text
//! BufferDesc ──Exporter──▶ Backing ──▶ SharedBuffer ──attach──▶ StaticAttachment ──map──▶ Mapping
//!  what is    allocates     DmaBuf +     reservation,   pins it                     the importer's
//!  wanted     and exports   Placement    attachments    and maps it                 own object
//! ```
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
//! instead adds nothing.
//!
//! # What it cannot do
//!
//! User space is not told when the *kernel* moves memory. What this library promises holds among the
//! participants that use it. A raw file descriptor that leaves the library ([`SharedBuffer::export`])
//! therefore holds the buffer where it is until its [`ExportGuard`] is dropped.

#![deny(unsafe_code)]

mod access;
mod attachment;
mod attachment_list;
mod backing;
mod buffer;
mod buffer_desc;
mod callback_gate;
mod clock;
mod constraint;
mod copying;
mod cpu_access;
mod dmabuf;
mod dmabuf_memory;
mod dynamic_attachment;
mod dynamic_exporter;
mod error;
mod export_guard;
mod exporter;
mod fence;
mod fence_set;
mod format;
mod format_info;
mod hdr_metadata;
mod held;
pub mod host;
mod importer;
#[cfg(feature = "in-memory")]
pub mod in_memory;
mod invalidation;
mod layout;
mod mapping;
mod modifier;
mod move_fence;
mod moving;
mod old_backing;
mod pending_move;
mod pin;
mod pinning;
mod placement;
mod pool;
mod reach;
mod registry;
mod report;
mod reservation;
mod residency;
mod retire_queue;
mod revocation;
mod shared_buffer;
mod software_timeline;
mod submission;
mod sync;
mod sync_file;
mod sys;
mod telling;

pub use access::Access;
pub use attachment::{AttachmentId, StaticAttachment};
pub use backing::{Allocation, Backing, Generation};
pub use buffer_desc::{
    AlphaMode, BufferDesc, ChromaSiting, Colour, ColourRange, Extent, MatrixCoefficients,
    Primaries, TransferFunction, Usage,
};
pub use clock::Moment;
pub use constraint::AccessConstraint;
pub use cpu_access::CpuAccess;
pub use dmabuf::{DmaBuf, PlaneFd};
pub use dmabuf_memory::{DmaBufMemory, MemoryId};
pub use dynamic_attachment::DynamicAttachment;
pub use dynamic_exporter::{Copied, DynamicExporter};
pub use error::{
    AttachError, BoxError, CpuAccessError, DmaBufError, ExportError, FenceError, ImportError,
    LayoutError, MapError, MoveError, PinError, ResidencyError, RevokeError, SubmitError,
    SyncFileError,
};
pub use export_guard::ExportGuard;
pub use exporter::Exporter;
pub use fence::{Fence, FenceStatus, Timeline, TimelineId};
pub use fence_set::FenceSet;
pub use format::Fourcc;
pub use format_info::{FormatInfo, PlaneInfo};
pub use hdr_metadata::{Chromaticity, HdrStaticMetadata};
pub use importer::Importer;
pub use invalidation::{Invalidate, InvalidationContext, InvalidationReason};
pub use layout::{Layout, PlaneLayout};
pub use mapping::{Mapping, MappingUse};
pub use modifier::Modifier;
pub use moving::Move;
pub use pin::{PinGuard, PinReport};
pub use placement::{Placement, Placements};
pub use pool::BackingPool;
pub use report::{
    AttachmentKind, AttachmentReport, BufferReport, BufferState, FenceReport, OldBackingReport,
    RuntimeReport,
};
pub use reservation::{FenceUsage, Reservation};
pub use residency::{Priority, Residency, ResidencyStatistics, TrimReport};
pub use retire_queue::RetireQueue;
pub use revocation::Revocation;
pub use shared_buffer::SharedBuffer;
pub use software_timeline::SoftwareTimeline;
pub use submission::Submission;
pub use sync_file::SyncFile;
