//! Which display shows and which device draws, on a command line.

use std::path::PathBuf;

use dmashare_vk::DeviceSelector;

/// The devices of a program that draws and shows.
#[derive(Clone, Debug, clap::Args)]
pub struct DisplayOptions {
    /// DRM node of the display, such as /dev/dri/card0 [default: the first with a display connected]
    #[arg(long, value_name = "PATH")]
    pub card: Option<PathBuf>,
    /// Connector, such as HDMI-A-1 [default: the first that is connected]
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
    /// Vulkan device that draws: a part of its name, its UUID, or its DRM node
    #[arg(long, value_name = "NAME|UUID|NODE", default_value_t)]
    pub device: DeviceSelector,
}
