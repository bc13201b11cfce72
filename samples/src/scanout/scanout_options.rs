//! The command line of `scanout`.

use std::path::PathBuf;
use std::time::Duration;

use dmashare::Fourcc;

use crate::display_options::DisplayOptions;

/// Show a moving picture, drawn by Vulkan, on a display, without copying a pixel
///
/// Three buffers are allocated and exported by Vulkan, imported by the display, and shown in turn.
/// On a real machine run it from a text console: a running desktop holds the display.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "scanout", version)]
pub struct Options {
    /// How many frames to show
    #[arg(long, value_name = "N", default_value_t = 300,
          value_parser = clap::value_parser!(u32).range(1..=999_999))]
    pub frames: u32,
    /// Display mode, such as 1920x1080 or 1024x768@60 [default: the display's preferred one]
    #[arg(long, value_name = "WxH[@HZ]")]
    pub mode: Option<String>,
    /// Where it is shown, and who draws.
    #[command(flatten)]
    pub display: DisplayOptions,
    /// Pixel format, such as XR24 or XRGB8888 [default: the first that both devices have]
    #[arg(long, value_name = "FOURCC")]
    pub format: Option<Fourcc>,
    /// Write the first, a middle and the last frame to PNG files in this folder: as the display showed
    /// them if it has a writeback connector, else as they were drawn
    #[arg(long, value_name = "DIR")]
    pub png: Option<PathBuf>,
    /// Keep the last frame on screen for this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub hold: Option<Duration>,
    /// Capture every EVERY-th frame from the display (needs a writeback connector), compare each pixel,
    /// and check the kernel's list of dma-bufs
    #[arg(long, value_name = "EVERY", value_parser = clap::value_parser!(u32).range(1..))]
    pub verify: Option<u32>,
    /// Print one JSON object on one line instead of text
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "give a number of seconds, such as 5 or 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use dmashare_vk::DeviceSelector;

    use super::*;

    #[test]
    fn defaults() {
        let options = Options::try_parse_from(["scanout"]).unwrap();
        assert_eq!((options.frames, options.verify), (300, None));
        assert_eq!(options.display.device, DeviceSelector::Any);
    }

    #[test]
    fn nonsense_is_refused() {
        for arguments in [
            ["--frames", "0"],
            ["--verify", "0"],
            ["--hold", "-1"],
            ["--hold", "NaN"],
            ["--format", "XRGB-8888"],
            ["--mode", ""],
        ] {
            let parsed = Options::try_parse_from(["scanout"].into_iter().chain(arguments));
            // An empty mode is refused by the output, not here.
            assert_eq!(parsed.is_err(), arguments[0] != "--mode", "{arguments:?}");
        }
    }
}
