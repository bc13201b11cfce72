//! Pixels in buffers: written, read, and compared with the picture.

use std::time::Duration;

use dmashare::{
    Access, Color, CpuAccess, CpuMapping, DmaBuf, Extent, Fourcc, Mapping, SharedBuffer,
};
use dmashare_samples::capture::{Capture, Comparison};
use dmashare_samples::frame_pixels::FramePixels;
use dmashare_samples::picture::Picture;
use dmashare_samples::pixel_format::PixelFormat;
use dmashare_vk::Device;

pub fn pixel_format(format: Fourcc) -> &'static PixelFormat {
    PixelFormat::of(format).unwrap()
}

/// The rows of a frame of the picture, or noise in a format in which it is not drawn.
pub fn picture(format: Fourcc, extent: Extent, frame: u32) -> Vec<u8> {
    match PixelFormat::of(format) {
        Some(pixels) => pixels.rows(&Picture::new(extent, frame)),
        None => noise(format, extent, frame),
    }
}

/// Rows of all planes with noise.
pub fn noise(format: Fourcc, extent: Extent, seed: u32) -> Vec<u8> {
    let planes = format.info().unwrap().planes.iter();
    let bytes: u64 = planes
        .map(|info| info.row_bytes(extent.width) * u64::from(info.rows(extent.height)))
        .sum();
    let mut number = seed;
    (0..bytes)
        .map(|at| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = number.to_be_bytes()[0];
            // The low six bits of its words are padding, which is zero.
            let is_padded = format == Fourcc::P010 && at % 2 == 0;
            if is_padded { noise & 0xc0 } else { noise }
        })
        .collect()
}

/// Writes rows of all planes with the CPU.
pub fn write(dmabuf: &DmaBuf, mut bytes: &[u8]) {
    let mut access = CpuAccess::begin(dmabuf, Access::Write).unwrap();
    for (plane, info) in dmabuf.format().info().unwrap().planes.iter().enumerate() {
        let row_bytes = access.row_bytes(plane).unwrap();
        for row in 0..info.rows(dmabuf.extent().height) {
            let (source, rest) = bytes.split_at(row_bytes);
            access.write_row(plane, row, source).unwrap();
            bytes = rest;
        }
    }
}

/// Rows of all planes, as the CPU reads them.
pub fn read(dmabuf: &DmaBuf) -> Vec<u8> {
    let mut mapping = CpuMapping::new(dmabuf, Access::Read).unwrap();
    let pixels = FramePixels::read(&mut mapping, Color::default()).unwrap();
    pixels.bytes()
}

/// Demands that the CPU reads this frame.
#[track_caller]
pub fn cpu_reads(buffer: &SharedBuffer, frame: u32) {
    let timeout = Duration::from_secs(10);
    buffer.wait_ready(Access::Read, timeout).unwrap();
    let dmabuf = buffer.backing().dmabuf().clone();
    let mut mapping = CpuMapping::new(&dmabuf, Access::Read).unwrap();
    is_frame(
        &Capture::read(&mut mapping).unwrap(),
        frame,
        dmabuf.format(),
    );
}

/// Demands that Vulkan reads this frame.
#[track_caller]
pub fn vulkan_reads(device: &Device, image: &Mapping<Device>, frame: u32) {
    let (format, extent) = (image.object().format(), image.object().extent());
    let rows = device.transfer().download(image).unwrap();
    is_frame(
        &Capture::from_rows(format, extent, rows).unwrap(),
        frame,
        format,
    );
}

/// Demands that all pixels are those of a frame that was shown in this format.
#[track_caller]
pub fn is_frame(capture: &Capture, frame: u32, shown_as: Fourcc) {
    let extent = capture.extent();
    let picture = Picture::new(extent, frame);
    let expected = Comparison {
        pixels_checked: u64::from(extent.width) * u64::from(extent.height),
        ..Comparison::default()
    };
    assert_eq!(capture.compare(&picture, pixel_format(shown_as)), expected);
}
