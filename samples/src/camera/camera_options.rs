//! The command line of `camera`.

use std::path::PathBuf;

use dmashare::{Extent, Fourcc};

use crate::display_options::DisplayOptions;
use crate::extent_argument::extent;

/// Show a camera's own buffers on a display, under a layer drawn by Vulkan, without copying a pixel;
/// and let a video encoder read what Vulkan has drawn
///
/// The camera's buffers are exported by its driver, imported by the display (and by Vulkan, to be read
/// with --verify), and shown on a plane of their own. A buffer goes back to the camera when the display
/// has let go of it.
/// On a real machine run it from a text console: a running desktop holds the display.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "camera", version)]
pub struct Options {
    /// How many frames to show
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=999_999))]
    pub frames: u32,
    /// The camera, such as /dev/video0 [default: the first that has the format]
    #[arg(long, value_name = "PATH")]
    pub camera: Option<PathBuf>,
    /// Pixel format of the camera's frames, such as NV12 or XR24
    #[arg(long, value_name = "FOURCC", default_value = "NV12")]
    pub format: Fourcc,
    /// Size of the camera's frames in pixels; the layer has the same size, and a quarter of it is shown
    #[arg(long, value_name = "WxH", default_value = "640x360", value_parser = extent)]
    pub extent: Extent,
    /// Where it is shown, and who draws.
    #[command(flatten)]
    pub display: DisplayOptions,
    /// Display mode, such as 1920x1080 or 1024x768@60 [default: the display's preferred one]
    #[arg(long, value_name = "WxH[@HZ]")]
    pub mode: Option<String>,
    /// Compare every EVERY-th frame, as the display showed it (needs a writeback connector) and as Vulkan
    /// reads it, with the camera's buffer as the CPU reads it
    #[arg(long, value_name = "EVERY", value_parser = clap::value_parser!(u32).range(1..))]
    pub verify: Option<u32>,
    /// Encode every EVERY-th layer from Vulkan's memory, decode it, and compare
    #[arg(long, value_name = "EVERY", value_parser = clap::value_parser!(u32).range(1..))]
    pub encode: Option<u32>,
    /// The encoder, such as /dev/video0 [default: the first of FWHT]
    #[arg(long, value_name = "PATH")]
    pub encoder: Option<PathBuf>,
    /// The decoder, such as /dev/video1 [default: the first of FWHT]
    #[arg(long, value_name = "PATH")]
    pub decoder: Option<PathBuf>,
    /// Print one JSON object on one line instead of text
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn defaults() {
        let options = Options::try_parse_from(["camera"]).unwrap();
        assert_eq!(options.format, Fourcc::NV12);
        assert_eq!(options.extent, Extent::new(640, 360));
        assert_eq!((options.verify, options.encode), (None, None));
    }

    #[test]
    fn nonsense_is_refused() {
        for arguments in [
            ["--frames", "0"],
            ["--verify", "0"],
            ["--encode", "0"],
            ["--extent", "0x360"],
            ["--format", "NV-12"],
        ] {
            let parsed = Options::try_parse_from(["camera"].into_iter().chain(arguments));
            assert!(parsed.is_err(), "{arguments:?}");
        }
    }
}
