//! Luma and chroma on a plane: what the display composed is what the equations say.
#![allow(clippy::unwrap_used)]

use dmashare::host::Udmabuf;
use dmashare::{
    Access, BufferDesc, Color, ColorRange, CpuAccess, DmaBuf, Extent, Fourcc, Mapping,
    MatrixCoefficients, Modifier, PlaneFd, SharedBuffer, Usage,
};
use dmashare_drm::{Card, OutputCommit, PlaneCommit, PlaneKind, Rectangle};
use dmashare_lab_probe::bufinfo;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

const FORMATS: [Fourcc; 4] = [Fourcc::NV12, Fourcc::NV16, Fourcc::P010, Fourcc::YUV420];

/// Where the planes of a test's image lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memories {
    /// In one dma-buf, each plane at an odd place behind the one before it.
    One,
    /// In a dma-buf for each plane.
    Each,
}

/// Luma, blue and red difference of a pixel, as they would be in eight bits.
fn picture(x: u32, y: u32) -> [u32; 3] {
    let luma = 30 + (x * 3 + y * 5) % 190;
    let blue = 60 + (x / 2 * 7 + y / 2 * 11) % 140;
    let red = 60 + (x / 2 * 13 + y / 2 * 3) % 140;
    [luma, blue, red]
}

/// The chroma that a pixel has: that of the first pixel of its group.
fn sampled(format: Fourcc, x: u32, y: u32) -> [u32; 3] {
    let chroma = format.info().unwrap().planes[1];
    let (across, down) = (
        u32::from(chroma.horizontal_subsampling),
        u32::from(chroma.vertical_subsampling),
    );
    let [_, blue, red] = picture(x / across * across, y / down * down);
    [picture(x, y)[0], blue, red]
}

/// A row of samples of a plane.
fn row_of(format: Fourcc, plane: usize, y: u32, extent: Extent) -> Vec<u8> {
    let infos = format.info().unwrap().planes;
    let info = infos[plane];
    let across = u32::from(info.horizontal_subsampling);
    let y = y * u32::from(info.vertical_subsampling);
    let mut bytes = Vec::new();
    for x in (0..extent.width).step_by(across as usize) {
        let [luma, blue, red] = picture(x, y);
        let values: &[u32] = match (plane, infos.len()) {
            (0, _) => &[luma],
            (_, 2) => &[blue, red],
            (1, _) => &[blue],
            _ => &[red],
        };
        for value in values {
            if format == Fourcc::P010 {
                // Ten bits in the upper ones of sixteen.
                let value = u16::try_from(value * 4).unwrap() << 6;
                bytes.extend(value.to_le_bytes());
            } else {
                bytes.push(u8::try_from(*value).unwrap());
            }
        }
    }
    bytes
}

/// Blue, green and red by the recommendation's equations, in real numbers.
fn rgb(format: Fourcc, [y, cb, cr]: [u32; 3], color: &Color) -> [f64; 3] {
    let (kr, kb) = match color.matrix {
        MatrixCoefficients::Bt601 => (0.299, 0.114),
        MatrixCoefficients::Bt709 => (0.2126, 0.0722),
        _ => (0.2627, 0.0593),
    };
    let [y, cb, cr] = [y, cb, cr].map(f64::from);
    let white = if format == Fourcc::P010 {
        1023.0 / 4.0
    } else {
        255.0
    };
    let (y, cb, cr) = match color.range {
        ColorRange::Full => (y / white, (cb - 128.0) / white, (cr - 128.0) / white),
        ColorRange::Limited => (
            (y - 16.0) / 219.0,
            (cb - 128.0) / 224.0,
            (cr - 128.0) / 224.0,
        ),
    };
    let red = y + 2.0 * (1.0 - kr) * cr;
    let blue = y + 2.0 * (1.0 - kb) * cb;
    let green = (y - kr * red - kb * blue) / (1.0 - kr - kb);
    [blue, green, red].map(|value| (value * 255.0).clamp(0.0, 255.0).round())
}

fn video(format: Fourcc, extent: Extent, color: Color, memories: Memories) -> SharedBuffer {
    let allocate = |size: u64| {
        let size = size.next_multiple_of(4096);
        let memory = Udmabuf::open().unwrap().allocate_memory(size).unwrap();
        memory.duplicate_fd().unwrap()
    };
    let infos = format.info().unwrap().planes;
    let mut offset = 0;
    let mut places = Vec::new();
    for info in infos {
        let stride = u32::try_from(info.row_bytes(extent.width)).unwrap() + 12;
        if memories == Memories::Each {
            offset = 20;
        }
        places.push((offset, stride));
        offset += u64::from(stride) * u64::from(info.rows(extent.height)) + 4;
    }
    let whole = allocate(offset);
    let planes = places.iter().zip(infos).map(|(&(offset, stride), info)| {
        let fd = match memories {
            Memories::One => whole.try_clone().unwrap(),
            Memories::Each => {
                allocate(offset + u64::from(stride) * u64::from(info.rows(extent.height)))
            }
        };
        PlaneFd { fd, offset, stride }
    });
    let dmabuf = DmaBuf::new(format, extent, Modifier::LINEAR, planes).unwrap();
    let mut access = CpuAccess::begin(&dmabuf, Access::Write).unwrap();
    for (plane, info) in infos.iter().enumerate() {
        for y in 0..info.rows(extent.height) {
            let row = row_of(format, plane, y, extent);
            access.write_row(plane, y, &row).unwrap();
        }
    }
    drop(access);
    let mut desc = BufferDesc::new("video", extent, format, Usage::SCANOUT);
    desc.color = color;
    SharedBuffer::from_dmabuf(desc, dmabuf).unwrap()
}

/// Compares what was captured with the picture at its place, and black elsewhere.
fn compare(captured: &SharedBuffer, video: &SharedBuffer, at: (u32, u32), what: &str) {
    captured.wait_ready(Access::Read, LIMIT).unwrap();
    let (format, extent) = (video.desc().format, video.desc().extent);
    // Black and white of ten bits in sixteen are those of eight times 256; vkms takes eight times 257 for
    // every format, which is up to one more off.
    let allowed = if format == Fourcc::P010 { 2.0 } else { 1.0 };
    let backing = captured.backing();
    let access = CpuAccess::begin(backing.dmabuf(), Access::Read).unwrap();
    let mut bytes = vec![0; access.row_bytes(0).unwrap()];
    let inside = |x: u32, y: u32| {
        let (x, y) = (x.checked_sub(at.0)?, y.checked_sub(at.1)?);
        (x < extent.width && y < extent.height).then_some((x, y))
    };
    for y in 0..captured.desc().extent.height {
        access.read_row(0, y, &mut bytes).unwrap();
        for (x, pixel) in (0..).zip(bytes.chunks_exact(4)) {
            let expected = inside(x, y).map_or([0.0; 3], |(x, y)| {
                rgb(format, sampled(format, x, y), &video.desc().color)
            });
            let distances = pixel.iter().zip(expected);
            let mut distances = distances.map(|(seen, wanted)| (f64::from(*seen) - wanted).abs());
            assert!(
                distances.all(|distance| distance <= allowed),
                "{what}: {pixel:?} at {x},{y} is not {expected:?}"
            );
        }
    }
}

fn show(screen: &Screen, mapping: &Mapping<Card>) -> SharedBuffer {
    let shown = OutputCommit::new(&screen.output)
        .mode(screen.mode)
        .plane(PlaneCommit::primary(mapping));
    screen.capture(shown, Fourcc::XRGB8888)
}

#[test]
fn every_format_is_shown() {
    let screen = Screen::new();
    for format in FORMATS {
        for (matrix, range) in [
            (MatrixCoefficients::Bt601, ColorRange::Limited),
            (MatrixCoefficients::Bt709, ColorRange::Full),
            (MatrixCoefficients::Bt2020, ColorRange::Limited),
        ] {
            let mut color = Color::default();
            (color.matrix, color.range) = (matrix, range);
            let what = format!("{format} {matrix:?} {range:?}");
            let video = video(format, screen.extent(), color, Memories::One);
            assert_eq!(video.backing().dmabuf().memories().len(), 1);
            let mapping = map(&video, &screen.card);
            let captured = show(&screen, &mapping);
            compare(&captured, &video, (0, 0), &what);
            assert_eq!(screen.card.open_gem_handles(), 0, "{what}");
        }
    }
}

/// A framebuffer over a dma-buf for each plane: the display is attached to all of them, and no handle
/// stays open. What it shows is not looked at: vkms reads every plane from the first one's memory.
#[test]
fn planes_in_several_dma_bufs_are_imported() {
    let screen = Screen::new();
    let framebuffers = screen.display.framebuffers();
    for format in FORMATS {
        for extent in [screen.extent(), Extent::new(333, 77)] {
            let what = format!("{format} {extent}");
            let video = video(format, extent, Color::default(), Memories::Each);
            let memories = video.backing().dmabuf().memories().to_vec();
            assert_eq!(memories.len(), format.info().unwrap().planes.len());
            let attached = || {
                let listed = bufinfo();
                let is_attached = |inode| {
                    let kernel = listed.iter().find(|listed| listed.inode == inode);
                    let mut names = kernel.unwrap().attached.iter();
                    names.any(|name| name == screen.display.device_name())
                };
                let inodes = memories.iter().map(|memory| memory.id().inode());
                inodes.filter(|inode| is_attached(*inode)).count()
            };
            let mapping = map(&video, &screen.card);
            assert_eq!(attached(), memories.len(), "{what}");
            assert_eq!(screen.display.framebuffers(), framebuffers + 1, "{what}");
            assert_eq!(screen.card.open_gem_handles(), 0, "{what}");
            drop((mapping, video));
            assert_eq!(attached(), 0, "{what}");
            assert_eq!(screen.display.framebuffers(), framebuffers, "{what}");
        }
    }
}

/// Half a chroma sample at the right and the lower edge: the kernel takes such framebuffers, and the
/// last sample is of one pixel.
#[test]
fn odd_sizes_are_shown() {
    let screen = Screen::new();
    let mut color = Color::default();
    (color.matrix, color.range) = (MatrixCoefficients::Bt709, ColorRange::Limited);
    for format in FORMATS {
        for (width, height) in [(333, 77), (64, 49), (63, 48), (11, 11)] {
            let extent = Extent::new(width, height);
            let video = video(format, extent, color, Memories::One);
            let mapping = map(&video, &screen.card);
            let captured = show(&screen, &mapping);
            compare(&captured, &video, (0, 0), &format!("{format} {extent}"));
        }
    }
}

/// As a media player does it: the video below or above what is drawn.
#[test]
fn video_lies_on_an_overlay() {
    let screen = Screen::new();
    let mut color = Color::default();
    (color.matrix, color.range) = (MatrixCoefficients::Bt601, ColorRange::Limited);
    let black = buffer(
        &screen.card.dumb_buffers(),
        "black",
        Fourcc::XRGB8888,
        screen.extent(),
    );
    let black = map(&black, &screen.card);
    let planes = screen.output.planes();
    let overlay = planes
        .iter()
        .find(|plane| plane.kind() == PlaneKind::Overlay);
    for format in [Fourcc::NV12, Fourcc::P010] {
        let video = video(format, Extent::new(320, 240), color, Memories::One);
        let mapping = map(&video, &screen.card);
        let over = PlaneCommit::on(overlay.unwrap(), &mapping)
            .destination(Rectangle::new(101, 51, 320, 240));
        let captured = screen.capture(screen.showing(&black).plane(over), Fourcc::XRGB8888);
        compare(
            &captured,
            &video,
            (101, 51),
            &format!("{format} on an overlay"),
        );
    }
}
