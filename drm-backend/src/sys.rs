//! System calls that the `drm` crate does not support, or not soundly: atomic commits with user data
//! from reusable arrays, CLOSEFB, lists that may grow between two calls, and the signal handler that
//! restores the display. This is the only module of this crate with `unsafe`.
#![allow(unsafe_code)]

pub(crate) mod atomic;
pub(crate) mod mode;
pub(crate) mod signal;
pub(crate) mod syncobj;

/// Repeats a DRM ioctl while signals interrupt it, like libdrm's `drmIoctl`.
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

/// Like `retry`, for a call that releases something or whose repetition has the same result. It also
/// repeats the call once if the kernel could not access the argument (`EFAULT`). The arguments are
/// always valid, so this happens only under fault injection, where the failure would otherwise leak a
/// handle.
pub(crate) fn retry_idempotent<T>(
    mut call: impl FnMut() -> std::io::Result<T>,
) -> std::io::Result<T> {
    match retry(&mut call) {
        Err(error) if error.raw_os_error() == Some(nix::libc::EFAULT) => retry(call),
        result => result,
    }
}
