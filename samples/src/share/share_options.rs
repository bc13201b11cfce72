//! The command line of `share`.

use dmashare::{Extent, Fourcc};
use dmashare_vk::DeviceSelector;

use crate::extent_argument::extent;

/// Let one Vulkan device draw and another read the same memory, and check every pixel; then the
/// other way round
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "share", version)]
pub struct Options {
    /// Import in another process, which gets the memory through a socket
    #[arg(long)]
    pub process: bool,
    /// Pixel format, such as XR24 or XRGB8888
    #[arg(long, value_name = "FOURCC", default_value = "XR24")]
    pub format: Fourcc,
    /// Size of the image in pixels
    #[arg(long, value_name = "WxH", default_value = "1920x1080", value_parser = extent)]
    pub extent: Extent,
    /// How many frames each device draws
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=499_999))]
    pub frames: u32,
    /// Vulkan device that allocates the memory: a part of its name, its UUID, or its DRM node
    #[arg(long, value_name = "NAME|UUID|NODE", default_value_t)]
    pub device: DeviceSelector,
    /// Vulkan device that imports it [default: the same as --device, opened a second time]
    #[arg(long, value_name = "NAME|UUID|NODE")]
    pub importer: Option<DeviceSelector>,
    /// Print one JSON object on one line instead of text
    #[arg(long)]
    pub json: bool,
    /// Be the other process: standard input is the socket
    #[arg(long, hide = true)]
    pub serve: bool,
}

impl Options {
    /// The device that imports.
    pub fn importer(&self) -> &DeviceSelector {
        self.importer.as_ref().unwrap_or(&self.device)
    }
}
