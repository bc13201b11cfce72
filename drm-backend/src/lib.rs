//! Displays for `dmashare`: dma-bufs become KMS framebuffers through PRIME, and atomic commits put
//! them on the screen without a copy.
//!
//! [`Card`] is an [`Importer`](dmashare::Importer): attach a buffer to it, and its mapping holds a
//! [`Framebuffer`]. [`Card::present`] shows it; [`Card::commit`] does more: several outputs and
//! planes at once, captures by writeback. [`Card::dispatch`] tells what has happened, and frees
//! buffers. There are no threads: poll the card's descriptor and dispatch when it is readable.
//!
//! ```no_run
//! use std::time::Duration;
//! use dmashare::{BufferDesc, Extent, Fourcc, Modifier, SharedBuffer, Usage};
//! use dmashare_drm::Card;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let card = Card::open_any()?;
//! let outputs = card.outputs()?;
//! let output = outputs.iter().find(|output| output.is_connected()).ok_or("no display")?;
//! let mode = output.preferred_mode().ok_or("no mode")?;
//! let desc = BufferDesc::new("picture", mode.extent(), Fourcc::XRGB8888, Usage::SCANOUT);
//! let buffer = SharedBuffer::new(&card.dumb_buffers(), desc, &[Modifier::LINEAR])?;
//! let picture = buffer.attach(&card)?.map()?;
//! card.present(output, &picture, None)?;
//! for event in card.wait_events(Duration::from_secs(1))? {
//!     println!("{event:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # When a buffer is free again
//!
//! A buffer on the screen carries a read fence in its reservation, like any other use. It signals
//! once a later commit's flip event has arrived **and** every writeback of the commits that showed
//! the buffer is over; or its plane or output was switched off; or the card is closed. The flip event
//! alone is not enough: what captures it may still be reading.
//!
//! # Buffers that move
//!
//! A buffer that is attached with [`attach_dynamic`](dmashare::SharedBuffer::attach_dynamic) may move
//! between other memories while the display does not use it; each map after a move gives a
//! framebuffer of the new memory, and the old one is closed when its fences allow. While the display
//! may read it, from the commit that shows it until it is free, the buffer is pinned: a move is
//! refused with an error that names the output ("scanout Virtual-1"). So is the target of a capture,
//! until that is over. A buffer that is shown by two planes has two pins.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use std::sync::atomic::AtomicBool;
//! # use dmashare::SharedBuffer;
//! # use dmashare_drm::{Card, Output};
//! # fn show(card: &Card, output: &Output, buffer: &SharedBuffer) -> Result<(), Box<dyn std::error::Error>> {
//! let moved = Arc::new(AtomicBool::new(false));
//! let scanout = buffer.attach_dynamic(card, moved)?;
//! // Each frame: the same framebuffer as before, or one of the memory to which the buffer has moved.
//! card.present(output, &scanout.map()?, None)?;
//! # Ok(()) }
//! ```
//!
//! A display that cannot read all memory says so by [`Card::set_scanout_constraint`]; buffers are
//! moved to where it can before they are mapped.
//!
//! # What goes where
//!
//! Atomic mode setting only. The driver checks a whole commit (`TEST_ONLY`) whenever anything but
//! framebuffers, fences and damage changes; what it has accepted is remembered, so a steady flip is
//! one ioctl, and it names the framebuffer and the fence only. What was shown before comes back
//! when the card is dropped.

#![deny(unsafe_code)]

mod card;
mod commit;
mod device;
mod error;
mod framebuffer;
mod kms;
mod plane_property;
mod syncobj;
mod sys;

pub use card::Card;
pub use card::event::{CommitId, Event, Events};
pub use card::statistics::Statistics;
pub use commit::attempt::OutFences;
pub use commit::{Commit, OutputCommit, PlaneCommit};
pub use device::dumb_buffers::DumbBuffers;
pub use device::node::{Node, NodeKind};
pub use dmashare::Rectangle;
pub use error::{CommitError, DeviceError, Holder, ModeError, NoMaster, OpenError, SyncobjError};
pub use framebuffer::Framebuffer;
pub use kms::capabilities::Capabilities;
pub use kms::format_set::FormatSet;
pub use kms::mode::Mode;
pub use kms::output::{Output, OutputId};
pub use kms::plane::{Plane, PlaneKind};
pub use kms::rotation::Rotation;
pub use nix::sys::signal::Signal;
pub use plane_property::PlaneProperty;
pub use syncobj::timeline::SyncobjTimeline;
pub use syncobj::{Syncobj, SyncobjDevice, SyncobjWait};
