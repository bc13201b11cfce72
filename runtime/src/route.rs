//! How a device reaches a buffer: directly, or by a copy that is kept up to date.
//!
//! A device that can use a buffer's own memory reads it where it is. That is [`Route::Direct`], and
//! no byte is copied. Some devices cannot: they need other strides, cannot reach the place, refuse the
//! import, have no dma-bufs at all, or would pull the buffer out of the memory where it is needed.
//! For them [`Routes::attach`] makes a **shadow**: a second buffer in memory that the device takes,
//! and a [`CopyEngine`] that copies what has changed, and only that, before each use.
//! [`RoutedAttachment::route`] and [`RoutedAttachment::bytes_copied`] report the route, the reason for
//! it, and the number of bytes copied.
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
//! // The stride is 512 bytes, and the display takes strides in multiples of 1024 bytes.
//! let buffer = SharedBuffer::new(&DmaHeap::open("system")?, desc, &[Modifier::LINEAR])?;
//! let detour = Detour::moving(&HostMemory::open()?, CpuRows::default());
//! let routes = Routes::new().with_detour(detour);
//! let moved = Arc::new(AtomicBool::new(false));
//! let attachment = routes.attach(&buffer, &display, RoutePolicy::Automatic, moved)?;
//! assert!(matches!(attachment.route(), Route::Shadow(_)));
//! let mapping = attachment.map()?;
//! assert_eq!(attachment.bytes_copied(), 100 * 100 * 4);
//!
//! // From here on, only changes are copied.
//! buffer.written(&Damage::from(Rectangle::new(10, 10, 5, 2)));
//! let mapping = attachment.map()?;
//! assert_eq!(attachment.bytes_copied(), 100 * 100 * 4 + 5 * 2 * 4);
//! # Ok(()) }
//! ```
//!
//! # What a shadow is
//!
//! - **A buffer like any other**: it has a name, appears in reports, and has its own reservation,
//!   attachments and pins. The device's pins hold the shadow. The buffer itself stays free to move,
//!   and the engine follows it. The callback given to [`Routes::attach`] is called when the shadow
//!   moves.
//! - **Read-only.** Nothing is copied back, so a submission that writes to it is refused
//!   ([`SubmitError::WriteToShadow`](crate::SubmitError::WriteToShadow)).
//! - **As fresh as its last map.** [`RoutedAttachment::map`] copies everything that was submitted
//!   before it. The copy is work like any other: it waits for the writers of the buffer and the
//!   readers of the shadow, and the next reader of the shadow and the next writer of the buffer wait
//!   for it. A device's engine queues the copy; [`CpuRows`] waits and copies before it returns.
//! - **In the same format.** Engines do not convert.
//!
//! # Damage
//!
//! A use states what its work changes ([`MappingUse::damaging`](crate::MappingUse::damaging)); if it
//! states nothing, everything counts as changed. The application reports writes that the library does
//! not see with [`SharedBuffer::written`](crate::SharedBuffer::written). While a foreign holder has the
//! buffer's descriptors ([`SharedBuffer::export`](crate::SharedBuffer::export)), every map copies
//! everything.
//!
//! # Which route
//!
//! [`RoutePolicy`] states what the application prefers. A device's refusal is remembered by the
//! device's name and by the buffer's memory and layout, so that its driver is not asked repeatedly;
//! [`Routes::forget_refusals`] clears this. A device that took the buffer but refuses it after a move
//! gets a shadow then.

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

pub use copy_engine::{Copier, CopyEngine, check_alike};
pub use cpu_rows::CpuRows;
pub use detour::Detour;
pub use error::{RefusedDetour, RoutedMapError};
pub use policy::{Route, RoutePolicy, ShadowReason, ShadowRoute};
pub use routed_attachment::RoutedAttachment;
pub use routes::{RouteStatistics, Routes};
