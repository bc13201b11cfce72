//! Everyone in the lab who uses dma-bufs, and whether each sees the right pixels.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use dmashare::route::{Route, RoutePolicy, RoutedAttachment, Routes};
use dmashare::{
    Access, AccessConstraint, Backing, BufferDesc, CpuMapping, Extent, FenceSet, Fourcc,
    ImportError, Importer, Mapping, Modifier, SharedBuffer, Usage,
};
use dmashare_drm::{Card, Commit, Event, Output, OutputCommit, PlaneCommit};
use dmashare_samples::capture::Capture;
use dmashare_samples::frame_pixels::{FramePixels, near};
use dmashare_samples::picture::Picture;
use dmashare_samples::pixel_format::PixelFormat;
use dmashare_samples::v4l2::{V4l2Capture, V4l2Output};
use dmashare_vk::Device;

use crate::exporters::{FRAME, Made, read};
use crate::support::loopback::HDMI;

const LINEAR: &[Modifier] = &[Modifier::LINEAR];
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) enum User {
    Vulkan(Device),
    Display(&'static str, Card, Output),
    Vgem(Vgem),
    VideoOutput,
}

/// How a buffer came to a user.
#[derive(Debug)]
pub(crate) enum Came {
    Directly,
    ByShadow(String),
    Not(String),
}

impl User {
    pub(crate) fn all() -> Vec<Self> {
        let cards = crate::support::cards("vkms");
        let display = |name, index: usize| {
            let card = Card::open(&cards[index]).unwrap();
            let outputs = card.outputs().unwrap();
            let output = outputs.into_iter().find(Output::is_connected).unwrap();
            Self::Display(name, card, output)
        };
        vec![
            Self::Vulkan(crate::support::device()),
            display("vkms", 0),
            display("second vkms", 1),
            Self::Vgem(Vgem::open()),
            Self::VideoOutput,
        ]
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Vulkan(_) => "Vulkan",
            Self::Display(name, ..) => name,
            Self::Vgem(_) => "vgem",
            Self::VideoOutput => "vivid output",
        }
    }

    /// The size of images that it can be shown: a video output has its own.
    pub(crate) fn extent(&self) -> Option<Extent> {
        match self {
            Self::VideoOutput => Some(HDMI),
            _ => None,
        }
    }

    /// Whether it says that it takes the format, and its pixels can be checked.
    pub(crate) fn claims(&self, format: Fourcc) -> bool {
        match self {
            Self::Vulkan(device) => device
                .physical_device()
                .modifiers(format, Usage::TRANSFER_SOURCE)
                .unwrap()
                .iter()
                .any(|support| support.importable),
            Self::Display(_, _, output) => {
                let is_known = match PixelFormat::of(format) {
                    // What a display makes of the missing channels is its own affair.
                    Some(_) => ![Fourcc::R8, Fourcc::GR88].contains(&format),
                    None => FramePixels::knows(format),
                };
                is_known && output.formats().contains(format, Modifier::LINEAR)
            }
            Self::Vgem(_) => true,
            Self::VideoOutput => V4l2Output::open(None, format, HDMI).is_ok(),
        }
    }

    /// Attaches the user and has it look at the pixels; wrong ones fail the test.
    pub(crate) fn look(&self, made: &Made, routes: &Routes, policy: RoutePolicy) -> Came {
        match self {
            Self::Vulkan(device) => attached(made, device, routes, policy, |mapping| {
                let seen = device.transfer().download(mapping).unwrap();
                assert!(seen == made.bytes, "Vulkan sees other pixels");
            }),
            Self::Display(_, card, output) => attached(made, card, routes, policy, |mapping| {
                shows(card, output, mapping, made);
            }),
            Self::Vgem(vgem) => attached(made, vgem, routes, policy, |mapping| {
                let handle = mapping.object();
                assert!(handle.is_attached(&made.buffer), "not in the kernel's list");
            }),
            Self::VideoOutput => {
                let output = V4l2Output::open(None, made.buffer.desc().format, HDMI).unwrap();
                attached(made, &output, routes, policy, |mapping| {
                    sends(&output, mapping, made);
                })
            }
        }
    }
}

fn attached<I: Importer>(
    made: &Made,
    importer: &I,
    routes: &Routes,
    policy: RoutePolicy,
    look: impl FnOnce(&Mapping<I>),
) -> Came {
    let never_read = Arc::new(AtomicBool::new(false));
    let attached: RoutedAttachment<I> =
        match routes.attach(&made.buffer, importer, policy, never_read) {
            Ok(attached) => attached,
            Err(error) => return Came::Not(error.to_string()),
        };
    let mapping = attached.map().unwrap();
    look(&mapping);
    match attached.route() {
        Route::Direct => {
            assert_eq!(attached.bytes_copied(), 0);
            Came::Directly
        }
        Route::Shadow(route) => {
            assert_eq!(attached.bytes_copied(), made.bytes.len() as u64);
            Came::ByShadow(route.reason.to_string())
        }
    }
}

/// Shows the buffer on the whole screen, and compares what the display has written back.
fn shows(card: &Card, output: &Output, framebuffer: &Mapping<Card>, made: &Made) {
    // What was demanded of the buffer is not demanded of the capture.
    card.set_scanout_constraint(AccessConstraint::default());
    let (format, extent) = (made.buffer.desc().format, made.buffer.desc().extent);
    let is_deep = PixelFormat::of(format).is_some_and(PixelFormat::is_deep);
    let captured_as = match is_deep {
        true => Fourcc::XRGB16161616,
        false => Fourcc::XRGB8888,
    };
    let usage = Usage::SCANOUT | Usage::CPU_READ;
    let desc = BufferDesc::new("matrix capture", extent, captured_as, usage);
    let target = SharedBuffer::new(&card.dumb_buffers(), desc, LINEAR).unwrap();
    let writeback = target.attach(card).unwrap().map().unwrap();
    let mode = output.mode(&extent.to_string()).unwrap();
    let commit = OutputCommit::new(output)
        .mode(mode)
        .plane(PlaneCommit::primary(framebuffer))
        .writeback(&writeback);
    let commit = card.commit(Commit::new().output(commit)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let (mut flipped, mut written) = (false, false);
    while !(flipped && written) {
        assert!(Instant::now() < deadline, "no flip or no capture");
        for event in card.wait_events(Duration::from_millis(100)).unwrap() {
            match event {
                Event::Flip { commit: of, .. } => flipped |= of == commit,
                Event::Written { commit: of, .. } => written |= of == commit,
                _ => {}
            }
        }
    }
    let mut memory = CpuMapping::new(target.backing().dmabuf(), Access::Read).unwrap();
    let capture = Capture::read(&mut memory).unwrap();
    if made.is_picture
        && let Some(shown_as) = PixelFormat::of(format)
    {
        let picture = Picture::new(extent, FRAME);
        crate::support::all_equal(&capture.compare(&picture, shown_as), extent);
        return;
    }
    let color = made.buffer.desc().color;
    let dmabuf = made.buffer.backing();
    let mut source = CpuMapping::new(dmabuf.dmabuf(), Access::Read).unwrap();
    // vkms has the black and white of eight bits times 257 for those of sixteen.
    let source = FramePixels::read(&mut source, color)
        .unwrap()
        .with_word_step(257.0);
    let tolerance = match format {
        // Five and six bits are made eight here and there, by two roundings.
        Fourcc::RGB565 => 1,
        _ => source.tolerance(),
    };
    for y in 0..extent.height {
        for x in 0..extent.width {
            let shown = capture.pixel(x, y).eight_bits();
            let expected = source.pixel(x, y).unwrap();
            assert!(
                near(shown, expected, tolerance),
                "({x}, {y}): {shown:?} instead of {expected:?}"
            );
        }
    }
}

/// Sends the buffer through the cable, and compares what comes out at the other end.
fn sends(output: &V4l2Output, sent: &Mapping<V4l2Output>, made: &Made) {
    let format = made.buffer.desc().format;
    let camera = V4l2Capture::open(None, format, HDMI).unwrap();
    let frames: Vec<_> = (0..3)
        .map(|_| {
            let desc = BufferDesc::new("matrix, looped", HDMI, format, Usage::CPU_READ);
            let frame = SharedBuffer::new(&camera, desc, LINEAR).unwrap();
            let filled = frame.attach(&camera).unwrap().map().unwrap();
            (frame, filled)
        })
        .collect();
    output.queue(sent, PATIENCE).unwrap();
    output.start().unwrap();
    for (_, filled) in &frames {
        camera.queue(filled, PATIENCE).unwrap();
    }
    camera.start().unwrap();
    // The output may not have begun when the first frames were captured.
    let came_through = frames.iter().any(|_| {
        let frame = camera.wait_frame(PATIENCE).unwrap().unwrap();
        let (buffer, _) = &frames[frame.index as usize];
        read(buffer.backing().dmabuf()) == made.bytes
    });
    camera.stop().unwrap();
    output.stop().unwrap();
    assert!(came_through, "{format} came out differently");
}

/// vgem's node. It imports dma-bufs (`PRIME_FD_TO_HANDLE`) and can do no more with them.
#[derive(Clone)]
pub(crate) struct Vgem(Arc<File>);

/// A GEM handle of vgem, closed when dropped.
pub(crate) struct Handle {
    node: Vgem,
    handle: drm::buffer::Handle,
}

impl Vgem {
    fn open() -> Self {
        let path = &crate::support::cards("vgem")[0];
        let file = File::options().read(true).write(true).open(path).unwrap();
        Self(Arc::new(file))
    }
}

impl AsFd for Vgem {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for Vgem {}
impl drm::control::Device for Vgem {}

impl Importer for Vgem {
    type Object = Handle;

    fn name(&self) -> &str {
        "vgem"
    }

    fn import(&self, _desc: &BufferDesc, backing: &Backing) -> Result<Handle, ImportError> {
        use drm::control::Device as _;
        let memory = &backing.dmabuf().memories()[0];
        let handle = self.prime_fd_to_buffer(memory.as_fd());
        let handle = handle.map_err(|source| ImportError::Refused {
            importer: "vgem".to_owned(),
            operation: "PRIME_FD_TO_HANDLE",
            source: source.into(),
        })?;
        Ok(Handle {
            node: self.clone(),
            handle,
        })
    }

    fn retire(&self, object: Handle, _after: FenceSet) {
        drop(object);
    }
}

impl Handle {
    /// Whether the kernel's list has vgem among those who are attached. vgem's own memory is not attached
    /// to itself.
    fn is_attached(&self, buffer: &SharedBuffer) -> bool {
        let inode = buffer.backing().dmabuf().id().inode();
        let list = dmashare_lab_probe::bufinfo();
        let entry = list.iter().find(|entry| entry.inode == inode).unwrap();
        let exporter = buffer.exporter().map(|exporter| exporter.name().to_owned());
        let is_own = exporter.is_some_and(|name| name.contains("vgem"));
        is_own || entry.attached.iter().any(|name| name == "vgem")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        use drm::control::Device as _;
        self.node.close_buffer(self.handle).unwrap();
    }
}
