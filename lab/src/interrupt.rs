//! Ctrl-C, SIGTERM and SIGHUP: remembered, so that whoever waits can stop its children first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// The run was interrupted by this signal; its exit status is 128 plus the signal's number.
#[derive(Debug)]
pub(crate) struct Interrupted(pub(crate) i32);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "interrupted by signal {}", self.0)
    }
}

impl std::error::Error for Interrupted {}

/// Starts remembering signals instead of dying from them.
///
/// # Errors
/// The operating system's, when a handler cannot be installed.
pub(crate) fn install() -> std::io::Result<()> {
    let received = RECEIVED.get_or_init(Default::default);
    for (signal, number) in [(SIGINT, 2), (SIGTERM, 15), (SIGHUP, 1)] {
        signal_hook::flag::register_usize(signal, Arc::clone(received), number)?;
    }
    Ok(())
}

/// Fails once a signal has arrived.
///
/// # Errors
/// [`Interrupted`].
pub(crate) fn check() -> Result<(), Interrupted> {
    match RECEIVED.get().map_or(0, |flag| flag.load(Ordering::SeqCst)) {
        0 => Ok(()),
        signal => Err(Interrupted(i32::try_from(signal).unwrap_or(2))),
    }
}
