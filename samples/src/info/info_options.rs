//! The command line of `info`.

/// Show every Vulkan device and DRM node, what each can export and import, and which of them can
/// share memory, directly or by a copy; each pair is tried with a small buffer
///
/// Nothing on screen changes: no display is taken over. Devices that cannot be examined are counted and
/// named; the exit status is still 0.
#[derive(Clone, Copy, Debug, clap::Parser)]
#[command(name = "info", version)]
pub struct Options {
    /// Print one JSON object on one line instead of tables
    #[arg(long)]
    pub json: bool,
    /// Measure the cost of handing over a frame of 1920x1080, for each pair and format
    #[arg(long)]
    pub measure: bool,
    /// Print the JSON schema of the output of --json, and examine nothing
    #[arg(long, conflicts_with_all = ["json", "measure"])]
    pub schema: bool,
}
