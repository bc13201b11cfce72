//! KMS backend for `dmashare`. It imports dma-bufs as framebuffers through PRIME and shows them with
//! atomic commits, without a copy.
//!
//! [`Card`] is an [`Importer`](dmashare::Importer): the mapping of a buffer that is attached to it
//! holds a [`Framebuffer`]. [`Card::present`] shows the mapping on one output. [`Card::commit`] updates
//! several outputs and planes at once and captures by writeback. [`Card::dispatch`] reports events and
//! releases buffers. The crate creates no threads: poll the card's file descriptor and dispatch when
//! it is readable.
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
//! # Release of buffers
//!
//! A buffer on the screen has a read fence in its reservation, like any other use. The fence signals
//! once a later commit's flip event has arrived **and** every writeback of the commits that showed the
//! buffer has completed, or once its plane or output was switched off, or the card is closed. The flip
//! event alone is not enough, because a writeback may still read the buffer.
//!
//! # Buffers that move
//!
//! A buffer that is attached with [`attach_dynamic`](dmashare::SharedBuffer::attach_dynamic) can move
//! to other memory while the display does not use it. Mapping it after a move returns a framebuffer of
//! the new memory; the old framebuffer is closed when its fences have signalled. From the commit that
//! shows the buffer until the buffer is free, the buffer is pinned: a move fails with an error that
//! names the output ("scanout Virtual-1"). A writeback target is pinned until the capture completes. A
//! buffer that two planes show has two pins.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use std::sync::atomic::AtomicBool;
//! # use dmashare::SharedBuffer;
//! # use dmashare_drm::{Card, Output};
//! # fn show(card: &Card, output: &Output, buffer: &SharedBuffer) -> Result<(), Box<dyn std::error::Error>> {
//! let moved = Arc::new(AtomicBool::new(false));
//! let scanout = buffer.attach_dynamic(card, moved)?;
//! // Each frame: the same framebuffer as before, or a new one if the buffer has moved.
//! card.present(output, &scanout.map()?, None)?;
//! # Ok(()) }
//! ```
//!
//! If a display cannot read all memory, set [`Card::set_scanout_constraint`]. Buffers then move to
//! suitable memory before they are mapped.
//!
//! # Commits
//!
//! This crate supports atomic mode setting only. The driver checks a whole commit (`TEST_ONLY`)
//! whenever anything but framebuffers, fences and damage changes. The card remembers accepted
//! configurations, so a steady flip is one ioctl that sets only the framebuffer and the fence. Dropping
//! the card restores what was shown before.

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
