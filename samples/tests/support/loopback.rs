//! vivid with a cable from its output to its input.

use std::path::PathBuf;
use std::time::Duration;

use dmashare::{Extent, Fourcc, Mapping};
use dmashare_v4l2::{V4l2Capture, V4l2Device, V4l2Output};

use super::pixels::read;
use super::{map, shown_buffer};

const PATIENCE: Duration = Duration::from_secs(20);

/// The extent of vivid's HDMI input and output at first.
pub const HDMI: Extent = Extent::new(1280, 720);

/// The control "HDMI 000-0 Is Connected To" (`vivid-ctrls.c`), and its value for the only HDMI output.
const HDMI_IS_CONNECTED_TO: u32 = 0x00f0_f000 + 113;
const TEST_PATTERN_GENERATOR: i32 = 0;
const HDMI_OUTPUT: i32 = 2;
/// "OSD Text Mode", and its value "None".
const OSD_TEXT_MODE: u32 = 0x00f0_f000 + 1;

/// A device of the lab.
pub fn path(fits: fn(&V4l2Device) -> bool) -> PathBuf {
    let device = V4l2Device::find("device of the lab", fits)
        .unwrap_or_else(|error| panic!("{error}; run this test with `cargo lab test`"));
    device.path().to_owned()
}

/// Vivid with a cable from its HDMI output to its HDMI input; unplugged when dropped.
pub struct Loopback {
    input: V4l2Device,
}

impl Loopback {
    pub fn new() -> Self {
        let input = V4l2Device::open(&path(V4l2Device::is_camera)).unwrap();
        input.set_input(3).unwrap();
        input.set_control(OSD_TEXT_MODE, 2).unwrap();
        input
            .set_control(HDMI_IS_CONNECTED_TO, HDMI_OUTPUT)
            .unwrap();
        let output = V4l2Device::open(&path(V4l2Device::is_output)).unwrap();
        output.set_output(1).unwrap();
        Self { input }
    }
}

/// Sends a buffer through the cable, and returns three frames that come out at the other end. The output
/// may not have begun when the first was captured. `queued` is called when the output has the buffer.
pub fn sent(
    output: &V4l2Output,
    buffer: &Mapping<V4l2Output>,
    format: Fourcc,
    queued: impl FnOnce(),
) -> Vec<Vec<u8>> {
    let camera = V4l2Capture::open(None, format, HDMI).unwrap();
    let frames = [(); 3].map(|()| {
        let frame = shown_buffer(&camera, HDMI, format);
        let filled = map(&frame, &camera);
        (frame, filled)
    });
    output.queue(buffer, PATIENCE).unwrap();
    queued();
    output.start().unwrap();
    for (_, filled) in &frames {
        camera.queue(filled, PATIENCE).unwrap();
    }
    camera.start().unwrap();
    let captured = frames.iter().map(|_| {
        let frame = camera.wait_frame(PATIENCE).unwrap().unwrap();
        read(frames[frame.index as usize].0.backing().dmabuf())
    });
    let captured = captured.collect();
    camera.stop().unwrap();
    output.stop().unwrap();
    captured
}

impl Drop for Loopback {
    fn drop(&mut self) {
        let _ = self
            .input
            .set_control(HDMI_IS_CONNECTED_TO, TEST_PATTERN_GENERATOR);
        let _ = self.input.set_control(OSD_TEXT_MODE, 0);
        let _ = self.input.set_input(0);
    }
}
