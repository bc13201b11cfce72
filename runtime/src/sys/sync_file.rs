//! `linux/sync_file.h`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `struct sync_merge_data`.
#[repr(C)]
struct MergeData {
    name: [u8; 32],
    fd2: i32,
    fence: i32,
    flags: u32,
    pad: u32,
}

/// `struct sync_file_info`, asked for without the list of fences.
#[repr(C)]
struct Info {
    name: [u8; 32],
    status: i32,
    flags: u32,
    num_fences: u32,
    pad: u32,
    sync_fence_info: u64,
}

mod ioctls {
    nix::ioctl_readwrite!(merge, b'>', 3, super::MergeData);
    nix::ioctl_readwrite!(info, b'>', 4, super::Info);
}

/// What `SYNC_IOC_FILE_INFO` tells.
pub(crate) struct FileInfo {
    /// 1 signalled, 0 active, negative errno when it ended in an error.
    pub(crate) status: i32,
    /// Fences in the file.
    pub(crate) fences: u32,
}

/// `SYNC_IOC_FILE_INFO`; `ENOTTY` when the descriptor is no sync_file.
pub(crate) fn info(fd: BorrowedFd<'_>) -> io::Result<FileInfo> {
    let mut info = Info {
        name: [0; 32],
        status: 0,
        flags: 0,
        num_fences: 0,
        pad: 0,
        sync_fence_info: 0,
    };
    // SAFETY: `info` has the layout of `struct sync_file_info` and is writable; with `num_fences`
    // 0 the kernel writes no list behind `sync_fence_info`.
    unsafe { ioctls::info(fd.as_raw_fd(), &raw mut info) }?;
    Ok(FileInfo {
        status: info.status,
        fences: info.num_fences,
    })
}

/// `SYNC_IOC_MERGE`: a new sync_file that signals when both have.
pub(crate) fn merge(fd: BorrowedFd<'_>, other: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut name = [0; 32];
    name[..8].copy_from_slice(b"dmashare");
    let mut data = MergeData {
        name,
        fd2: other.as_raw_fd(),
        fence: -1,
        flags: 0,
        pad: 0,
    };
    // SAFETY: `data` has the layout of `struct sync_merge_data` and is writable.
    unsafe { ioctls::merge(fd.as_raw_fd(), &raw mut data) }?;
    // SAFETY: on success the kernel has put a new descriptor there, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(data.fence) })
}
