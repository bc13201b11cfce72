//! The picture of vivid, the kernel's own camera: color bars that move.

use anyhow::Result;

use dmashare_v4l2::{V4l2Device, V4l2Error};

use crate::frame_pixels::{FramePixels, Rgb8, near};

/// The driver.
const DRIVER: &str = "vivid";

/// `VIVID_CID_VIVID_BASE` of `vivid-ctrls.c`, and the controls that matter.
const BASE: u32 = 0x00f0_f000;
const TEST_PATTERN: u32 = BASE;
const OSD_TEXT_MODE: u32 = BASE + 1;
const HORIZONTAL_MOVEMENT: u32 = BASE + 2;

/// `TPG_PAT_100_COLORBAR`; no text; `TPG_MOVE_POS`.
const SETTINGS: [(u32, i32); 3] = [
    (TEST_PATTERN, 1),
    (OSD_TEXT_MODE, 2),
    (HORIZONTAL_MOVEMENT, 5),
];

/// The bars from left to right.
const BARS: [Rgb8; 8] = [
    [255, 255, 255],
    [255, 255, 0],
    [0, 255, 255],
    [0, 255, 0],
    [255, 0, 255],
    [255, 0, 0],
    [0, 0, 255],
    [0, 0, 0],
];

/// How far a channel may be from a bar's: it was rounded to YUV and back.
const ROUNDING: u8 = 4;
/// Pixels at an edge that may be of no bar: two neighbours share a sample of chroma, and the driver's
/// chroma is the mean of both.
const EDGE: u32 = 2;

/// Makes vivid show the bars, and restores what it showed before when it is dropped.
#[derive(Debug)]
pub(super) struct Pattern<'a> {
    device: &'a V4l2Device,
    before: Vec<(u32, i32)>,
}

impl<'a> Pattern<'a> {
    /// `None` for another camera, whose picture is not known.
    pub(super) fn set(device: &'a V4l2Device) -> Result<Option<Self>, V4l2Error> {
        if device.driver() != DRIVER {
            return Ok(None);
        }
        let mut this = Self {
            device,
            before: Vec::new(),
        };
        for (id, value) in SETTINGS {
            if let Some(before) = device.control(id) {
                this.before.push((id, before));
            }
            device.set_control(id, value)?;
        }
        Ok(Some(this))
    }
}

impl Drop for Pattern<'_> {
    fn drop(&mut self) {
        for (id, value) in &self.before {
            if let Err(error) = self.device.set_control(*id, *value) {
                tracing::warn!(%error, "a control of the camera could not be restored");
            }
        }
    }
}

/// What the bars of a frame are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bars {
    /// Pixels that are not of the bar that belongs there.
    pub(super) errors: u64,
    /// The column at which the bars begin; they are moved on from frame to frame.
    pub(super) begin: Option<u32>,
}

impl Bars {
    /// Finds the bars in the first row, and compares every pixel with them.
    pub(super) fn find(frame: &FramePixels) -> Result<Self> {
        let extent = frame.extent();
        let row = (0..extent.width)
            .map(|x| Ok(bar_of(frame.pixel(x, 0)?)))
            .collect::<Result<Vec<_>>>()?;
        let begin = row
            .iter()
            .zip(row.iter().cycle().skip(row.len() - 1))
            .position(|(here, before)| *here == Some(0) && *before != Some(0))
            .and_then(|begin| u32::try_from(begin).ok());
        let Some(begin) = begin else {
            return Ok(Self {
                errors: u64::from(extent.width) * u64::from(extent.height),
                begin: None,
            });
        };
        let mut errors = 0;
        for y in 0..extent.height {
            for x in 0..extent.width {
                let along = (x + extent.width - begin) % extent.width;
                if !fits(frame.pixel(x, y)?, along, extent.width) {
                    errors += 1;
                }
            }
        }
        Ok(Self {
            errors,
            begin: Some(begin),
        })
    }
}

fn bar_of(color: Rgb8) -> Option<usize> {
    BARS.iter().position(|bar| near(color, *bar, ROUNDING))
}

/// Whether a pixel so far from the bars' beginning may have this color. Near an edge, where chroma is
/// mixed, it may have any.
fn fits(color: Rgb8, along: u32, width: u32) -> bool {
    let position = |at: u32| (at * 8 / width) as usize % 8;
    let around = [(along + width - EDGE) % width, (along + EDGE) % width];
    let is_edge = around.iter().any(|at| position(*at) != position(along));
    is_edge || bar_of(color) == Some(position(along))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_of_another_bar_is_an_error() {
        assert!(fits([254, 255, 252], 40, 640));
        assert!(!fits([255, 255, 0], 40, 640));
        assert!(fits([255, 255, 0], 120, 640));
        assert!(fits([90, 90, 90], 79, 640), "the edge between two bars");
        assert!(!fits([90, 90, 90], 76, 640));
        assert!(fits([0, 0, 0], 600, 640));
    }
}
