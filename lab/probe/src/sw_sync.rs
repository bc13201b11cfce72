//! sw_sync: fences that user space signals (`drivers/dma-buf/sw_sync.c`).
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// `struct sw_sync_create_fence_data`.
#[repr(C)]
struct CreateFence {
    value: u32,
    name: [u8; 32],
    fence: i32,
}

/// `struct sw_sync_get_deadline`.
#[repr(C)]
struct GetDeadline {
    deadline_ns: u64,
    pad: u32,
    fence_fd: i32,
}

mod ioctls {
    nix::ioctl_readwrite!(create_fence, b'W', 0, super::CreateFence);
    nix::ioctl_write_ptr!(increment, b'W', 1, u32);
    nix::ioctl_readwrite!(get_deadline, b'W', 2, super::GetDeadline);
}

/// A timeline of the kernel's test driver. Closing it (dropping this) signals its pending fences
/// with `ENOENT`.
#[derive(Debug)]
pub struct SwSyncTimeline {
    file: File,
}

impl SwSyncTimeline {
    /// Creates a timeline at 0.
    ///
    /// # Panics
    /// If the kernel was built without `CONFIG_SW_SYNC`.
    pub fn new() -> Self {
        match OpenOptions::new()
            .read(true)
            .write(true)
            .open("/sys/kernel/debug/sync/sw_sync")
        {
            Ok(file) => Self { file },
            Err(error) => crate::missing("/sys/kernel/debug/sync/sw_sync", &error),
        }
    }

    /// Creates a sync_file that signals when the timeline reaches `value`.
    ///
    /// # Panics
    /// If the ioctl fails.
    pub fn fence(&self, value: u32) -> OwnedFd {
        let mut data = CreateFence {
            value,
            name: [0; 32],
            fence: -1,
        };
        // SAFETY: `data` has the layout of `struct sw_sync_create_fence_data` and is writable.
        let result = unsafe { ioctls::create_fence(self.file.as_raw_fd(), &raw mut data) };
        if let Err(errno) = result {
            crate::missing("SW_SYNC_IOC_CREATE_FENCE", &errno);
        }
        // SAFETY: the ioctl succeeded, so the field holds a new descriptor that has no other owner.
        unsafe { OwnedFd::from_raw_fd(data.fence) }
    }

    /// Advances the timeline by `count`.
    ///
    /// # Panics
    /// If the ioctl fails.
    pub fn increment(&self, count: u32) {
        // SAFETY: the kernel reads one u32, which outlives the call.
        let result = unsafe { ioctls::increment(self.file.as_raw_fd(), &raw const count) };
        if let Err(errno) = result {
            crate::missing("SW_SYNC_IOC_INC", &errno);
        }
    }
}

/// The deadline that was set for a sw_sync fence, on the monotonic clock; `None` if none was set.
///
/// # Panics
/// If the kernel has no deadlines (before Linux 6.5), or the fence is not one of sw_sync.
pub fn sw_sync_deadline(timeline: &SwSyncTimeline, fence: BorrowedFd<'_>) -> Option<Duration> {
    let mut data = GetDeadline {
        deadline_ns: 0,
        pad: 0,
        fence_fd: fence.as_raw_fd(),
    };
    // SAFETY: `data` has the layout of `struct sw_sync_get_deadline` and is writable.
    match unsafe { ioctls::get_deadline(timeline.file.as_raw_fd(), &raw mut data) } {
        Ok(_) => Some(Duration::from_nanos(data.deadline_ns)),
        Err(nix::Error::ENOENT) => None,
        Err(errno) => crate::missing("SW_SYNC_GET_DEADLINE", &errno),
    }
}

impl Default for SwSyncTimeline {
    fn default() -> Self {
        Self::new()
    }
}
