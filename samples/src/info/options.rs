//! The command line of `info`.

/// Show every Vulkan device and DRM node, what each can export and import, and which of them can
/// share memory directly; each pair is tried with a small buffer
///
/// Nothing on screen changes: no display is taken over. What cannot be examined is counted and
/// named; the exit status is 0 even so.
#[derive(Clone, Copy, Debug, clap::Parser)]
#[command(name = "info", version)]
pub struct Options {
    /// Print one JSON object on one line instead of tables
    #[arg(long)]
    pub json: bool,
}
