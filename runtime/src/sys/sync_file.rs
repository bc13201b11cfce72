//! The ioctls of `linux/sync_file.h`.

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

/// `struct sync_fence_info`: one fence of a sync_file.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct FenceInfo {
    pub(crate) timeline: [u8; 32],
    pub(crate) driver: [u8; 32],
    /// 1 signalled, 0 active, negative errno when it ended in an error.
    pub(crate) status: i32,
    flags: u32,
    /// When it signalled, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) timestamp_ns: u64,
}

/// `struct sync_set_deadline`.
#[repr(C)]
struct SetDeadline {
    deadline_ns: u64,
    pad: u64,
}

/// `struct sync_file_info`.
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
    nix::ioctl_write_ptr!(set_deadline, b'>', 5, super::SetDeadline);
}

/// Result of `SYNC_IOC_FILE_INFO`.
pub(crate) struct FileInfo {
    /// Padded with zero bytes; a name of full length has none.
    pub(crate) name: [u8; 32],
    /// 1 signalled, 0 active, negative errno when it ended in an error.
    pub(crate) status: i32,
    /// Number of fences in the file.
    pub(crate) fences: u32,
}

/// `SYNC_IOC_FILE_INFO` without the list of fences. Fails with `ENOTTY` if the descriptor is not a
/// sync_file.
pub(crate) fn info(fd: BorrowedFd<'_>) -> io::Result<FileInfo> {
    info_with(fd, &mut [])
}

/// `SYNC_IOC_FILE_INFO` with the list of fences, into `list`. Fails with `EINVAL` if the file has more
/// fences than `list` has entries.
pub(crate) fn info_with(fd: BorrowedFd<'_>, list: &mut [FenceInfo]) -> io::Result<FileInfo> {
    let room = u32::try_from(list.len()).unwrap_or(0);
    let mut info = Info {
        name: [0; 32],
        status: 0,
        flags: 0,
        num_fences: room,
        pad: 0,
        sync_fence_info: list.as_mut_ptr().expose_provenance() as u64,
    };
    // SAFETY: `info` has the layout of `struct sync_file_info` and is writable. The kernel writes no
    // more than `num_fences` entries behind `sync_fence_info`, and none if that is 0
    // (`sync_file_ioctl_fence_info`); `list` has as many, and is borrowed for the call.
    unsafe { ioctls::info(fd.as_raw_fd(), &raw mut info) }?;
    Ok(FileInfo {
        name: info.name,
        status: info.status,
        fences: info.num_fences,
    })
}

/// An empty entry for [`info_with`].
pub(crate) const NO_FENCE: FenceInfo = FenceInfo {
    timeline: [0; 32],
    driver: [0; 32],
    status: 0,
    flags: 0,
    timestamp_ns: 0,
};

/// `SYNC_IOC_SET_DEADLINE`; the deadline is in nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn set_deadline(fd: BorrowedFd<'_>, deadline_ns: u64) -> io::Result<()> {
    let data = SetDeadline {
        deadline_ns,
        pad: 0,
    };
    // SAFETY: `data` has the layout of `struct sync_set_deadline`; the kernel reads it.
    unsafe { ioctls::set_deadline(fd.as_raw_fd(), &raw const data) }?;
    Ok(())
}

/// `SYNC_IOC_MERGE`: makes a sync_file that signals when both have signalled.
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
    // SAFETY: on success the kernel has put a new descriptor there, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(data.fence) })
}
