//! Color of YUV planes as vkms composes them.
#![allow(clippy::unwrap_used)]

use dmashare::host::Udmabuf;
use dmashare::{
    Access, BufferDesc, Color, ColorRange, CpuAccess, Fourcc, Mapping, MatrixCoefficients,
    Modifier, SharedBuffer, Usage,
};
use dmashare_drm::Card;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::composed::{FORMAT, seen};
use support::*;

/// One color everywhere, as NV12.
fn video(screen: &Screen, ycbcr: [u8; 3], color: Color) -> Mapping<Card> {
    let usage = Usage::SCANOUT | Usage::CPU_WRITE;
    let mut desc = BufferDesc::new("video", screen.extent(), Fourcc::NV12, usage);
    desc.color = color;
    let video = SharedBuffer::new(&Udmabuf::open().unwrap(), desc, &[Modifier::LINEAR]).unwrap();
    let mut access = CpuAccess::begin(video.backing().dmabuf(), Access::Write).unwrap();
    let luma = vec![ycbcr[0]; access.row_bytes(0).unwrap()];
    let chroma = ycbcr[1..].repeat(access.row_bytes(1).unwrap() / 2);
    for y in 0..screen.extent().height {
        access.write_row(0, y, &luma).unwrap();
    }
    for y in 0..screen.extent().height / 2 {
        access.write_row(1, y, &chroma).unwrap();
    }
    drop(access);
    map(&video, &screen.card)
}

/// Blue, green, red of a color by the equations of ITU-R BT.601, BT.709 and BT.2020.
fn rgb(ycbcr: [u8; 3], matrix: MatrixCoefficients, range: ColorRange) -> [f64; 3] {
    let (kr, kb) = match matrix {
        MatrixCoefficients::Bt709 => (0.2126, 0.0722),
        MatrixCoefficients::Bt2020 => (0.2627, 0.0593),
        _ => (0.299, 0.114),
    };
    let [y, cb, cr] = ycbcr.map(f64::from);
    let (y, cb, cr) = match range {
        ColorRange::Full => (y / 255.0, (cb - 128.0) / 255.0, (cr - 128.0) / 255.0),
        ColorRange::Limited => (
            (y - 16.0) / 219.0,
            (cb - 128.0) / 224.0,
            (cr - 128.0) / 224.0,
        ),
    };
    let red = y + 2.0 * (1.0 - kr) * cr;
    let blue = y + 2.0 * (1.0 - kb) * cb;
    let green = (y - kr * red - kb * blue) / (1.0 - kr - kb);
    [blue, green, red].map(|value| (value * 255.0).clamp(0.0, 255.0))
}

#[test]
fn yuv_is_shown_as_the_buffers_color_says() {
    let screen = Screen::new();
    let ycbcr = [120, 90, 170];
    let mut shown = Vec::new();
    for matrix in [
        MatrixCoefficients::Bt601,
        MatrixCoefficients::Bt709,
        MatrixCoefficients::Bt2020,
    ] {
        for range in [ColorRange::Full, ColorRange::Limited] {
            let mut color = Color::default();
            color.matrix = matrix;
            color.range = range;
            let mapping = video(&screen, ycbcr, color);
            let captured = screen.capture(screen.showing(&mapping), FORMAT);
            let expected = rgb(ycbcr, matrix, range);
            for pixel in seen(&captured).concat() {
                let near = pixel.iter().zip(expected);
                let near = near.map(|(seen, wanted)| (f64::from(*seen) - wanted).abs());
                assert!(
                    near.clone().all(|distance| distance <= 1.5),
                    "{matrix:?} {range:?}: {pixel:?} is not {expected:?}"
                );
            }
            shown.push(seen(&captured)[0][0]);
        }
    }
    shown.sort();
    shown.dedup();
    assert_eq!(shown.len(), 6, "each differs from the others: {shown:?}");
}
