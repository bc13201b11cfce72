//! Work that holds a queue until it is let go.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use ash::vk;

use super::Vulkan;

/// Keeps a queue waiting, so that what is submitted meanwhile costs what a submission costs, and not
/// sometimes the waking of a driver's sleeping thread as well.
pub struct Gate {
    vulkan: Arc<Vulkan>,
    semaphore: vk::Semaphore,
    point: u64,
    closed: bool,
}

impl Gate {
    /// A gate before the device's queue, open.
    ///
    /// # Errors
    /// When Vulkan refuses the semaphore.
    pub fn new(vulkan: &Arc<Vulkan>) -> Result<Self> {
        Ok(Self {
            semaphore: vulkan.timeline_semaphore()?,
            vulkan: vulkan.clone(),
            point: 0,
            closed: false,
        })
    }

    /// The queue waits from here on.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn close(&mut self) -> Result<()> {
        let waits = [vk::SemaphoreSubmitInfo::default()
            .semaphore(self.semaphore)
            .value(self.point + 1)
            .stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)];
        let submit = [vk::SubmitInfo2::default().wait_semaphore_infos(&waits)];
        let (queue, _) = self.vulkan.queue();
        // SAFETY: nobody else uses the queue meanwhile: everything is on one thread. The point is
        // signalled by `open`, at the latest when this is dropped.
        unsafe {
            self.vulkan
                .device
                .queue_submit2(queue, &submit, vk::Fence::null())
        }?;
        self.point += 1;
        self.closed = true;
        Ok(())
    }

    /// The queue goes on.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn open(&mut self) -> Result<()> {
        if self.closed {
            let signal = vk::SemaphoreSignalInfo::default()
                .semaphore(self.semaphore)
                .value(self.point);
            // SAFETY: the semaphore is of this device, its value is one less, and no other signal
            // of it is pending.
            unsafe { self.vulkan.device.signal_semaphore(&signal) }?;
            self.closed = false;
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // On a lost device nothing waits any more.
        let _ = self.open();
        let (queue, _) = self.vulkan.queue();
        // SAFETY: as in `close`.
        let _ = unsafe { self.vulkan.device.queue_wait_idle(queue) };
        // SAFETY: the queue has nothing left that waits for it.
        unsafe { self.vulkan.device.destroy_semaphore(self.semaphore, None) };
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("point", &self.point)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
