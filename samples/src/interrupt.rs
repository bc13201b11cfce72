//! Ctrl-C: the loop is left, the display restored, and the exit status is 130.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

/// The exit status of a program that was ended by Ctrl-C: 128 and the signal's number.
pub const EXIT_STATUS: u8 = 130;

/// Becomes true when the program is asked to end.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Watches for SIGINT and SIGTERM from here on. The first one sets the flag; a second one ends the
    /// program at once, in case it does not look at the flag.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn watch() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: at the first signal the flag is still false when the first handler
            // looks at it.
            signal_hook::flag::register_conditional_default(signal, asked.clone())
                .and_then(|_| signal_hook::flag::register(signal, asked.clone()))
                .context("no signal handler can be installed")?;
        }
        Ok(Self { asked })
    }

    /// Whether the program was asked to end.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}
