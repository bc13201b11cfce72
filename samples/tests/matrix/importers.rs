//! The lab's importers of dma-bufs, and whether each sees the right pixels.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dmashare::host::HostMemory;
use dmashare::route::{CpuRows, Detour, Route, RoutePolicy, Routes};
use dmashare::{
    Access, AccessConstraint, Backing, BufferDesc, CpuMapping, Extent, FenceSet, Fourcc,
    ImportError, Importer, Mapping, Modifier, SharedBuffer, Usage,
};
use dmashare_drm::{Card, DumbBuffers, Output, PlaneCommit};
use dmashare_lab_probe::{Vgem, VgemBuffer};
use dmashare_samples::capture::Capture;
use dmashare_samples::frame_pixels::{FramePixels, near};
use dmashare_samples::pixel_format::PixelFormat;
use dmashare_v4l2::V4l2Output;
use dmashare_vk::Device;

use crate::exporters::{FRAME, Made};
use crate::support::display::{open_display, show};
use crate::support::loopback::{HDMI, sent};
use crate::support::pixels::is_frame;
use crate::support::{map, shown_buffer};

pub(crate) enum User {
    Vulkan(Device),
    Display(&'static str, Card, Output),
    Vgem(VgemNode),
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
        let display = |name, index| {
            let (card, output) = open_display(index);
            Self::Display(name, card, output)
        };
        vec![
            Self::Vulkan(crate::support::device()),
            display("vkms", 0),
            display("second vkms", 1),
            Self::Vgem(VgemNode(Box::leak(Box::new(Vgem::open())))),
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
                    // Displays differ in what they make of missing channels.
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
            Self::Vgem(vgem) => attached(made, vgem, routes, policy, |_| {
                let attached = is_attached_to_vgem(&made.buffer);
                assert!(attached, "not in the kernel's list");
            }),
            Self::VideoOutput => {
                let format = made.buffer.desc().format;
                let output = V4l2Output::open(None, format, HDMI).unwrap();
                attached(made, &output, routes, policy, |mapping| {
                    let frames = sent(&output, mapping, format, || {});
                    assert!(
                        frames.contains(&made.bytes),
                        "{format} came out differently"
                    );
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
    let attached = match routes.attach(&made.buffer, importer, policy, never_read) {
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
    let target = shown_buffer(&card.dumb_buffers(), extent, captured_as);
    let writeback = map(&target, card);
    let planes = vec![PlaneCommit::primary(framebuffer)];
    show(card, output, planes, &writeback);
    let mut memory = CpuMapping::new(target.backing().dmabuf(), Access::Read).unwrap();
    let capture = Capture::read(&mut memory).unwrap();
    if made.is_picture && PixelFormat::of(format).is_some() {
        return is_frame(&capture, FRAME, format);
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

/// vgem's node. It imports dma-bufs (`PRIME_FD_TO_HANDLE`) and can do no more with them.
#[derive(Clone)]
pub(crate) struct VgemNode(&'static Vgem);

impl Importer for VgemNode {
    type Object = VgemBuffer<'static>;

    fn name(&self) -> &str {
        "vgem"
    }

    fn import(
        &self,
        _desc: &BufferDesc,
        backing: &Backing,
    ) -> Result<VgemBuffer<'static>, ImportError> {
        Ok(self.0.import(backing.dmabuf().memories()[0].as_fd()))
    }

    fn retire(&self, object: VgemBuffer<'static>, _after: FenceSet) {
        drop(object);
    }
}

/// Whether the kernel's list has vgem among the buffer's attachments. vgem's own memory is not attached to
/// itself.
fn is_attached_to_vgem(buffer: &SharedBuffer) -> bool {
    let inode = buffer.backing().dmabuf().id().inode();
    let list = dmashare_lab_probe::bufinfo();
    let entry = list.iter().find(|entry| entry.inode == inode).unwrap();
    let exporter = buffer.exporter().map(|exporter| exporter.name().to_owned());
    let is_own = exporter.is_some_and(|name| name.contains("vgem"));
    is_own || entry.attached.iter().any(|name| name == "vgem")
}

/// Host memory with any strides; else dumb buffers, whose planes lie one right after the other.
pub(crate) fn routes() -> Routes {
    let dumb = DumbBuffers::of_driver("vgem").unwrap();
    let packed = Detour::fixed(&dumb, CpuRows::default());
    let routes = Routes::new().with_detour(Detour::moving(
        &HostMemory::open().unwrap(),
        CpuRows::default(),
    ));
    routes.with_detour(packed)
}
