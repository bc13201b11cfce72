//! `cargo lab shell`: an interactive shell in a guest, on the caller's terminal.

use std::io::{IsTerminal, Stdin};

use anyhow::{Context, Result};
use clap::Args;
use nix::sys::termios::{self, SetArg, Termios};

use crate::request::TerminalSize;
use crate::run_command::{self, Caller, GuestOptions};
use crate::workspace::Workspace;

/// Arguments of `cargo lab shell`.
#[derive(Debug, Args)]
pub(crate) struct ShellArguments {
    #[command(flatten)]
    guest: GuestOptions,
}

/// The caller's terminal in raw mode: every key goes to the guest. Restored when dropped.
struct RawTerminal {
    terminal: Stdin,
    before: Termios,
}

impl RawTerminal {
    fn enter() -> Result<Self> {
        let terminal = std::io::stdin();
        let before = termios::tcgetattr(&terminal).context("cannot read the terminal's mode")?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&terminal, SetArg::TCSANOW, &raw)
            .context("cannot set the terminal's mode")?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that has gone.
        let _ = termios::tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

/// Runs a shell in a guest; without a terminal it reads its commands from our standard input.
/// Returns the shell's exit status.
///
/// # Errors
/// When set-up or the guest's start fails, or the terminal refuses raw mode.
pub(crate) fn run(arguments: ShellArguments) -> Result<i32> {
    let workspace = Workspace::find()?;
    // Set up first: its progress needs an ordinary terminal.
    crate::setup::ensure()?;
    let stdout = std::io::stdout();
    let interactive = std::io::stdin().is_terminal() && stdout.is_terminal();
    let (caller, _raw) = if interactive {
        let (columns, rows) =
            terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0, height.0));
        let size = TerminalSize { rows, columns };
        (Caller::Terminal(size), Some(RawTerminal::enter()?))
    } else {
        (Caller::Person, None)
    };
    let shell = vec!["/bin/bash".into()];
    let stderr = std::io::stderr();
    run_command::run_in_guest(&workspace, arguments.guest, shell, caller, stdout, stderr)
}
