//! What `scanout` says at its end.

use std::path::PathBuf;

use crate::capture::Comparison;
use crate::report_text::Text;
use crate::run_report::RunReport;
use crate::scanout::kernel_list::BufferReport;

/// The report; with `--json` its fields are the object's keys.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(super) struct Report {
    /// The Vulkan device that drew.
    pub(super) device: String,
    /// The card that showed.
    pub(super) card: String,
    /// The connector.
    pub(super) output: String,
    /// The buffers' pixel format.
    pub(super) format: String,
    /// The buffers' modifier.
    pub(super) modifier: String,
    /// Pixels: width and height.
    pub(super) extent: [u32; 2],
    /// The display mode.
    pub(super) mode: String,
    /// Frames that were shown.
    pub(super) frames: u32,
    /// Flip events that came back.
    pub(super) flips: u64,
    /// Vertical blanks without a new frame between the first and the last flip. Capturing frames
    /// takes a software display several blanks each.
    pub(super) missed: u64,
    /// Seconds from the first frame to the last flip.
    pub(super) seconds: f64,
    /// Bytes that the library copied.
    pub(super) bytes_copied: u64,
    /// Frames that were captured and compared.
    pub(super) captured: u64,
    /// Frames that `--verify` and `--png` ask for.
    pub(super) captures_expected: u64,
    /// Where the captures come from: "writeback" or "buffer".
    pub(super) captured_from: Option<&'static str>,
    /// The captures and the picture.
    #[serde(flatten)]
    pub(super) comparison: Comparison,
    /// The buffers, as the kernel lists them.
    pub(super) buffers: Vec<BufferReport>,
    /// How often the kernel's list is not as it has to be.
    pub(super) bufinfo_errors: usize,
    /// What is wrong with it, or why it can't be read.
    pub(super) bufinfo_messages: Vec<String>,
    /// The captured frames.
    pub(super) png: Vec<PathBuf>,
    /// ATOMIC ioctls of the whole run, tests included.
    pub(super) atomic_ioctls: u64,
    /// Connectors that were plugged or unplugged meanwhile.
    pub(super) hotplugs: u64,
    /// Whether Ctrl-C ended it.
    pub(super) interrupted: bool,
    /// By how many the flip events differ from the frames that were shown; 0 after Ctrl-C.
    pub(super) flip_errors: u64,
    /// By how many the captures differ from those that were asked for; 0 after Ctrl-C.
    pub(super) capture_errors: u64,
}

impl Report {
    /// Counts the flips and captures that are missing. After Ctrl-C those of later frames are not.
    pub(super) fn count_missing(mut self) -> Self {
        if !self.interrupted {
            self.flip_errors = self.flips.abs_diff(self.frames.into());
            self.capture_errors = self.captured.abs_diff(self.captures_expected);
        }
        self
    }
}

impl RunReport for Report {
    fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    fn errors(&self) -> Vec<(u64, String)> {
        let (flips, frames) = (self.flips, self.frames);
        let (captured, expected) = (self.captured, self.captures_expected);
        let (pixels, copied) = (self.comparison.pixel_errors, self.bytes_copied);
        let flips = format!("{flips} flip events came for {frames} frames");
        let captures = format!("{captured} frames were captured and compared, not {expected}");
        let list = "the kernel's list of dma-bufs is not as it has to be";
        vec![
            (self.flip_errors, flips),
            (self.capture_errors, captures),
            (pixels, format!("{pixels} pixels differ from the picture")),
            (self.bufinfo_errors as u64, list.to_owned()),
            (copied, format!("{copied} bytes were copied")),
        ]
    }

    fn write_text(&self, text: &mut Text) {
        let [width, height] = self.extent;
        let (card, output, mode) = (&self.card, &self.output, &self.mode);
        text.line("drawn by", &self.device);
        text.line("shown by", format_args!("{card}, {output}, {mode}"));
        let (count, format, modifier) = (self.buffers.len(), &self.format, &self.modifier);
        let buffers = format!("{count} of {width}x{height}, {format}, modifier {modifier}");
        text.line("buffers", buffers);
        let rate = match self.seconds {
            seconds if seconds > 0.0 => f64::from(self.frames) / seconds,
            _ => 0.0,
        };
        let (frames, flips, missed) = (self.frames, self.flips, self.missed);
        let frames = format!(
            "{frames} drawn, {flips} flips, {missed} vertical blanks missed, {rate:.1} a second"
        );
        text.line("frames", frames);
        text.line("copied", format_args!("{} bytes", self.bytes_copied));
        if let Some(source) = self.captured_from {
            let captured = format!("{} frames from {source}", self.captured);
            text.comparison(captured, &self.comparison);
        }
        for buffer in &self.buffers {
            let (inode, size, name) = (buffer.inode, buffer.size, &buffer.name);
            let attached = buffer.attached.as_ref().map(|names| names.join(", "));
            let attached = attached.as_deref().unwrap_or("unknown");
            let buffer = format!("inode {inode}, {size} bytes, '{name}', attached: {attached}");
            text.line("dma-buf", buffer);
        }
        for message in &self.bufinfo_messages {
            text.line("kernel list", message);
        }
        for path in &self.png {
            text.line("picture", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaks::Leaks;
    use crate::run_report::Ended;

    /// Ten frames, every fifth captured, and nothing wrong.
    fn good() -> Ended<Report> {
        let report = Report {
            frames: 10,
            flips: 10,
            missed: 7,
            seconds: 1.0,
            captured: 2,
            captures_expected: 2,
            captured_from: Some("writeback"),
            atomic_ioctls: 12,
            ..Report::default()
        };
        let leaks = Leaks::default();
        Ended { report, leaks }
    }

    fn counted(mut ended: Ended<Report>) -> Ended<Report> {
        ended.report = ended.report.count_missing();
        ended
    }

    #[test]
    fn each_count_that_is_wrong_is_named() {
        assert_eq!(counted(good()).failures(), [""; 0]);
        type Spoil = fn(&mut Ended<Report>);
        let spoils: [(Spoil, &str); 8] = [
            (|r| r.report.flips = 9, "9 flip events came for 10 frames"),
            (|r| r.report.flips = 11, "11 flip events"),
            (
                |r| r.report.captured = 0,
                "0 frames were captured and compared, not 2",
            ),
            (|r| r.report.comparison.pixel_errors = 3, "3 pixels"),
            (|r| r.report.bufinfo_errors = 1, "kernel's list"),
            (|r| r.report.bytes_copied = 5, "5 bytes were copied"),
            (|r| r.leaks.fds_leaked = 2, "2 descriptors"),
            (|r| r.leaks.dmabufs_leaked = Some(1), "1 dma-bufs"),
        ];
        for (spoil, message) in spoils {
            let mut report = good();
            spoil(&mut report);
            let report = counted(report);
            let failures = report.failures();
            assert_eq!(failures.len(), 1, "{failures:?}");
            assert!(failures[0].contains(message), "{failures:?}");
            assert!(report.to_text().contains(&failures[0]));
        }
    }

    #[test]
    fn after_ctrl_c_nothing_is_missing() {
        let mut ended = good();
        let report = &mut ended.report;
        (report.interrupted, report.frames) = (true, 4);
        (report.flips, report.captured) = (3, 0);
        let mut ended = counted(ended);
        assert_eq!(ended.failures(), [""; 0]);
        ended.report.comparison.pixel_errors = 1;
        assert_eq!(ended.failures().len(), 1);
    }

    #[test]
    fn the_json_object_has_the_counts_and_no_count_that_is_unknown() {
        let mut report = good();
        report.report.flips = 8;
        let line = counted(report).to_json().unwrap();
        assert!(!line.contains('\n'));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["frames"], 10);
        assert_eq!(json["flip_errors"], 2);
        assert_eq!(json["capture_errors"], 0);
        assert_eq!(json["pixel_errors"], 0);
        assert_eq!(json["failures"].as_array().unwrap().len(), 1);
        assert_eq!(json.get("dmabufs_leaked"), None);
    }
}
