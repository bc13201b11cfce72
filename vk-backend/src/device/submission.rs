//! The application's own `vkQueueSubmit2`, tied to the fences of the buffers that it touches.

use std::fmt;
use std::sync::Arc;

use ash::vk;
use dmashare::{Fence, ImplicitFences, MappingUse, SubmitError, TryBeginError};
use smallvec::{SmallVec, smallvec};

use crate::core::queue_lock::QueueLockGuard;
use crate::device::Device;
use crate::failure::Failure;
use crate::queue::foreign_fence::{Resolved, Unresolved, Waits, hold_used};
use crate::queue::semaphore_pool::PreparedExport;
use crate::queue::timeline::QueueTimeline;

/// In how many rounds new fences of other devices may turn up while the known ones become
/// semaphores.
const ROUNDS: usize = 16;

impl Device {
    /// Begins a piece of work that uses any number of this device's mappings, each for reading
    /// ([`Mapping::read`](dmashare::Mapping::read)) or writing
    /// ([`Mapping::write`](dmashare::Mapping::write)).
    ///
    /// Fences of this device become waits for its timeline. Before any reservation is locked,
    /// fences of other devices and sync_files become semaphores; some drivers block there until
    /// their work is done. In the steady state, with nothing pending elsewhere, this makes no
    /// allocation for up to eight mappings. For buffers with foreign holders
    /// ([`SyncMode::Implicit`](dmashare::SyncMode::Implicit)), the fences include the dma-buf's
    /// own.
    ///
    /// Vulkan does not report that something it waited for ended in an error. The fence of this
    /// work does: it fails if a sync_file of a write that the work waited for has failed.
    ///
    /// # Errors
    /// - [`SubmitError::ForeignMapping`]: a mapping belongs to another importer, which may be
    ///   another `Device` that adopted the same `VkDevice`.
    /// - [`SubmitError::Stale`]: a mapping is of a backing that its buffer has left.
    /// - [`SubmitError::WouldDeadlock`]: this thread has another open submission, of any buffers,
    ///   or is in an invalidate callback.
    /// - [`SubmitError::NotReady`]: a fence is pending that Vulkan cannot wait for (a display's):
    ///   wait for `SharedBuffer::ready` first. Or new fences of other devices turned up in each of
    ///   sixteen rounds in which the known ones became semaphores: try again.
    /// - [`SubmitError::Fence`]: the last write to a buffer that the work reads failed, or a fence
    ///   cannot be converted. (A writer may proceed after a failed write, because it replaces the
    ///   content.)
    /// - [`SubmitError::ImplicitSync`]: the dma-buf's own fences could not be read.
    /// - [`SubmitError::Device`]: this thread already holds the queue, or the device is lost.
    pub fn submission(
        &self,
        uses: impl IntoIterator<Item = MappingUse>,
    ) -> Result<Submission, SubmitError> {
        Submission::begin(self.timeline(), uses)
    }
}

/// A piece of work about to be submitted; see [`Device::submission`](crate::Device::submission).
///
/// While it exists, the reservations of all its buffers and the device's queue are locked. No other
/// thread can submit to the queue, so its timeline grows in submission order, and no buffer can
/// gain a fence that this work does not know. Until the commit, the caller submits and must not
/// wait for anything else.
///
/// Dropping it without a commit adds no fence. If the work was submitted all the same, the buffers'
/// other users do not wait for it.
#[must_use = "dropping a submission unlocks the buffers without a fence"]
pub struct Submission {
    // The order matters: the reservations are unlocked first.
    inner: dmashare::Submission,
    queue: QueueLockGuard,
    timeline: Arc<QueueTimeline>,
    point: u64,
    waits: SmallVec<[vk::SemaphoreSubmitInfo<'static>; 8]>,
    signals: SmallVec<[vk::SemaphoreSubmitInfo<'static>; 2]>,
    export: Option<PreparedExport>,
    // Last: they keep the images alive. Dropping the last mapping destroys them, and the last
    // handle destroys the device; other threads should not wait for the queue meanwhile.
    _uses: SmallVec<[MappingUse; 8]>,
}

impl Submission {
    fn begin(
        timeline: &Arc<QueueTimeline>,
        uses: impl IntoIterator<Item = MappingUse>,
    ) -> Result<Self, SubmitError> {
        timeline.pass_given_up_points();
        timeline.recycle();
        let uses: SmallVec<[MappingUse; 8]> = uses.into_iter().collect();
        for used in &uses {
            let is_own = used
                .importer::<Device>()
                .is_some_and(|device| Arc::ptr_eq(device.core(), timeline.core()));
            if !is_own {
                return Err(SubmitError::ForeignMapping {
                    buffer: used.buffer_name().to_owned(),
                });
            }
        }
        // Once for all rounds, because each call returns new sync_files.
        let implicit = ImplicitFences::collect(&uses)?;
        let mut resolved = SmallVec::<[Resolved; 4]>::new();
        let mut last: Option<Unresolved> = None;
        let mut rounds = 0;
        while rounds < ROUNDS {
            if timeline.core().is_lost() {
                return Err(Failure {
                    operation: "vkQueueSubmit2",
                    source: vk::Result::ERROR_DEVICE_LOST,
                }
                .into());
            }
            // The queue is locked before the reservations: a thread that waits for the queue holds
            // no buffer, and no thread waits for a buffer with the queue locked.
            let queue = timeline.lock_queue_to_submit(&uses)?;
            let begun = dmashare::Submission::try_begin_with(uses.iter().cloned(), &implicit);
            let inner = match begun {
                Ok(inner) => inner,
                Err(TryBeginError::Contended(contended)) => {
                    drop(queue);
                    contended.wait()?;
                    continue;
                }
                Err(TryBeginError::Submit(error)) => return Err(error),
            };
            rounds += 1;
            let mut waits = Waits::new(timeline, &resolved);
            inner.visit_waits(|fence, usage, buffer| waits.add(fence, usage, buffer))?;
            let unresolved = waits.take_unresolved();
            if unresolved.is_empty() {
                let point = timeline.next_point(&queue);
                let (waits, used) = waits.finish(point);
                // The pool holds them by point, not this object: work that was submitted and then
                // dropped without a commit must not lose a semaphore it waits for.
                hold_used(timeline, resolved, &used, point);
                let mut this = Self {
                    inner,
                    queue,
                    timeline: timeline.clone(),
                    point,
                    waits,
                    signals: smallvec![timeline.submit_info(point)],
                    export: None,
                    _uses: uses,
                };
                if this._uses.iter().any(MappingUse::has_foreign_holders) {
                    this.signal_for_export()?;
                }
                return Ok(this);
            }
            drop(waits);
            drop(inner);
            drop(queue);
            for fence in unresolved {
                if let Some(entry) = fence.clone().resolve(timeline.pool())? {
                    resolved.push(entry);
                }
                last = Some(fence);
            }
        }
        Err(match last {
            Some(fence) => fence.not_ready(),
            // Every finished round had an unresolved fence.
            None => Failure {
                operation: "waiting for other devices",
                source: vk::Result::TIMEOUT,
            }
            .into(),
        })
    }

    /// Prepares the fence of this work for a sync_file, which another process, a display or an
    /// encoder will get. The work then signals a semaphore for it, so that the first
    /// [`export_sync_file`](Fence::export_sync_file) of the fence needs no extra submission. Call
    /// it before reading [`signals`](Self::signals). If the device does not support sync_files, it
    /// does nothing. Work on buffers with foreign holders
    /// ([`SyncMode::Implicit`](dmashare::SyncMode::Implicit)) is always exportable.
    ///
    /// # Errors
    /// [`SubmitError::Device`]: a semaphore could not be created. Nothing was submitted, and the
    /// submission is dropped.
    pub fn exportable(mut self) -> Result<Self, SubmitError> {
        self.signal_for_export()?;
        Ok(self)
    }

    fn signal_for_export(&mut self) -> Result<(), SubmitError> {
        if self.export.is_none() && self.timeline.core().sync_fd.export {
            let export = self.timeline.pool().prepare_export(self.point)?;
            self.signals.push(export.submit_info());
            self.export = Some(export);
        }
        Ok(())
    }

    /// The semaphores the work must wait for. Put all of them into
    /// `VkSubmitInfo2::pWaitSemaphoreInfos`, once. They belong to this library, which reuses them
    /// when the queue has passed this submission's point.
    pub fn waits(&self) -> &[vk::SemaphoreSubmitInfo<'static>] {
        &self.waits
    }

    /// The semaphores the work must signal, for `VkSubmitInfo2::pSignalSemaphoreInfos` of the last
    /// batch.
    pub fn signals(&self) -> &[vk::SemaphoreSubmitInfo<'static>] {
        &self.signals
    }

    /// The queue to submit to. This object holds its lock.
    pub fn queue(&self) -> vk::Queue {
        self.timeline.core().queue
    }

    /// Commits after the work was submitted with [`waits`](Self::waits) and
    /// [`signals`](Self::signals): adds its fence, which signals with the work, to every buffer's
    /// reservation, and unlocks them and the queue. If the submit failed, drop the submission instead,
    /// and call [`Device::mark_lost`](crate::Device::mark_lost) if the result was
    /// `ERROR_DEVICE_LOST`.
    ///
    /// For buffers with foreign holders ([`SyncMode::Implicit`](dmashare::SyncMode::Implicit)), the
    /// fence is also added to the dma-buf, as a sync_file. Some drivers create one only when the
    /// work is done: then this call takes that long, with nothing locked.
    ///
    /// # Safety
    /// The work was submitted to [`queue`](Self::queue) by `vkQueueSubmit2`, which succeeded: all
    /// [`waits`](Self::waits) in its first batch, all [`signals`](Self::signals) in its last. Otherwise the
    /// fence never signals, and its sync_file would be made of a semaphore without a signal operation
    /// (VUID-VkSemaphoreGetFdInfoKHR-handleType-03254).
    pub unsafe fn commit(self) -> Fence {
        self.commit_submitted()
    }

    fn commit_submitted(self) -> Fence {
        self.timeline.submitted(self.point);
        // Before any other thread can get the fence.
        if let Some(export) = self.export {
            export.offer();
        }
        let fence = self.timeline.fence(self.point);
        let unpublished = self.inner.commit_unpublished(&fence);
        drop(self.queue);
        // Making a sync_file of the fence may block and may need a submission of its own.
        unpublished.publish();
        fence
    }

    /// Submits the command buffers in one batch with the waits and signals, and commits. On error,
    /// nothing was submitted and no fence was added.
    ///
    /// # Safety
    /// The command buffers must be valid to submit to the device's queue with `vkQueueSubmit2`
    /// (executable, of its queue family), and must stay alive until the fence is over.
    ///
    /// # Errors
    /// [`SubmitError::Device`]: `vkQueueSubmit2` failed. If the device was lost, it is marked as lost.
    pub unsafe fn submit(
        self,
        commands: &[vk::CommandBufferSubmitInfo<'_>],
    ) -> Result<Fence, SubmitError> {
        let submit = vk::SubmitInfo2::default()
            .wait_semaphore_infos(&self.waits)
            .command_buffer_infos(commands)
            .signal_semaphore_infos(&self.signals);
        self.timeline.queue_submit(&self.queue, &submit)?;
        Ok(self.commit_submitted())
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission")
            .field("device", &self.timeline.core().name)
            .field("point", &self.point)
            .field("waits", &self.waits.len())
            .finish_non_exhaustive()
    }
}
