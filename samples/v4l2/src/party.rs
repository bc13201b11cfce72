//! Video devices as parties of a negotiation.

use dmashare::negotiation::{FormatSupport, LayoutControl, LayoutDemands, MemoryKinds};
use dmashare::{Modifier, Party, Placements, Usage};

use crate::capture::V4l2Capture;
use crate::format::VideoFormat;
use crate::output::V4l2Output;

impl V4l2Capture {
    /// The camera as the memory of a [`Negotiation`](dmashare::Negotiation): frames as it is set to, in
    /// pages of the host that lie anywhere (where the driver wants them together, they lie so by chance
    /// or not at all: V4L2 does not tell).
    pub fn party(&self) -> Party {
        let format = self.format();
        let support = support(&format, Usage::all());
        Party::exporter(self.device().name(), Usage::empty())
            .with_formats([support])
            .with_layout(layout(&format))
            .with_layout_control(LayoutControl::Exporter)
            .with_memory(MemoryKinds::scattered(Placements::HOST))
    }
}

impl V4l2Output {
    /// The device as a party that reads ([`Usage::ENCODE`]): frames as it is set to, whose rows lie exactly
    /// as they must. What a negotiation's figures cannot say of three planes is found at attach.
    pub fn party(&self) -> Party {
        let format = self.format();
        Party::importer(self.device().name(), Usage::ENCODE)
            .with_formats([support(&format, Usage::ENCODE)])
            .with_layout(layout(&format))
    }
}

fn support(format: &VideoFormat, usage: Usage) -> FormatSupport {
    let mut support = FormatSupport::new(format.format, Modifier::LINEAR, usage);
    support.minimum_extent = format.extent;
    support.maximum_extent = format.extent;
    support
}

/// The only layout there is, as demands: strides and offsets are multiples of what all of them are, and
/// no stride is greater than the greatest.
fn layout(format: &VideoFormat) -> LayoutDemands {
    let planes = format.planes();
    let mut demands = LayoutDemands::default();
    let strides = planes.iter().map(|plane| u64::from(plane.stride));
    let stride = strides.fold(0, common_divisor);
    demands.stride_alignment = u32::try_from(stride).unwrap_or(format.stride).max(1);
    demands.maximum_stride = format.stride;
    let offsets = planes.iter().map(|plane| plane.offset);
    demands.offset_alignment = offsets.fold(0, common_divisor).max(1);
    demands
}

fn common_divisor(one: u64, other: u64) -> u64 {
    match other {
        0 => one,
        _ => common_divisor(other, one % other),
    }
}

#[cfg(test)]
mod tests {
    use dmashare::{Color, Extent, Fourcc};

    use super::*;

    #[test]
    fn the_demands_are_those_of_the_planes() {
        let demands = |format| {
            let demands = layout(&VideoFormat {
                format,
                extent: Extent::new(640, 360),
                stride: 640,
                size: 0,
                color: Color::default(),
            });
            (
                demands.stride_alignment,
                demands.maximum_stride,
                demands.offset_alignment,
            )
        };
        assert_eq!(demands(Fourcc::NV12), (640, 640, 640 * 360));
        assert_eq!(demands(Fourcc::YUV420), (320, 640, 640 * 360 / 4));
        assert_eq!(demands(Fourcc::R8), (640, 640, 1));
    }
}
