//! How a device gets at a buffer: directly, or by a copy that is kept fresh.
//!
//! A device that takes a buffer's own memory reads it where it is: that is [`Route::Direct`], and
//! no byte is copied. Some don't: they want other strides, cannot reach the place, refuse at
//! import, have no dma-bufs at all, or would drag the buffer out of the memory where it is needed.
//! For them [`Routes::attach`] makes a **shadow**: a second buffer in memory that the device takes,
//! and something that copies ([`CopyEngine`]) what has changed, and only that, before each use.
//! Which route it is, why, and how many bytes were copied are for everyone to see:
//! [`RoutedAttachment::route`], [`RoutedAttachment::bytes_copied`].
//!
//! ```
//! # use dmashare::{AccessConstraint, Backing, BufferDesc, FenceSet, ImportError, Importer, Extent, Fourcc, Usage};
//! # #[derive(Clone)] struct Display;
//! # impl Importer for Display {
//! #     type Object = u64;
//! #     fn name(&self) -> &str { "display" }
//! #     fn constraint(&self, _: &BufferDesc) -> AccessConstraint {
//! #         let mut constraint = AccessConstraint::default();
//! #         constraint.stride_alignment = 1024;
//! #         constraint
//! #     }
//! #     fn import(&self, _: &BufferDesc, backing: &Backing) -> Result<u64, ImportError> {
//! #         Ok(backing.dmabuf().id().inode())
//! #     }
//! #     fn retire(&self, _: u64, _: FenceSet) {}
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let display = Display;
//! # let desc = BufferDesc::new("frame", Extent::new(100, 100), Fourcc::XRGB8888, Usage::CPU_WRITE);
//! use std::sync::Arc;
//! use std::sync::atomic::AtomicBool;
//!
//! use dmashare::host::{DmaHeap, HostMemory};
//! use dmashare::route::{CpuRows, Detour, Route, RoutePolicy, Routes};
//! use dmashare::{Damage, Modifier, Rectangle, SharedBuffer};
//!
//! // Rows of 512 bytes, and a display that takes rows of multiples of 1024 bytes.
//! let buffer = SharedBuffer::new(&DmaHeap::open("system")?, desc, &[Modifier::LINEAR])?;
//! let detour = Detour::moving(&HostMemory::open()?, CpuRows::default());
//! let routes = Routes::new().with_detour(detour);
//! let moved = Arc::new(AtomicBool::new(false));
//! let attachment = routes.attach(&buffer, &display, RoutePolicy::Automatic, moved)?;
//! assert!(matches!(attachment.route(), Route::Shadow(_)));
//! let mapping = attachment.map()?;
//! assert_eq!(attachment.bytes_copied(), 100 * 100 * 4);
//!
//! // From here on only what changes is copied.
//! buffer.written(&Damage::from(Rectangle::new(10, 10, 5, 2)));
//! let mapping = attachment.map()?;
//! assert_eq!(attachment.bytes_copied(), 100 * 100 * 4 + 5 * 2 * 4);
//! # Ok(()) }
//! ```
//!
//! # What a shadow is
//!
//! - **A buffer like any other**: named, in reports, with a reservation, attachments and pins of
//!   its own. The device's pins hold the shadow; the buffer itself stays free to move, and its
//!   engine follows it. The callback that was given to [`Routes::attach`] is told when the shadow
//!   moves.
//! - **For reading.** Nothing comes back from it: a submission that writes to it is refused
//!   ([`SubmitError::WriteToShadow`](crate::SubmitError::WriteToShadow)).
//! - **As fresh as its last map.** [`RoutedAttachment::map`] brings in everything that was
//!   submitted before it. The copy is work like any other: it waits for the writers of the buffer
//!   and for the readers of the shadow, the next reader of the shadow waits for it, and the next
//!   writer of the buffer next, too. An engine of a device queues it; [`CpuRows`] does it at once,
//!   and waits for both.
//! - **Never another format.** Engines copy samples.
//!
//! # Damage
//!
//! A use says what its work changes ([`MappingUse::damaging`](crate::MappingUse::damaging)); one that
//! says nothing has changed everything. Writes of which the library does not know are told with
//! [`SharedBuffer::written`](crate::SharedBuffer::written). While someone outside the library holds the
//! buffer's descriptors ([`SharedBuffer::export`](crate::SharedBuffer::export)) every map copies
//! everything.
//!
//! # Which route
//!
//! [`RoutePolicy`] says what the application prefers. A device's refusal is remembered, by the
//! device's name and all that the buffer's memory and layout tell, so that its driver is not asked
//! again and again; [`Routes::forget_refusals`] forgets. A device that took the buffer and refuses
//! it after a move gets a shadow then.

pub(crate) mod copy_engine;
pub(crate) mod cpu_rows;
pub(crate) mod detour;
pub(crate) mod error;
pub(crate) mod known_routes;
pub(crate) mod policy;
pub(crate) mod refusals;
pub(crate) mod routed_attachment;
pub(crate) mod routes;
pub(crate) mod shadow;

pub use copy_engine::{Copier, CopyEngine};
pub use cpu_rows::CpuRows;
pub use detour::Detour;
pub use error::{RefusedDetour, RoutedMapError};
pub use policy::{Route, RoutePolicy, ShadowReason, ShadowRoute};
pub use routed_attachment::RoutedAttachment;
pub use routes::{RouteStatistics, Routes};
