//! The command line of `evict`.

use crate::display_options::DisplayOptions;

/// Use more buffers than there is room for, on two Vulkan devices and a display, while they move
///
/// The buffers are images of the first device. Only some of them fit into its memory (the budget):
/// the others are moved to host memory, and come back when they are used. Each frame one buffer is
/// drawn by the first device and shown by the display, and others are read back by either device.
/// Every buffer's content is compared by its hash with an independent computation, and every captured
/// frame pixel by pixel.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "evict", version)]
pub struct Options {
    /// How many buffers to use
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(4..=4096))]
    pub buffers: u32,
    /// How many of them fit into the device's memory
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(4..=4096))]
    pub budget: u32,
    /// How many frames to show
    #[arg(long, value_name = "N", default_value_t = 300,
          value_parser = clap::value_parser!(u32).range(1..=999_999))]
    pub frames: u32,
    /// How many other buffers to read back in each frame
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub reads: u32,
    /// Display mode, such as 1920x1080 [default: 1024x768 if there is such a mode]
    #[arg(long, value_name = "WxH[@HZ]")]
    pub mode: Option<String>,
    /// Where it is shown, and who draws.
    #[command(flatten)]
    pub display: DisplayOptions,
    /// Capture every EVERY-th frame from the display, and every frame whose buffer has moved since it was
    /// last shown; 0 for none (needs a writeback connector)
    #[arg(long, value_name = "EVERY", default_value_t = 5)]
    pub verify: u32,
    /// Pin, unpin, attach, detach, move and trim at random in another thread meanwhile
    #[arg(long)]
    pub disturb: bool,
    /// Make this many of a thousand allocations and copies fail: those of the exporter, and those of the
    /// second device's imports
    #[arg(long, value_name = "PERMILLE", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=900))]
    pub faults: u32,
    /// Seed of the random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object on one line instead of text
    #[arg(long)]
    pub json: bool,
}
