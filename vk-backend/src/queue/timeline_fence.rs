//! The points of a queue's timeline as fences, and their export as sync_files.

use std::any::Any;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use ash::vk;
use dmashare::{FenceError, FenceStatus, SyncFile, Timeline};

use crate::queue::semaphore_pool::Held;
use crate::queue::submit_failure::SubmitFailure;
use crate::queue::timeline::QueueTimeline;

impl QueueTimeline {
    fn export(&self, point: u64) -> Result<Option<SyncFile>, SubmitFailure> {
        let Some(functions) = &self.core().functions.semaphore_fd else {
            return Ok(None);
        };
        let (semaphore, signal_point) = match self.pool().take_offered(point) {
            Some(semaphore) => (semaphore, point),
            None => self.signal_after(point)?,
        };
        let info = vk::SemaphoreGetFdInfoKHR::default()
            .semaphore(semaphore)
            .handle_type(vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD);
        // SAFETY: the semaphore was made for this handle type, and its signal has been submitted
        // (VUID-VkSemaphoreGetFdInfoKHR-handleType-03254).
        let result = unsafe { functions.get_semaphore_fd(&info) };
        self.pool().hold(signal_point, Held::Exported(semaphore));
        let fd = self.core().check("vkGetSemaphoreFdKHR", result)?;
        if fd < 0 {
            // The driver returns a negative descriptor if the semaphore has signalled.
            return Ok(None);
        }
        // SAFETY: the driver has just created the descriptor and gives it to the caller.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // The kernel created it for the driver, which was asked for a sync_file.
        Ok(Some(SyncFile::from_kernel(fd)))
    }

    /// Submits the signal of a semaphore after `point`. Returns the semaphore, and the point until
    /// which it must be held.
    fn signal_after(&self, point: u64) -> Result<(vk::Semaphore, u64), SubmitFailure> {
        let semaphore = self.pool().create_for_export()?;
        // The semaphore stays unused until the signal is submitted.
        let submitted = self
            .lock_queue()
            .map_err(SubmitFailure::from)
            .and_then(|queue| {
                let signal_point = self.next_point(&queue);
                let waits = [self.submit_info(point)];
                let signals = [
                    vk::SemaphoreSubmitInfo::default()
                        .semaphore(semaphore)
                        .stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS),
                    self.submit_info(signal_point),
                ];
                let submit = vk::SubmitInfo2::default()
                    .wait_semaphore_infos(&waits)
                    .signal_semaphore_infos(&signals);
                self.queue_submit(&queue, &submit)?;
                self.submitted(signal_point);
                Ok(signal_point)
            });
        let signal_point = submitted.inspect_err(|_| {
            self.pool().hold(0, Held::Exported(semaphore));
        })?;
        Ok((semaphore, signal_point))
    }
}

impl Timeline for QueueTimeline {
    fn producer(&self) -> &str {
        &self.core().name
    }

    fn status(&self, point: u64) -> FenceStatus {
        self.point_status(point)
    }

    fn wait(&self, point: u64, timeout: Duration) -> Result<(), FenceError> {
        self.wait_reached(point, timeout)?;
        match self.outcome(point) {
            FenceStatus::Failed(errno) => Err(FenceError::Failed {
                producer: self.core().name.clone(),
                source: errno.into(),
            }),
            _ => Ok(()),
        }
    }

    /// Returns [`FenceError::NoSyncFile`] if the device does not support sync_files, but also if
    /// `point` has already signalled (`vkGetSemaphoreFdKHR` may return -1 then), or if its work was
    /// not submitted yet. [`Timeline::status`] tells the cases apart.
    fn export_sync_file(&self, point: u64) -> Result<SyncFile, FenceError> {
        if self.core().is_lost() {
            return Err(self.lost("vkGetSemaphoreFdKHR"));
        }
        // A signal that was not submitted cannot become a sync_file.
        let exportable = self.core().sync_fd.export && point <= self.last_submitted();
        let exported = if exportable {
            self.export(point)
                .map_err(|failure| failure.fence(&self.core().name))?
        } else {
            None
        };
        self.recycle();
        exported.ok_or_else(|| FenceError::NoSyncFile {
            producer: self.core().name.clone(),
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
