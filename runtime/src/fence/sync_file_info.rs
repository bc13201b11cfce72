//! The kernel's information about a sync_file.

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
    /// Name of the driver that signals it, such as "sw_sync", "vgem" or "amdgpu".
    pub driver: String,
    /// The driver's name of its timeline.
    pub timeline: String,
    /// Status of the fence.
    pub status: FenceStatus,
    /// When the fence signalled, by `CLOCK_MONOTONIC`; `None` while it is pending.
    pub timestamp: Option<Duration>,
}

/// The kernel's information about a sync_file (`SYNC_IOC_FILE_INFO`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncFileInfo {
    /// The name that its creator gave it, or the kernel's default name.
    pub name: String,
    /// Status of all its fences together.
    pub status: FenceStatus,
    /// Its fences. Merging, and exporting from a dma-buf, leave out signalled fences. If none is left, the
    /// file has one stub fence, which has signalled.
    pub fences: Vec<SyncFileFence>,
}

impl SyncFile {
    /// Queries the kernel's information about the sync_file, for reports. Two ioctls.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn info(&self) -> Result<SyncFileInfo, SyncFileError> {
        // The number of fences in a sync_file never changes.
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

/// Returns the text before the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}
