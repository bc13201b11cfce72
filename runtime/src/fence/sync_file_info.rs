//! What the kernel tells of a sync_file.

use std::os::fd::AsFd;
use std::time::Duration;

use crate::fence::descriptor_error::SyncFileError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::{SyncFile, status_of};
use crate::sys;

/// One fence of a sync_file (`struct sync_fence_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncFileFence {
    /// The driver that signals it: "sw_sync", "vgem", "amdgpu".
    pub driver: String,
    /// The driver's name for the timeline that it is on.
    pub timeline: String,
    /// Whether it has signalled.
    pub status: FenceStatus,
    /// When it signalled, on the kernel's monotonic clock (`CLOCK_MONOTONIC`); `None` while it is
    /// pending.
    pub timestamp: Option<Duration>,
}

/// Everything that the kernel tells of a sync_file (`SYNC_IOC_FILE_INFO`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncFileInfo {
    /// The name that its maker gave it, or the kernel's own for it.
    pub name: String,
    /// Status of all its fences together.
    pub status: FenceStatus,
    /// Its fences. Merges and dma-bufs leave out those that have signalled, and put an empty one in
    /// the place of none.
    pub fences: Vec<SyncFileFence>,
}

impl SyncFile {
    /// Everything that the kernel tells of it, for reports. Two ioctls.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn info(&self) -> Result<SyncFileInfo, SyncFileError> {
        // A sync_file's fences are those that it was made with.
        let count = usize::try_from(self.fence_count()?).unwrap_or(0);
        let mut list = vec![sys::sync_file::NO_FENCE; count];
        let info = sys::sync_file::info_with(self.as_fd(), &mut list).map_err(|source| {
            SyncFileError::Os {
                operation: "SYNC_IOC_FILE_INFO",
                source,
            }
        })?;
        Ok(SyncFileInfo {
            name: text(&info.name),
            status: status_of(info.status),
            fences: list.iter().map(fence).collect(),
        })
    }
}

fn fence(info: &sys::sync_file::FenceInfo) -> SyncFileFence {
    let status = status_of(info.status);
    let timestamp = Duration::from_nanos(info.timestamp_ns);
    SyncFileFence {
        driver: text(&info.driver),
        timeline: text(&info.timeline),
        status,
        timestamp: status.is_over().then_some(timestamp),
    }
}

/// The text before the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}
