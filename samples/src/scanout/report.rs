//! What `scanout` says at its end.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::kernel_list::BufferReport;

/// The report; with `--json` its fields are the object's keys, besides those of [`Verdict`].
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// The Vulkan device that drew.
    pub device: String,
    /// The card that showed.
    pub card: String,
    /// The connector.
    pub output: String,
    /// The buffers' pixel format.
    pub format: String,
    /// The buffers' modifier.
    pub modifier: String,
    /// Pixels: width and height.
    pub extent: [u32; 2],
    /// The display mode.
    pub mode: String,
    /// Frames that were shown.
    pub frames: u32,
    /// Flip events that came back.
    pub flips: u64,
    /// Vertical blanks without a new frame between the first and the last flip. Capturing frames
    /// takes a software display several blanks each.
    pub missed: u64,
    /// Seconds from the first frame to the last flip.
    pub seconds: f64,
    /// Bytes that the library copied.
    pub bytes_copied: u64,
    /// Frames that were captured and compared.
    pub captured: u64,
    /// Frames that were to be captured, by `--verify` and `--png`.
    pub captures_expected: u64,
    /// Where the captures come from: "writeback" or "buffer".
    pub captured_from: Option<&'static str>,
    /// Pixels that were compared with the picture.
    pub pixels_checked: u64,
    /// Pixels that differ.
    pub pixel_errors: u64,
    /// The first pixel that differs.
    pub first_pixel_error: Option<String>,
    /// The buffers, as the kernel lists them.
    pub buffers: Vec<BufferReport>,
    /// How often the kernel's list is not as it has to be.
    pub bufinfo_errors: usize,
    /// What is wrong with it, or why it can't be read.
    pub bufinfo_messages: Vec<String>,
    /// The captured frames.
    pub png: Vec<PathBuf>,
    /// ATOMIC ioctls of the whole run, tests included.
    pub atomic_ioctls: u64,
    /// Connectors that were plugged or unplugged meanwhile.
    pub hotplugs: u64,
    /// Whether Ctrl-C ended it.
    pub interrupted: bool,
    /// Descriptors that are open at the end and were not at the beginning.
    pub fds_leaked: u64,
    /// What they are open on.
    pub files_left: Vec<String>,
    /// dma-bufs of this run that are left over; `None` where the kernel's list can't be read. The
    /// JSON object does not have the key then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmabufs_leaked: Option<u64>,
}

/// What follows from a report's numbers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// By how many the flip events differ from the frames that were shown; 0 after Ctrl-C.
    pub flip_errors: u64,
    /// By how many the captures differ from those that were asked for; 0 after Ctrl-C.
    pub capture_errors: u64,
    /// All that went wrong, in words.
    pub failures: Vec<String>,
}

impl Report {
    /// What follows from the numbers.
    pub fn verdict(&self) -> Verdict {
        let frames = u64::from(self.frames);
        let (flip_errors, capture_errors) = match self.interrupted {
            // Frames that are missing were not asked for any more.
            true => (0, 0),
            false => (
                self.flips.abs_diff(frames),
                self.captured.abs_diff(self.captures_expected),
            ),
        };
        let mut failures = Vec::new();
        let mut must_be_0 = |count: u64, failure: &dyn Fn() -> String| {
            if count != 0 {
                failures.push(failure());
            }
        };
        must_be_0(flip_errors, &|| {
            format!("{} flip events came for {frames} frames", self.flips)
        });
        must_be_0(capture_errors, &|| {
            let (captured, expected) = (self.captured, self.captures_expected);
            format!("{captured} frames were captured and compared, not {expected}")
        });
        must_be_0(self.pixel_errors, &|| {
            format!("{} pixels are not those of the picture", self.pixel_errors)
        });
        must_be_0(self.bufinfo_errors as u64, &|| {
            "the kernel's list of dma-bufs is not as it has to be".to_owned()
        });
        must_be_0(self.bytes_copied, &|| {
            format!("{} bytes were copied", self.bytes_copied)
        });
        must_be_0(self.fds_leaked, &|| {
            format!("{} descriptors are left over", self.fds_leaked)
        });
        let dmabufs = self.dmabufs_leaked.unwrap_or(0);
        must_be_0(dmabufs, &|| format!("{dmabufs} dma-bufs are left over"));
        Verdict {
            flip_errors,
            capture_errors,
            failures,
        }
    }

    /// Whether nothing went wrong.
    pub fn is_good(&self) -> bool {
        self.verdict().failures.is_empty()
    }

    /// The report for scripts: one JSON object on one line.
    ///
    /// # Errors
    /// A path of a PNG file is not UTF-8.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(serde::Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            report: &'a Report,
            #[serde(flatten)]
            verdict: Verdict,
        }
        serde_json::to_string(&Whole {
            report: self,
            verdict: self.verdict(),
        })
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut text);
        text.truncate(text.trim_end().len());
        text
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        let [width, height] = self.extent;
        writeln!(text, "drawn by     {}", self.device)?;
        writeln!(
            text,
            "shown by     {}, {}, {}",
            self.card, self.output, self.mode
        )?;
        writeln!(
            text,
            "buffers      {} of {width}x{height}, {}, modifier {}",
            self.buffers.len(),
            self.format,
            self.modifier
        )?;
        let rate = match self.seconds {
            seconds if seconds > 0.0 => f64::from(self.frames) / seconds,
            _ => 0.0,
        };
        writeln!(
            text,
            "frames       {} drawn, {} flips, {} vertical blanks missed, {rate:.1} a second",
            self.frames, self.flips, self.missed
        )?;
        writeln!(text, "copied       {} bytes", self.bytes_copied)?;
        if let Some(source) = self.captured_from {
            writeln!(
                text,
                "checked      {} frames from {source}, {} pixels, {} wrong",
                self.captured, self.pixels_checked, self.pixel_errors
            )?;
        }
        if let Some(error) = &self.first_pixel_error {
            writeln!(text, "first error  {error}")?;
        }
        for buffer in &self.buffers {
            let attached = match &buffer.attached {
                Some(names) => names.join(", "),
                None => "unknown".to_owned(),
            };
            writeln!(
                text,
                "dma-buf      inode {}, {} bytes, '{}', attached: {attached}",
                buffer.inode, buffer.size, buffer.name
            )?;
        }
        for message in &self.bufinfo_messages {
            writeln!(text, "kernel list  {message}")?;
        }
        for path in &self.png {
            writeln!(text, "picture      {}", path.display())?;
        }
        let dmabufs = match self.dmabufs_leaked {
            Some(dmabufs) => format!(", {dmabufs} dma-bufs"),
            None => String::new(),
        };
        writeln!(
            text,
            "left over    {} descriptors{dmabufs}",
            self.fds_leaked
        )?;
        for file in &self.files_left {
            writeln!(text, "             {file}")?;
        }
        for failure in self.verdict().failures {
            writeln!(text, "wrong        {failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten frames, every fifth captured, and nothing wrong.
    fn good() -> Report {
        Report {
            device: "llvmpipe".to_owned(),
            card: "vkms".to_owned(),
            output: "Virtual-1".to_owned(),
            format: "XR24".to_owned(),
            modifier: "LINEAR".to_owned(),
            extent: [4, 3],
            mode: "4x3".to_owned(),
            frames: 10,
            flips: 10,
            missed: 7,
            seconds: 1.0,
            bytes_copied: 0,
            captured: 2,
            captures_expected: 2,
            captured_from: Some("writeback"),
            pixels_checked: 24,
            pixel_errors: 0,
            first_pixel_error: None,
            buffers: Vec::new(),
            bufinfo_errors: 0,
            bufinfo_messages: Vec::new(),
            png: Vec::new(),
            atomic_ioctls: 12,
            hotplugs: 0,
            interrupted: false,
            fds_leaked: 0,
            files_left: Vec::new(),
            dmabufs_leaked: Some(0),
        }
    }

    #[test]
    fn each_count_that_is_wrong_is_named() {
        assert!(good().is_good());
        type Spoil = fn(&mut Report);
        let spoils: [(Spoil, &str); 8] = [
            (|r| r.flips = 9, "9 flip events came for 10 frames"),
            (|r| r.flips = 11, "11 flip events"),
            (
                |r| r.captured = 0,
                "0 frames were captured and compared, not 2",
            ),
            (|r| r.pixel_errors = 3, "3 pixels"),
            (|r| r.bufinfo_errors = 1, "kernel's list"),
            (|r| r.bytes_copied = 5, "5 bytes were copied"),
            (|r| r.fds_leaked = 2, "2 descriptors"),
            (|r| r.dmabufs_leaked = Some(1), "1 dma-bufs"),
        ];
        for (spoil, message) in spoils {
            let mut report = good();
            spoil(&mut report);
            let failures = report.verdict().failures;
            assert_eq!(failures.len(), 1, "{failures:?}");
            assert!(failures[0].contains(message), "{failures:?}");
            assert!(!report.is_good());
            assert!(report.to_text().contains(&failures[0]));
        }
    }

    #[test]
    fn after_ctrl_c_nothing_is_missing() {
        let mut report = good();
        (
            report.interrupted,
            report.frames,
            report.flips,
            report.captured,
        ) = (true, 4, 3, 0);
        assert!(report.is_good());
        report.pixel_errors = 1;
        assert!(!report.is_good());
    }

    #[test]
    fn the_json_object_has_the_counts_and_no_count_that_is_unknown() {
        let mut report = good();
        report.flips = 8;
        report.dmabufs_leaked = None;
        let line = report.to_json().unwrap();
        assert!(!line.contains('\n'));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["frames"], 10);
        assert_eq!(json["flip_errors"], 2);
        assert_eq!(json["capture_errors"], 0);
        assert_eq!(json["failures"].as_array().unwrap().len(), 1);
        assert_eq!(json.get("dmabufs_leaked"), None);
    }
}
