//! Buffers that can move, and a display that is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dmashare::host::HostMemory;
use dmashare::{
    AccessConstraint, BufferDesc, DynamicAttachment, Extent, Fourcc, Generation,
    InvalidationContext, Mapping, MoveError, Placements, SharedBuffer, Usage,
};
use dmashare_drm::Card;
use dmashare_lab_probe::bufinfo;

use super::{LIMIT, Screen, paint};

/// A buffer in a dma-heap that can move to a memfd.
pub(crate) fn movable(name: &str, extent: Extent) -> SharedBuffer {
    let host = HostMemory::open().expect("the lab has dma-heaps and udmabuf");
    let usage = Usage::SCANOUT | Usage::CPU_READ | Usage::CPU_WRITE;
    let desc = BufferDesc::new(name, extent, Fourcc::XRGB8888, usage);
    let heap = AccessConstraint::placements(Placements::HOST);
    SharedBuffer::new_dynamic(&host, desc, &heap).expect("there is memory")
}

/// Moves a buffer and waits until its content is there.
pub(crate) fn move_to(buffer: &SharedBuffer, place: Placements) -> Result<Generation, MoveError> {
    let moved = buffer.move_to(&AccessConstraint::placements(place))?;
    moved.wait(LIMIT).expect("nothing keeps the copy");
    Ok(moved.generation())
}

/// Who made the memory that the buffer has now, as the kernel says: "system" or "udmabuf".
pub(crate) fn made_by(buffer: &SharedBuffer) -> String {
    let inode = buffer.backing().dmabuf().id().inode();
    let all = bufinfo();
    let found = all.iter().find(|known| known.inode == inode);
    found.expect("the kernel lists it").exporter.clone()
}

/// What holds the buffer in place, in the order of pinning. The buffer's count is the sum over its
/// attachments (I1).
pub(crate) fn pins(buffer: &SharedBuffer) -> Vec<String> {
    let report = buffer.report();
    let attachments = report.attachments.iter();
    let sum: u32 = attachments.map(|attachment| attachment.pins).sum();
    assert_eq!(sum as usize, report.pins.len(), "{report}");
    assert_eq!(buffer.pins(), report.pins.len(), "{report}");
    report
        .pins
        .iter()
        .map(|pin| pin.label.to_string())
        .collect()
}

/// A buffer that can move, attached to a display.
pub(crate) struct Movable {
    pub(crate) buffer: SharedBuffer,
    pub(crate) scanout: DynamicAttachment<Card>,
    told: Arc<AtomicUsize>,
}

impl Movable {
    pub(crate) fn new(card: &Card, name: &str, extent: Extent) -> Self {
        Self::of(movable(name, extent), card)
    }

    pub(crate) fn painted(card: &Card, name: &str, extent: Extent, seed: u32) -> Self {
        let this = Self::new(card, name, extent);
        paint(this.buffer.backing().dmabuf(), seed);
        this
    }

    pub(crate) fn of(buffer: SharedBuffer, card: &Card) -> Self {
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let callback = move |_: &InvalidationContext<'_>| {
            count.fetch_add(1, Ordering::AcqRel);
        };
        let scanout = buffer
            .attach_dynamic(card, callback)
            .expect("the display takes it");
        Self {
            buffer,
            scanout,
            told,
        }
    }

    pub(crate) fn map(&self) -> Mapping<Card> {
        self.scanout.map().expect("the display can map it")
    }

    pub(crate) fn move_to(&self, place: Placements) -> Result<Generation, MoveError> {
        move_to(&self.buffer, place)
    }

    pub(crate) fn pins(&self) -> Vec<String> {
        pins(&self.buffer)
    }

    /// How often the display was told that the buffer moves.
    pub(crate) fn told(&self) -> usize {
        self.told.load(Ordering::Acquire)
    }

    /// It is pinned by these and no others, and a move is refused for that and changes nothing.
    pub(crate) fn assert_held_by(&self, labels: &[&str]) {
        let seen = || {
            let mut report = self.buffer.report();
            report.refusals = 0;
            (report, self.told())
        };
        // Memory that it left before, and that nobody uses any more, may still be counted.
        self.buffer.dispatch();
        let before = seen();
        assert_eq!(self.pins(), labels);
        let elsewhere = Placements::all() - self.buffer.backing().placement().into();
        let result = self.move_to(elsewhere);
        let Err(MoveError::Pinned { buffer, pins }) = &result else {
            panic!("{result:?}");
        };
        assert_eq!(buffer, self.buffer.desc().name.as_str());
        let named: Vec<&str> = pins.iter().map(|pin| &*pin.label).collect();
        assert_eq!(named, labels);
        let text = result.unwrap_err().to_string();
        for label in labels {
            assert!(text.contains(&format!("'{label}'")), "{text}");
        }
        assert_eq!(seen(), before, "a refused move has changed something");
    }

    /// Nothing pins it, and it can move there and back.
    pub(crate) fn assert_moves(&self) {
        assert_eq!(self.pins(), [""; 0]);
        for place in [Placements::SHMEM, Placements::HOST] {
            self.move_to(place).expect("nothing holds it");
        }
    }
}

/// What is pinned by nobody.
pub(crate) const NOTHING: [&str; 0] = [];

/// A buffer of the screen's size that can move, attached to its card.
pub(crate) fn picture(screen: &Screen, name: &str) -> Movable {
    Movable::new(&screen.card, name, screen.extent())
}
