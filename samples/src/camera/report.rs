//! What `camera` says at its end.

use std::fmt::Write as _;

/// One of the camera's dma-bufs as the kernel sees it while it is shown.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DmabufReport {
    /// Its inode.
    pub inode: u64,
    /// Who the kernel says has exported it.
    pub exporter: String,
    /// Devices that are attached to it.
    pub attached: Vec<String>,
}

/// The report; with `--json` its fields are the object's keys.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// The camera: its card's name and node.
    pub camera: String,
    /// Pixel format of its frames.
    pub format: String,
    /// Size of its frames in pixels.
    pub extent: [u32; 2],
    /// What its values mean: matrix and range of YUV.
    pub color: String,
    /// The Vulkan device that drew.
    pub device: String,
    /// The display's card.
    pub card: String,
    /// The display's connector.
    pub output: String,
    /// The mode.
    pub mode: String,
    /// Which planes showed what.
    pub planes: String,
    /// Frames that were shown.
    pub frames: u64,
    /// Flips that the display told of.
    pub flips: u64,
    /// Frames of the camera that there was no buffer for, or that were lost.
    pub dropped: u64,
    /// Frames that the camera marked as damaged, which were not shown.
    pub damaged: u64,
    /// Frames whose capture was compared.
    pub captured: u64,
    /// Pixels of captures that were compared: the camera's, the layer's and the background's.
    pub pixels_checked: u64,
    /// Pixels that were wrong.
    pub pixel_errors: u64,
    /// The first of them.
    pub first_pixel_error: Option<String>,
    /// Pixels of the camera's frames that are not those of the known test pattern; `None` for a camera
    /// that sees the world, and if none was compared. The JSON object does not have the key then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern_errors: Option<u64>,
    /// At how many places the moving pattern was seen.
    pub pattern_places: usize,
    /// The camera's dma-bufs, each with who is attached to it; empty where the kernel's list can't be read.
    pub dmabufs: Vec<DmabufReport>,
    /// Whether Vulkan imported the camera's buffers, and if not why.
    pub vulkan_import: String,
    /// Bytes of the camera's frames that Vulkan read and that were compared with what the CPU reads.
    pub vulkan_bytes: u64,
    /// Frames in which the two differ.
    pub vulkan_errors: u64,
    /// Layers that were encoded and decoded.
    pub encoded: u64,
    /// Bytes of the coded layers.
    pub coded_bytes: u64,
    /// Layers that were another picture after that.
    pub codec_errors: u64,
    /// The first of them.
    pub first_codec_error: Option<String>,
    /// The greatest difference of a channel that the codec made.
    pub codec_worst: u8,
    /// The least ratio of signal to noise of a decoded layer, in decibels.
    pub codec_psnr: Option<f64>,
    /// Bytes that were copied in order to show and to encode.
    pub copied_bytes: u64,
    /// Whether the program was asked to end before it had shown all frames.
    pub interrupted: bool,
    /// Descriptors that are open at the end and were not at the beginning.
    pub fds_leaked: u64,
    /// What they are open on.
    pub files_left: Vec<String>,
    /// dma-bufs that are left over; `None` where the kernel's list can't be read. The
    /// JSON object does not have the key then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmabufs_leaked: Option<u64>,
}

impl Report {
    /// Whether nothing went wrong. What a camera drops is its affair: frames take as long as they take.
    pub fn is_good(&self) -> bool {
        let wrong = [
            self.pixel_errors,
            self.pattern_errors.unwrap_or(0),
            self.vulkan_errors,
            self.codec_errors,
            self.copied_bytes,
            self.fds_leaked,
            self.dmabufs_leaked.unwrap_or(0),
        ];
        wrong.iter().all(|count| *count == 0)
    }

    /// The report as one line of JSON.
    ///
    /// # Errors
    /// None that can be: numbers and texts only.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
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
        writeln!(
            text,
            "camera       {}, {width}x{height}, {}, {}",
            self.camera, self.format, self.color
        )?;
        writeln!(text, "layer        {}", self.device)?;
        writeln!(
            text,
            "display      {} on {}, {}: {}",
            self.output, self.card, self.mode, self.planes
        )?;
        writeln!(
            text,
            "frames       {}, flips {}, dropped by the camera {}, damaged {}",
            self.frames, self.flips, self.dropped, self.damaged
        )?;
        for dmabuf in &self.dmabufs {
            let DmabufReport {
                inode, exporter, ..
            } = dmabuf;
            let attached = dmabuf.attached.join(", ");
            writeln!(
                text,
                "dma-buf      inode {inode} of {exporter}, attached: {attached}"
            )?;
        }
        writeln!(text, "copied       {} bytes", self.copied_bytes)?;
        if self.captured > 0 {
            writeln!(
                text,
                "checked      {} captures, {} pixels, {} wrong",
                self.captured, self.pixels_checked, self.pixel_errors
            )?;
        }
        if let Some(error) = &self.first_pixel_error {
            writeln!(text, "first error  {error}")?;
        }
        if let Some(errors) = self.pattern_errors {
            writeln!(
                text,
                "test pattern {errors} pixels wrong, seen at {} places",
                self.pattern_places
            )?;
        }
        writeln!(
            text,
            "Vulkan reads {}; {} bytes compared, {} frames wrong",
            self.vulkan_import, self.vulkan_bytes, self.vulkan_errors
        )?;
        if let Some(psnr) = self.codec_psnr {
            writeln!(
                text,
                "encoded      {} layers, {} bytes, {} wrong; after decoding {psnr:.1} dB at least, a \
                 channel off by {} at most",
                self.encoded, self.coded_bytes, self.codec_errors, self.codec_worst
            )?;
        }
        if let Some(error) = &self.first_codec_error {
            writeln!(text, "first error  {error}")?;
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
