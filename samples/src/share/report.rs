//! What `share` says at its end.

use std::fmt::Write as _;

use crate::capture::Comparison;

/// The report; with `--json` its fields are the object's keys.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// The device that allocated the memory.
    pub exporter: String,
    /// The device that imported it.
    pub importer: String,
    /// Whether the importer was another process.
    pub process: bool,
    /// The pixel format.
    pub format: String,
    /// The modifier.
    pub modifier: String,
    /// Pixels: width and height.
    pub extent: [u32; 2],
    /// Frames that each device drew and the other checked.
    pub frames: u32,
    /// Pixels that were compared with the picture, by both.
    pub pixels_checked: u64,
    /// Pixels that differ.
    pub pixel_errors: u64,
    /// The first pixel that differs.
    pub first_pixel_error: Option<String>,
    /// Bytes that the library copied in order to share.
    pub bytes_copied: u64,
    /// Bytes that both devices read back in order to check them.
    pub bytes_read_back: u64,
    /// The dma-buf's inode, the same on both sides.
    pub inode: u64,
    /// Frames whose fence went to the other process as a sync_file; the others were complete when
    /// they were sent.
    pub fences_sent: u32,
    /// Descriptors that are open at the end and were not at the beginning, on both sides.
    pub fds_leaked: u64,
    /// What they are open on.
    pub files_left: Vec<String>,
    /// dma-bufs that are left over; `None` where the kernel's list can't be read. The
    /// JSON object does not have the key then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmabufs_leaked: Option<u64>,
}

impl Report {
    /// Adds what a check found.
    pub(super) fn add(&mut self, by: &str, frame: u32, comparison: Comparison) {
        let first = comparison.first_error.map(|error| error.to_string());
        self.add_counts(
            by,
            frame,
            comparison.pixels_checked,
            comparison.pixel_errors,
            first,
        );
    }

    /// The same from numbers.
    pub(super) fn add_counts(
        &mut self,
        by: &str,
        frame: u32,
        checked: u64,
        errors: u64,
        first: Option<String>,
    ) {
        self.pixels_checked += checked;
        self.pixel_errors += errors;
        if let (None, Some(first)) = (&self.first_pixel_error, first) {
            self.first_pixel_error = Some(format!("frame {frame}, read by {by}, {first}"));
        }
    }

    /// Whether nothing went wrong.
    pub fn is_good(&self) -> bool {
        self.pixel_errors == 0
            && self.bytes_copied == 0
            && self.fds_leaked == 0
            && self.dmabufs_leaked.unwrap_or(0) == 0
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
        let place = if self.process {
            "in another process"
        } else {
            "a second VkDevice of this process"
        };
        writeln!(text, "exporter     {}", self.exporter)?;
        writeln!(text, "importer     {}, {place}", self.importer)?;
        writeln!(
            text,
            "memory       {width}x{height}, {}, modifier {}, inode {}",
            self.format, self.modifier, self.inode
        )?;
        writeln!(
            text,
            "checked      {} frames each way, {} pixels, {} wrong",
            self.frames, self.pixels_checked, self.pixel_errors
        )?;
        if let Some(error) = &self.first_pixel_error {
            writeln!(text, "first error  {error}")?;
        }
        writeln!(
            text,
            "copied       {} bytes to share, {} bytes to check",
            self.bytes_copied, self.bytes_read_back
        )?;
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
        Ok(())
    }
}
