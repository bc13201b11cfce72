//! System calls that the `drm` crate does not offer, or not soundly: atomic commits with user data
//! from arrays that are kept, CLOSEFB, lists that may grow between two calls, and the signal handler
//! that restores the display. The only place in this crate with `unsafe`.
#![allow(unsafe_code)]

pub(crate) mod atomic;
pub(crate) mod mode;
pub(crate) mod signal;
pub(crate) mod syncobj;

/// Repeats a DRM ioctl for as long as a signal interrupts it, as libdrm's `drmIoctl` does.
pub(crate) fn retry<T>(mut call: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match call() {
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(nix::libc::EINTR | nix::libc::EAGAIN)
                ) => {}
            result => return result,
        }
    }
}

/// Like `retry`, for a call that gives something back, or whose repetition gives the same thing again:
/// once more when the kernel could not read or write the argument (`EFAULT`). Our arguments are
/// always there, so outside of fault injection that does not happen; what it would leave behind is
/// a handle that has no owner.
pub(crate) fn retry_idempotent<T>(
    mut call: impl FnMut() -> std::io::Result<T>,
) -> std::io::Result<T> {
    match retry(&mut call) {
        Err(error) if error.raw_os_error() == Some(nix::libc::EFAULT) => retry(call),
        result => result,
    }
}
