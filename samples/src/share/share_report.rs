//! What `share` says at its end.

use crate::capture::Comparison;
use crate::report_text::Text;
use crate::run_report::RunReport;

/// The report; with `--json` its fields are the object's keys.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(super) struct Report {
    /// The device that allocated the memory.
    pub(super) exporter: String,
    /// The device that imported it.
    pub(super) importer: String,
    /// Whether the importer was another process.
    pub(super) process: bool,
    /// The pixel format.
    pub(super) format: String,
    /// The modifier.
    pub(super) modifier: String,
    /// Pixels: width and height.
    pub(super) extent: [u32; 2],
    /// Frames that each device drew and the other checked.
    pub(super) frames: u32,
    /// The pixels that both read, and the picture.
    #[serde(flatten)]
    pub(super) comparison: Comparison,
    /// Bytes that the library copied in order to share.
    pub(super) bytes_copied: u64,
    /// Bytes that both devices read back in order to check them.
    pub(super) bytes_read_back: u64,
    /// The dma-buf's inode, the same on both sides.
    pub(super) inode: u64,
    /// Frames whose fence went to the other process as a sync_file; the others were complete when
    /// they were sent.
    pub(super) fences_sent: u32,
}

impl Report {
    /// Adds what a check found.
    pub(super) fn add(&mut self, by: &str, frame: u32, mut comparison: Comparison) {
        let first = comparison.first_pixel_error.take();
        comparison.first_pixel_error =
            first.map(|error| format!("frame {frame}, read by {by}, {error}"));
        self.comparison.add(comparison);
    }
}

impl RunReport for Report {
    fn errors(&self) -> Vec<(u64, String)> {
        let (pixels, copied) = (self.comparison.pixel_errors, self.bytes_copied);
        vec![
            (pixels, format!("{pixels} pixels differ from the picture")),
            (copied, format!("{copied} bytes were copied")),
        ]
    }

    fn write_text(&self, text: &mut Text) {
        let place = match self.process {
            true => "in another process",
            false => "a second VkDevice of this process",
        };
        text.line("exporter", &self.exporter);
        text.line("importer", format_args!("{}, {place}", self.importer));
        let [width, height] = self.extent;
        let (format, modifier, inode) = (&self.format, &self.modifier, self.inode);
        let memory = format!("{width}x{height}, {format}, modifier {modifier}, inode {inode}");
        text.line("memory", memory);
        let frames = format!("{} frames each way", self.frames);
        text.comparison(frames, &self.comparison);
        let (copied, read) = (self.bytes_copied, self.bytes_read_back);
        let copied = format!("{copied} bytes to share, {read} bytes to check");
        text.line("copied", copied);
    }
}
