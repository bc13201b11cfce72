//! A display of its own for each test, buffers with pictures in them, and waiting for events.

pub(crate) mod movable;

pub mod composed;

use std::time::{Duration, Instant};

use dmashare::{
    Access, BufferDesc, CpuAccess, DmaBuf, Exporter, Extent, Fence, FenceStatus, Fourcc, Mapping,
    Modifier, SharedBuffer, SyncFile, Usage,
};
use dmashare_drm::{Card, Commit, CommitId, Event, Mode, Output, OutputCommit, PlaneCommit};
use dmashare_lab_probe::{SwSyncTimeline, VkmsDisplay};

/// More than any step takes on a slow machine; nothing waits that long when all is right.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A vkms display with its card open. The card goes first.
pub(crate) struct Screen {
    pub(crate) output: Output,
    pub(crate) mode: Mode,
    pub(crate) card: Card,
    pub(crate) display: VkmsDisplay,
}

impl Screen {
    /// A display in its smallest usual mode: software composes it.
    pub(crate) fn new() -> Self {
        Self::in_mode("640x480")
    }

    pub(crate) fn in_mode(mode: &str) -> Self {
        let display = VkmsDisplay::new();
        let card = Card::open(display.node()).expect("a display of our own can be opened");
        let output = connected(&card).remove(0);
        let mode = output.mode(mode).expect("vkms has the usual modes");
        Self {
            output,
            mode,
            card,
            display,
        }
    }

    /// What the display's pins are called. The kernel numbers the outputs of all cards.
    pub(crate) fn scanout(&self) -> String {
        format!("scanout {}", self.output.name())
    }

    /// What the pins of its captures are called.
    pub(crate) fn writeback(&self) -> String {
        format!("writeback {}", self.output.name())
    }

    pub(crate) fn extent(&self) -> Extent {
        self.mode.extent()
    }

    /// The output with one buffer on its primary plane.
    pub(crate) fn showing(&self, buffer: &Mapping<Card>) -> OutputCommit {
        OutputCommit::new(&self.output)
            .mode(self.mode)
            .plane(PlaneCommit::primary(buffer))
    }

    /// Commits and waits for the flip.
    pub(crate) fn show(&self, output: OutputCommit) -> CommitId {
        let id = self
            .card
            .commit(Commit::new().output(output))
            .expect("the commit is right");
        wait_for_flip(&self.card, id);
        id
    }

    /// Shows `output` and gives what the display really composed, as a buffer of `format`.
    pub(crate) fn capture(&self, output: OutputCommit, format: Fourcc) -> SharedBuffer {
        let target = buffer(&self.card.dumb_buffers(), "captured", format, self.extent());
        let mapping = map(&target, &self.card);
        let commit = Commit::new().output(output.writeback(&mapping));
        let id = self.card.commit(commit).expect("the commit is right");
        wait_for_capture(&self.card, id);
        target
    }
}

pub(crate) fn connected(card: &Card) -> Vec<Output> {
    let outputs = card.outputs().expect("outputs can be asked for");
    let connected: Vec<Output> = outputs.into_iter().filter(Output::is_connected).collect();
    assert!(!connected.is_empty(), "nothing is connected to {card:?}");
    connected
}

pub(crate) fn buffer<E: Exporter + Clone + 'static>(
    exporter: &E,
    name: &str,
    format: Fourcc,
    extent: Extent,
) -> SharedBuffer {
    let usage = Usage::SCANOUT | Usage::CPU_READ | Usage::CPU_WRITE;
    let desc = BufferDesc::new(name, extent, format, usage);
    SharedBuffer::new(exporter, desc, &[Modifier::LINEAR])
        .unwrap_or_else(|error| panic!("{name} {format} {extent}: {error}"))
}

pub(crate) fn map(buffer: &SharedBuffer, card: &Card) -> Mapping<Card> {
    buffer
        .attach(card)
        .unwrap_or_else(|error| panic!("{}: {error:?}", buffer.desc().name))
        .map()
        .expect("a static attachment is mapped")
}

/// A byte that differs from its neighbours and from those of other seeds.
fn byte(seed: u32, x: usize, y: usize) -> u8 {
    let mut hash = seed
        .wrapping_mul(0x9e37_79b9)
        .wrapping_add(u32::try_from(x).unwrap().wrapping_mul(0x85eb_ca6b))
        .wrapping_add(u32::try_from(y).unwrap().wrapping_mul(0xc2b2_ae35));
    hash ^= hash >> 15;
    hash = hash.wrapping_mul(0x2c1b_3c6d);
    hash ^= hash >> 12;
    hash.to_le_bytes()[1]
}

/// Row `y` of a picture.
pub(crate) fn row(seed: u32, y: u32, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|x| byte(seed, x, y as usize)).collect()
}

/// Fills the first plane with the picture of this seed, by the CPU.
pub(crate) fn paint(dmabuf: &DmaBuf, seed: u32) {
    let mut access =
        CpuAccess::begin(dmabuf, Access::Write).expect("dumb and host memory can be mapped");
    let bytes = access.row_bytes(0).unwrap();
    for y in 0..dmabuf.extent().height {
        access.write_row(0, y, &row(seed, y, bytes)).unwrap();
    }
}

pub(crate) fn painted<E: Exporter + Clone + 'static>(
    exporter: &E,
    name: &str,
    format: Fourcc,
    extent: Extent,
    seed: u32,
) -> SharedBuffer {
    let buffer = buffer(exporter, name, format, extent);
    paint(buffer.backing().dmabuf(), seed);
    buffer
}

/// Which bytes of a pixel are color: the others are alpha or nothing.
fn color_bytes(format: Fourcc) -> &'static [bool] {
    match format {
        Fourcc::RGB565 => &[true; 2],
        Fourcc::XRGB8888 | Fourcc::ARGB8888 => &[true, true, true, false],
        Fourcc::XRGB16161616 | Fourcc::ARGB16161616 => {
            &[true, true, true, true, true, true, false, false]
        }
        other => panic!("{other} is not compared here"),
    }
}

/// The format in which a picture of this format is captured without loss. vkms cuts low bits off
/// when it writes RGB565.
pub(crate) fn captured_as(format: Fourcc) -> Fourcc {
    if format == Fourcc::RGB565 {
        Fourcc::XRGB16161616
    } else {
        format
    }
}

/// A pixel of the picture in the format in which it is captured.
fn converted(format: Fourcc, pixel: &[u8]) -> Vec<u8> {
    if format != Fourcc::RGB565 {
        return pixel.to_vec();
    }
    let packed = u16::from_le_bytes([pixel[0], pixel[1]]);
    // The nearest 16-bit value of each channel.
    let widen = |value: u16, maximum: u32| {
        let value = (u32::from(value) * 65535 * 2 + maximum) / (maximum * 2);
        u16::try_from(value).unwrap().to_le_bytes()
    };
    let blue = widen(packed & 0x1f, 31);
    let green = widen(packed >> 5 & 0x3f, 63);
    let red = widen(packed >> 11, 31);
    [blue, green, red, [0, 0]].concat()
}

/// A picture that was painted, and the part of it that is on the screen.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) seed: u32,
    pub(crate) format: Fourcc,
    /// Where in the picture the part begins.
    pub(crate) from: (u32, u32),
    /// Where on the screen it begins.
    pub(crate) at: (u32, u32),
    pub(crate) extent: Extent,
}

impl Shown {
    pub(crate) fn whole(seed: u32, format: Fourcc, extent: Extent) -> Self {
        Self {
            seed,
            format,
            from: (0, 0),
            at: (0, 0),
            extent,
        }
    }

    fn row(&self, y: u32) -> Option<Vec<Vec<u8>>> {
        if y < self.at.1 || y - self.at.1 >= self.extent.height {
            return None;
        }
        let bytes = color_bytes(self.format).len();
        let end = (self.from.0 + self.extent.width) as usize * bytes;
        let row = row(self.seed, self.from.1 + y - self.at.1, end);
        let pixels = row.chunks_exact(bytes).skip(self.from.0 as usize);
        Some(pixels.map(|pixel| converted(self.format, pixel)).collect())
    }
}

/// Counts pixels of `captured` that differ from what should be shown; the rest of the screen is
/// black.
pub(crate) fn wrong_pixels(captured: &SharedBuffer, shown: Shown) -> usize {
    captured
        .wait_ready(Access::Read, LIMIT)
        .expect("the capture is over");
    let backing = captured.backing();
    let dmabuf = backing.dmabuf();
    let mask = color_bytes(dmabuf.format());
    let access = CpuAccess::begin(dmabuf, Access::Read).unwrap();
    let mut bytes = vec![0; access.row_bytes(0).unwrap()];
    let mut wrong = 0;
    for y in 0..dmabuf.extent().height {
        access.read_row(0, y, &mut bytes).unwrap();
        let picture = shown.row(y);
        for (x, seen) in bytes.chunks_exact(mask.len()).enumerate() {
            let expected = x
                .checked_sub(shown.at.0 as usize)
                .and_then(|x| picture.as_ref()?.get(x));
            let equal = mask.iter().enumerate().all(|(index, color)| {
                !color || seen[index] == expected.map_or(0, |expected| expected[index])
            });
            wrong += usize::from(!equal);
        }
    }
    wrong
}

/// Dispatches until `wanted` says so, and gives the event; others are passed over.
pub(crate) fn wait_for(card: &Card, mut wanted: impl FnMut(&Event) -> bool) -> Event {
    let deadline = Instant::now() + LIMIT;
    loop {
        let events = card
            .wait_events(Duration::from_millis(100))
            .expect("dispatch works");
        if let Some(event) = events.into_iter().find(|event| wanted(event)) {
            return event;
        }
        assert!(Instant::now() < deadline, "the event did not come");
    }
}

pub(crate) fn wait_for_flip(card: &Card, id: CommitId) -> Event {
    wait_for(
        card,
        |event| matches!(event, Event::Flip { commit, .. } if *commit == id),
    )
}

pub(crate) fn wait_for_capture(card: &Card, id: CommitId) {
    let event = wait_for(
        card,
        |event| matches!(event, Event::Written { commit, .. } if *commit == id),
    );
    let Event::Written { status, .. } = event else {
        unreachable!()
    };
    assert_eq!(status, FenceStatus::Signalled, "the capture failed");
}

/// Dispatches until the buffer may be written.
pub(crate) fn wait_until_free(card: &Card, buffer: &SharedBuffer) {
    let deadline = Instant::now() + LIMIT;
    while buffer.ready(Access::Write).status() == FenceStatus::Pending {
        card.wait_events(Duration::from_millis(20)).unwrap();
        assert!(Instant::now() < deadline, "the buffer was not freed");
    }
}

/// Whether the buffer may be written now, without dispatching.
pub(crate) fn is_free(buffer: &SharedBuffer) -> bool {
    buffer.ready(Access::Write).status() == FenceStatus::Signalled
}

/// Long enough for any flip that waits for nothing.
pub(crate) const A_WHILE: Duration = Duration::from_millis(400);

/// A point of a kernel timeline as a fence.
pub(crate) fn sync_fence(timeline: &SwSyncTimeline, value: u32) -> Fence {
    SyncFile::new(timeline.fence(value))
        .expect("sw_sync makes sync_files")
        .into()
}
