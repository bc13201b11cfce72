//! What `scanout` says at its end.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::kernel_list::BufferReport;

/// The report; with `--json` its fields are the object's keys.
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

impl Report {
    /// Whether nothing went wrong.
    pub fn is_good(&self) -> bool {
        self.pixel_errors == 0
            && self.bufinfo_errors == 0
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
        Ok(())
    }
}
