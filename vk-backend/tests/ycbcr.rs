//! Images of luma and chroma that others made are sampled as RGB, and the colors are right.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/sampling.rs"]
mod sampling;
mod support;

use dmashare::{
    BufferDesc, ChromaSiting, Color, ColorRange, Extent, Fourcc, MatrixCoefficients, Modifier,
    SharedBuffer, Usage,
};
use dmashare_vk::ash::vk;
use dmashare_vk::{Device, YcbcrError};
use support::{cpu_write, device, map};

const EXTENT: Extent = Extent::new(64, 48);

fn color(matrix: MatrixCoefficients, range: ColorRange) -> Color {
    let mut color = Color::default();
    (color.matrix, color.range) = (matrix, range);
    color
}

/// Luma and chroma of a pixel, each from 0 to 255: chroma is that of the even pixel to its upper left.
fn picture(x: u32, y: u32) -> [u32; 3] {
    let luma = 16 + (x * 5 + y * 3) % 220;
    // Steps of 8 pixels, so that most chroma samples equal their neighbours.
    let (block_x, block_y) = (x / 8, y / 8);
    let blue = 16 + (block_x * 37 + block_y * 11) % 225;
    let red = 16 + (block_x * 19 + block_y * 53) % 225;
    [luma, blue, red]
}

/// Whether chroma is the same all around a pixel, wherever between the samples it is read.
fn is_inside(x: u32, y: u32) -> bool {
    let margin = |at: u32| (2..6).contains(&(at % 8));
    margin(x) && margin(y)
}

/// The picture's planes without padding.
fn pixels(format: Fourcc, extent: Extent) -> Vec<u8> {
    let wide = format == Fourcc::P010;
    let mut bytes = Vec::new();
    let mut put = |value: u32| {
        if wide {
            // Ten bits in the upper ones of sixteen.
            let value = u16::try_from(value * 4).unwrap() << 6;
            bytes.extend(value.to_le_bytes());
        } else {
            bytes.push(u8::try_from(value).unwrap());
        }
    };
    let info = format.info().unwrap();
    for (index, plane) in info.planes.iter().enumerate() {
        let (step_x, step_y) = (
            usize::from(plane.horizontal_subsampling),
            usize::from(plane.vertical_subsampling),
        );
        for y in (0..extent.height).step_by(step_y) {
            for x in (0..extent.width).step_by(step_x) {
                let [luma, blue, red] = picture(x, y);
                match (index, info.planes.len()) {
                    (0, _) => put(luma),
                    (_, 2) => {
                        put(blue);
                        put(red);
                    }
                    (1, _) => put(blue),
                    _ => put(red),
                }
            }
        }
    }
    bytes
}

/// RGB from 0 to 255, by the equations of the recommendation, in real numbers. Samples of ten bits are
/// four times those of eight.
fn rgb([luma, blue, red]: [u32; 3], color: &Color, format: Fourcc) -> [f64; 3] {
    let (red_weight, blue_weight) = match color.matrix {
        MatrixCoefficients::Bt601 => (0.299, 0.114),
        MatrixCoefficients::Bt709 => (0.2126, 0.0722),
        MatrixCoefficients::Bt2020 => (0.2627, 0.0593),
        other => panic!("{other:?}"),
    };
    let green_weight = 1.0 - red_weight - blue_weight;
    let [luma, blue, red] = [luma, blue, red].map(f64::from);
    let (luma, blue, red) = match color.range {
        ColorRange::Full => {
            let white = if format == Fourcc::P010 {
                1023.0 / 4.0
            } else {
                255.0
            };
            (luma / white, (blue - 128.0) / white, (red - 128.0) / white)
        }
        ColorRange::Limited => (
            (luma - 16.0) / 219.0,
            (blue - 128.0) / 224.0,
            (red - 128.0) / 224.0,
        ),
    };
    let r = luma + 2.0 * (1.0 - red_weight) * red;
    let b = luma + 2.0 * (1.0 - blue_weight) * blue;
    let g = (luma - red_weight * r - blue_weight * b) / green_weight;
    [r, g, b].map(|value| value.clamp(0.0, 1.0) * 255.0)
}

fn sampled(format: Fourcc, extent: Extent, color: Color) -> BufferDesc {
    let mut desc = BufferDesc::new("luma and chroma", extent, format, Usage::SAMPLE);
    desc.color = color;
    desc
}

fn target(device: &Device) -> SharedBuffer {
    let usage = Usage::STORAGE | Usage::TRANSFER_SOURCE;
    let desc = BufferDesc::new("RGB", EXTENT, Fourcc::ABGR8888, usage);
    SharedBuffer::new(device, desc, &[Modifier::LINEAR]).unwrap()
}

/// Compares the pixels that were sampled, but for those whose chroma depends on how it is interpolated.
fn compare(seen: &[u8], format: Fourcc, color: &Color, what: &str) {
    let mut places = (0..EXTENT.height).flat_map(|y| (0..EXTENT.width).map(move |x| (x, y)));
    let (mut compared, mut worst) = (0, (0.0_f64, (0, 0)));
    for pixel in seen.chunks_exact(4) {
        let (x, y) = places.next().unwrap();
        if !is_inside(x, y) {
            continue;
        }
        compared += 1;
        let expected = rgb(picture(x, y), color, format);
        for (seen, expected) in pixel.iter().zip(expected) {
            let difference = (f64::from(*seen) - expected.round()).abs();
            if difference > worst.0 {
                worst = (difference, (x, y));
            }
        }
        assert_eq!(pixel[3], 255, "{what}: alpha");
    }
    assert!(compared > 500);
    assert!(
        worst.0 <= 1.0,
        "{what}: off by {} at {:?}",
        worst.0,
        worst.1
    );
}

#[test]
fn every_format_is_sampled_with_every_matrix_range_and_filter() {
    let device = device();
    let target = target(&device);
    let target = map(&target, &device);
    for format in [Fourcc::NV12, Fourcc::NV16, Fourcc::P010, Fourcc::YUV420] {
        for matrix in [
            MatrixCoefficients::Bt601,
            MatrixCoefficients::Bt709,
            MatrixCoefficients::Bt2020,
        ] {
            for range in [ColorRange::Full, ColorRange::Limited] {
                let color = color(matrix, range);
                let desc = sampled(format, EXTENT, color);
                let shared =
                    SharedBuffer::new(&support::udmabuf(), desc, &[Modifier::LINEAR]).unwrap();
                cpu_write(shared.backing().dmabuf(), &pixels(format, EXTENT));
                let source = map(&shared, &device);
                for filter in [vk::Filter::NEAREST, vk::Filter::LINEAR] {
                    sampling::sample(&device, &source, &color, filter, &target);
                    let seen = device.transfer().download(&target).unwrap();
                    let what = format!("{format} {matrix:?} {range:?} {filter:?}");
                    compare(&seen, format, &color, &what);
                }
            }
        }
    }
}

#[test]
fn what_a_device_cannot_sample_is_refused() {
    let device = device();
    let said = color(MatrixCoefficients::Bt709, ColorRange::Limited);
    let ycbcr = |desc: BufferDesc, filter| {
        let color = desc.color;
        let shared = SharedBuffer::new(&support::heap(), desc, &[Modifier::LINEAR]).unwrap();
        map(&shared, &device).object().ycbcr(&color, filter)
    };
    let nearest = vk::Filter::NEAREST;
    assert!(ycbcr(sampled(Fourcc::NV12, EXTENT, said), nearest).is_ok());
    assert!(matches!(
        ycbcr(sampled(Fourcc::XRGB8888, EXTENT, said), nearest),
        Err(YcbcrError::NotLumaAndChroma { .. })
    ));
    let mut copied = sampled(Fourcc::NV12, EXTENT, said);
    copied.usage = Usage::TRANSFER_SOURCE;
    assert!(matches!(
        ycbcr(copied, nearest),
        Err(YcbcrError::NotSampled { .. })
    ));
    assert!(matches!(
        ycbcr(sampled(Fourcc::NV12, EXTENT, Color::default()), nearest),
        Err(YcbcrError::MatrixUnsaid { .. })
    ));
    // What the driver itself says decides.
    let mut properties = vk::FormatProperties2::default();
    let physical = device.physical_device();
    // SAFETY: the device is of this instance.
    unsafe {
        physical
            .instance()
            .raw()
            .get_physical_device_format_properties2(
                physical.raw(),
                vk::Format::G8_B8R8_2PLANE_420_UNORM,
                &mut properties,
            );
    }
    let features = properties.format_properties.optimal_tiling_features;
    let mut midpoint = said;
    midpoint.siting = ChromaSiting::Midpoint;
    let answer = ycbcr(sampled(Fourcc::NV12, EXTENT, midpoint), nearest);
    if features.contains(vk::FormatFeatureFlags::MIDPOINT_CHROMA_SAMPLES) {
        answer.unwrap();
    } else {
        match answer.unwrap_err() {
            YcbcrError::Siting { asked, offered, .. } => {
                assert_eq!(asked, ChromaSiting::Midpoint);
                assert_eq!(offered, [ChromaSiting::Cosited]);
            }
            other => panic!("{other:?}"),
        }
    }
}
