//! What the host asks the agent in the guest to run, and what the agent answers: files in the
//! run's state folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The state folder's path inside the guest.
pub(crate) const GUEST_STATE: &str = "/run/dmashare-lab";
/// The request, written by the host before the guest starts.
pub(crate) const REQUEST: &str = "request.json";
/// What the command wrote to its standard output.
pub(crate) const STDOUT: &str = "stdout";
/// What the command wrote to its standard error.
pub(crate) const STDERR: &str = "stderr";
/// How the command ended, written by the agent as its last act.
pub(crate) const STATUS: &str = "status.json";
/// The folder with the pieces of the command's standard input.
pub(crate) const STDIN: &str = "stdin";
/// What the Vulkan validation layers said.
pub(crate) const VALIDATION: &str = "validation";
/// The layers' settings.
pub(crate) const LAYER_SETTINGS: &str = "vk_layer_settings.txt";
/// The pipe in the guest through which every process's layers write.
pub(crate) const VALIDATION_PIPE: &str = "/run/vulkan-validation";
/// The guest's second console: a shell's terminal.
pub(crate) const CHANNEL: &str = "/dev/tty1";

/// A command to run in the guest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// The folder that it starts in.
    pub(crate) folder: PathBuf,
    /// Its whole environment.
    pub(crate) environment: BTreeMap<String, OsString>,
    /// Whether it runs on the caller's terminal instead of on files.
    pub(crate) terminal: Option<TerminalSize>,
    /// Whether the validation layers' messages are collected.
    pub(crate) validate: bool,
    /// Displays that are made first, each a DRM device of its own.
    pub(crate) displays: u32,
}

/// A terminal's size, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TerminalSize {
    /// Rows.
    pub(crate) rows: u16,
    /// Columns.
    pub(crate) columns: u16,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CommandEnd {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It could not be started: exit status as a shell's (126 or 127), and why.
    NotStarted(i32, String),
}

impl CommandEnd {
    /// The exit status that a shell would show.
    pub(crate) fn exit_status(&self) -> i32 {
        match self {
            Self::Exited(status) | Self::NotStarted(status, _) => *status,
            Self::Signalled(signal) => 128 + signal,
        }
    }
}
