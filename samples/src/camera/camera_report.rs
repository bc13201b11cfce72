//! What `camera` says at its end.

use crate::camera::check::CheckResult;
use crate::camera::coding::CodingResult;
use crate::report_text::Text;
use crate::run_report::RunReport;

/// One of the camera's dma-bufs as the kernel sees it while it is shown.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct DmabufReport {
    /// Its inode.
    pub(super) inode: u64,
    /// Who the kernel says has exported it.
    pub(super) exporter: String,
    /// Devices that are attached to it.
    pub(super) attached: Vec<String>,
}

/// The report; with `--json` its fields are the object's keys.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(super) struct Report {
    /// The camera: its card's name and node.
    pub(super) camera: String,
    /// Pixel format of its frames.
    pub(super) format: String,
    /// Size of its frames in pixels.
    pub(super) extent: [u32; 2],
    /// What its values mean: matrix and range of YUV.
    pub(super) color: String,
    /// The Vulkan device that drew.
    pub(super) device: String,
    /// The display's card.
    pub(super) card: String,
    /// The display's connector.
    pub(super) output: String,
    /// The mode.
    pub(super) mode: String,
    /// Which planes showed what.
    pub(super) planes: String,
    /// Frames that were shown.
    pub(super) frames: u64,
    /// Flips that the display told of.
    pub(super) flips: u64,
    /// Frames of the camera that there was no buffer for, or that were lost.
    pub(super) dropped: u64,
    /// Frames that the camera marked as damaged, which were not shown.
    pub(super) damaged: u64,
    /// What the checks found.
    #[serde(flatten)]
    pub(super) checks: CheckResult,
    /// The camera's dma-bufs, each with the devices attached to it; empty where the kernel's list can't be read.
    pub(super) dmabufs: Vec<DmabufReport>,
    /// Whether Vulkan imported the camera's buffers, and if not why.
    pub(super) vulkan_import: String,
    /// The layers after the codecs.
    #[serde(flatten)]
    pub(super) coding: CodingResult,
    /// Bytes that were copied in order to show and to encode.
    pub(super) copied_bytes: u64,
    /// Whether the program was asked to end before it had shown all frames.
    pub(super) interrupted: bool,
}

impl RunReport for Report {
    fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    // Frames that a camera drops are no error: drawing takes as long as it takes.
    fn errors(&self) -> Vec<(u64, String)> {
        let counts = [
            (self.checks.comparison.pixel_errors, "pixels are wrong"),
            (
                self.checks.pattern_errors.unwrap_or(0),
                "pixels differ from the test pattern",
            ),
            (self.checks.vulkan_errors, "frames are others to Vulkan"),
            (self.coding.codec_errors, "decoded layers are wrong"),
            (self.copied_bytes, "bytes were copied"),
        ];
        let words = |(count, what)| (count, format!("{count} {what}"));
        counts.map(words).to_vec()
    }

    fn write_text(&self, text: &mut Text) {
        let [width, height] = self.extent;
        let (camera, format, color) = (&self.camera, &self.format, &self.color);
        let camera = format!("{camera}, {width}x{height}, {format}, {color}");
        text.line("camera", camera);
        text.line("layer", &self.device);
        let (output, card, mode, planes) = (&self.output, &self.card, &self.mode, &self.planes);
        text.line(
            "display",
            format_args!("{output} on {card}, {mode}: {planes}"),
        );
        let (frames, flips) = (self.frames, self.flips);
        let (dropped, damaged) = (self.dropped, self.damaged);
        let frames =
            format!("{frames}, flips {flips}, dropped by the camera {dropped}, damaged {damaged}");
        text.line("frames", frames);
        for dmabuf in &self.dmabufs {
            let (inode, exporter) = (dmabuf.inode, &dmabuf.exporter);
            let attached = dmabuf.attached.join(", ");
            let dmabuf = format!("inode {inode} of {exporter}, attached: {attached}");
            text.line("dma-buf", dmabuf);
        }
        text.line("copied", format_args!("{} bytes", self.copied_bytes));
        let checks = &self.checks;
        if checks.captured > 0 {
            let captured = format!("{} captures", checks.captured);
            text.comparison(captured, &checks.comparison);
        }
        if let Some(errors) = checks.pattern_errors {
            let places = checks.pattern_places;
            let pattern = format!("{errors} pixels wrong, seen at {places} places");
            text.line("test pattern", pattern);
        }
        let (bytes, wrong) = (checks.vulkan_bytes, checks.vulkan_errors);
        let import = &self.vulkan_import;
        let vulkan = format!("{import}; {bytes} bytes compared, {wrong} frames wrong");
        text.line("Vulkan reads", vulkan);
        self.coding.write_text(text);
    }
}
