//! A vkQueueSubmit2 that signals a timeline semaphore.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use ash::vk;

use super::{Commands, Semaphore, Vulkan};

/// Submits to the queue of one device.
pub struct Submitter {
    vulkan: Arc<Vulkan>,
    semaphore: vk::Semaphore,
    point: u64,
    /// The highest point that was seen reached: the driver is not asked about it twice.
    reached: Cell<u64>,
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
            reached: Cell::new(0),
        })
    }

    /// Submits no commands; the next point of the timeline signals when all before is done.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn submit(&mut self) -> Result<()> {
        self.submit_commands(&[], &[], &[])
    }

    /// Submits commands that begin after `wait` and signal `signal`; the next point of the timeline
    /// signals, too, when they are done.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn submit_with(
        &mut self,
        commands: &Commands,
        wait: Option<&Semaphore>,
        signal: Option<&Semaphore>,
    ) -> Result<()> {
        let commands = [vk::CommandBufferSubmitInfo::default().command_buffer(commands.raw())];
        let of = |semaphore: &Semaphore| info(semaphore.raw(), 0);
        let wait = wait.map(of);
        let signal = signal.map(of);
        self.submit_commands(&commands, wait.as_slice(), signal.as_slice())
    }

    /// Submits no commands: `signal` signals when `wait` has.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn signal(&mut self, wait: Option<&Semaphore>, signal: Option<&Semaphore>) -> Result<()> {
        let of = |semaphore: &Semaphore| info(semaphore.raw(), 0);
        let wait = wait.map(of);
        let signal = signal.map(of);
        self.submit_commands(&[], wait.as_slice(), signal.as_slice())
    }

    /// Submits no commands: `signal` signals when the timeline's last point has.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn pass_on(&mut self, signal: &Semaphore) -> Result<()> {
        let wait = [info(self.semaphore, self.point)];
        self.submit_commands(&[], &wait, &[info(signal.raw(), 0)])
    }

    fn submit_commands(
        &mut self,
        commands: &[vk::CommandBufferSubmitInfo<'_>],
        waits: &[vk::SemaphoreSubmitInfo<'_>],
        signal: &[vk::SemaphoreSubmitInfo<'_>],
    ) -> Result<()> {
        let own = info(self.semaphore, self.point + 1);
        let mut signals = [own; 2];
        if let [signal] = signal {
            signals[1] = *signal;
        }
        let submit = [vk::SubmitInfo2::default()
            .wait_semaphore_infos(waits)
            .command_buffer_infos(commands)
            .signal_semaphore_infos(&signals[..=signal.len()])];
        let (queue, _) = self.vulkan.queue();
        // SAFETY: nobody else uses the queue meanwhile (`&mut self`, and everything that uses one
        // device is on one thread), the semaphore's value only grows, and the commands were recorded
        // for this device and are not pending: who submits them waits before it does so again.
        unsafe {
            self.vulkan
                .device
                .queue_submit2(queue, &submit, vk::Fence::null())
        }?;
        self.point += 1;
        Ok(())
    }

    /// The timeline's last point.
    pub fn point(&self) -> u64 {
        self.point
    }

    /// Whether everything is done.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn is_done(&self) -> Result<bool> {
        // SAFETY: a timeline semaphore of this device.
        let value = unsafe {
            self.vulkan
                .device
                .get_semaphore_counter_value(self.semaphore)
        }?;
        self.reached.set(value);
        Ok(value >= self.point)
    }

    /// Waits until everything is done.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn wait(&self) -> Result<()> {
        self.wait_for(self.point)
    }

    /// Waits until a point is reached.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn wait_for(&self, point: u64) -> Result<()> {
        if self.reached.get() >= point {
            return Ok(());
        }
        let semaphores = [self.semaphore];
        let values = [point];
        let wait = vk::SemaphoreWaitInfo::default()
            .semaphores(&semaphores)
            .values(&values);
        // SAFETY: the semaphore is of this device; the point has been submitted.
        unsafe { self.vulkan.device.wait_semaphores(&wait, u64::MAX) }?;
        self.reached.set(point);
        Ok(())
    }
}

/// A semaphore to wait for or to signal; a binary one ignores the value.
fn info(semaphore: vk::Semaphore, value: u64) -> vk::SemaphoreSubmitInfo<'static> {
    vk::SemaphoreSubmitInfo::default()
        .semaphore(semaphore)
        .value(value)
        .stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
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
