//! An empty vkQueueSubmit2 that signals a timeline semaphore.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use ash::vk;

use super::Vulkan;

/// Submits to the queue of one device.
pub struct Submitter {
    vulkan: Arc<Vulkan>,
    semaphore: vk::Semaphore,
    point: u64,
}

impl Submitter {
    /// A submitter with a timeline of its own.
    ///
    /// # Errors
    /// When Vulkan refuses the semaphore.
    pub fn new(vulkan: &Arc<Vulkan>) -> Result<Self> {
        Ok(Self {
            semaphore: vulkan.timeline_semaphore()?,
            vulkan: vulkan.clone(),
            point: 0,
        })
    }

    /// Submits; the next point of the timeline signals when it is done.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn submit(&mut self) -> Result<()> {
        let signals = [vk::SemaphoreSubmitInfo::default()
            .semaphore(self.semaphore)
            .value(self.point + 1)
            .stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)];
        let submit = [vk::SubmitInfo2::default().signal_semaphore_infos(&signals)];
        let (queue, _) = self.vulkan.queue();
        // SAFETY: nobody else uses the queue meanwhile (`&mut self`, and one submitter a device),
        // and the semaphore's value only grows.
        unsafe {
            self.vulkan
                .device
                .queue_submit2(queue, &submit, vk::Fence::null())
        }?;
        self.point += 1;
        Ok(())
    }

    /// Waits until everything is done.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn wait(&self) -> Result<()> {
        let semaphores = [self.semaphore];
        let values = [self.point];
        let wait = vk::SemaphoreWaitInfo::default()
            .semaphores(&semaphores)
            .values(&values);
        // SAFETY: the semaphore is of this device; the point has been submitted.
        unsafe { self.vulkan.device.wait_semaphores(&wait, u64::MAX) }?;
        Ok(())
    }
}

impl Drop for Submitter {
    fn drop(&mut self) {
        // A device that is lost has no work left that uses the semaphore.
        let _ = self.wait();
        // SAFETY: all work that signals it is over.
        unsafe { self.vulkan.device.destroy_semaphore(self.semaphore, None) };
    }
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter")
            .field("point", &self.point)
            .finish_non_exhaustive()
    }
}
