//! Signal handlers that restore the display.

use std::io;

use nix::sys::signal::Signal;
use signal_hook::SigId;
use signal_hook::low_level;

/// What to do in the handler. Only what is async-signal-safe may be done: system calls on memory
/// that was prepared before.
pub(crate) trait SignalAction: Send + Sync + 'static {
    /// Called in the handler.
    fn run(&self);
}

/// A handler that is installed; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Registration(SigId);

impl Drop for Registration {
    fn drop(&mut self) {
        low_level::unregister(self.0);
    }
}

/// Whether the signal would do what it does by default now.
fn is_default(signal: i32) -> io::Result<bool> {
    let mut old = std::mem::MaybeUninit::<nix::libc::sigaction>::uninit();
    // SAFETY: with a null new action sigaction(2) only writes the present one to `old`.
    let result = unsafe { nix::libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: sigaction(2) succeeded, so it has written all of `old`.
    let old = unsafe { old.assume_init() };
    Ok(old.sa_sigaction == nix::libc::SIG_DFL)
}

/// Runs `action` in the handler of `signal`, before the handler that the program had installed; or,
/// if it had none, before the signal's default action, which then ends the process as ever.
pub(crate) fn register(signal: Signal, action: impl SignalAction) -> io::Result<Registration> {
    let number = signal as i32;
    let default = is_default(number)?;
    let handler = move || {
        let errno = nix::errno::Errno::last();
        action.run();
        errno.set();
        if default {
            // Ends the process; only signals without a default action return an error here.
            let _ = low_level::emulate_default_handler(number);
        }
    };
    // SAFETY: the handler makes system calls on memory that was prepared before (the trait's rule),
    // restores errno, and calls `emulate_default_handler`, which is documented as
    // async-signal-safe. It neither allocates, nor frees, nor locks, nor panics.
    let id = unsafe { low_level::register(number, handler) }?;
    Ok(Registration(id))
}
