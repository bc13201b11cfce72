//! Fences that the queue cannot wait for directly, and their conversion to semaphores.

use std::sync::Arc;

use ash::vk;
use dmashare::{Fence, FenceError, FenceStatus, FenceUsage, SubmitError};
use smallvec::SmallVec;

use crate::queue::semaphore_pool::{Held, ImportedSemaphore, SemaphorePool};
use crate::queue::timeline::QueueTimeline;

/// A fence that another device signals, and its semaphore.
#[derive(Debug)]
pub(crate) struct Resolved {
    fence: Fence,
    usage: FenceUsage,
    semaphore: ImportedSemaphore,
}

/// A fence without a semaphore yet, with the details for an error.
#[derive(Clone, Debug)]
pub(crate) struct Unresolved {
    fence: Fence,
    usage: FenceUsage,
    buffer: String,
}

fn is_same(fence: &Fence, other: &Fence) -> bool {
    fence.supersedes(other) && other.supersedes(fence)
}

impl Unresolved {
    pub(crate) fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Converts the fence to a semaphore; `None` if it has signalled in the meantime. May block in
    /// the driver that signals the fence, so call it with no reservation and no queue locked.
    pub(crate) fn resolve(
        self,
        pool: &Arc<SemaphorePool>,
    ) -> Result<Option<Resolved>, SubmitError> {
        let imported = match &self.fence {
            Fence::SyncFile(file) => pool.import(file),
            // The driver of another device of this library has made it.
            fence if fence.point_on::<QueueTimeline>().is_some() => fence
                .export_sync_file()
                .and_then(|file| pool.import_checked(&file)),
            fence => fence.export_sync_file().and_then(|file| pool.import(&file)),
        };
        match imported {
            Ok(semaphore) => Ok(Some(Resolved {
                fence: self.fence,
                usage: self.usage,
                semaphore,
            })),
            // It has ended meanwhile. The next round decides what that means, with the buffers locked: a
            // move that was undone has left the reservation, and a failed write is refused.
            Err(FenceError::NoSyncFile { .. } | FenceError::Failed { .. })
                if self.fence.status().is_over() =>
            {
                Ok(None)
            }
            Err(FenceError::NoSyncFile { .. }) => Err(self.not_ready()),
            Err(error) => Err(error.into()),
        }
    }

    /// The error that makes the caller wait on its own.
    pub(crate) fn not_ready(self) -> SubmitError {
        SubmitError::NotReady {
            producer: self.fence.producer().to_owned(),
            usage: self.usage,
            buffer: self.buffer,
        }
    }
}

/// The waits of a submission, collected while the reservations are locked: nothing here blocks, and
/// in the steady state nothing allocates.
#[derive(Debug)]
pub(crate) struct Waits<'a> {
    timeline: &'a QueueTimeline,
    resolved: &'a [Resolved],
    /// The latest point of the queue's own timeline.
    own_point: u64,
    /// Points of other timelines of the same `VkDevice`.
    neighbours: SmallVec<[Fence; 4]>,
    /// The indices of the entries of `resolved` to wait for.
    used: SmallVec<[usize; 4]>,
    unresolved: SmallVec<[Unresolved; 4]>,
}

impl<'a> Waits<'a> {
    pub(crate) fn new(timeline: &'a QueueTimeline, resolved: &'a [Resolved]) -> Self {
        Self {
            timeline,
            resolved,
            own_point: 0,
            neighbours: SmallVec::new(),
            used: SmallVec::new(),
            unresolved: SmallVec::new(),
        }
    }

    /// Adds a fence that has not signalled.
    pub(crate) fn add(
        &mut self,
        fence: &Fence,
        usage: FenceUsage,
        buffer: &str,
    ) -> Result<(), SubmitError> {
        if let FenceStatus::Failed(errno) = fence.status() {
            // A failed reader has left the content intact; a failed writer has not produced it.
            return match usage {
                FenceUsage::Read | FenceUsage::Bookkeep => Ok(()),
                FenceUsage::Move | FenceUsage::Write => Err(FenceError::Failed {
                    producer: fence.producer().to_owned(),
                    source: errno.into(),
                }
                .into()),
            };
        }
        // A point that was not submitted may never be reached: only its owner could wait for it.
        if let Some((timeline, point)) = fence.point_on::<QueueTimeline>()
            && point <= timeline.last_submitted()
        {
            if std::ptr::eq(timeline, self.timeline) {
                self.own_point = self.own_point.max(point);
                return Ok(());
            }
            if timeline.core().raw.handle() == self.timeline.core().raw.handle() {
                match self
                    .neighbours
                    .iter_mut()
                    .find(|known| known.supersedes(fence) || fence.supersedes(known))
                {
                    Some(known) if fence.supersedes(known) => *known = fence.clone(),
                    Some(_) => {}
                    None => self.neighbours.push(fence.clone()),
                }
                return Ok(());
            }
        }
        let known = |resolved: &Resolved| is_same(&resolved.fence, fence);
        if let Some(index) = self.resolved.iter().position(known) {
            if !self.used.contains(&index) {
                self.used.push(index);
            }
        } else if let Some(known) = self
            .unresolved
            .iter_mut()
            .find(|other| is_same(&other.fence, fence))
        {
            known.usage = known.usage.min(usage);
        } else {
            self.unresolved.push(Unresolved {
                fence: fence.clone(),
                usage,
                buffer: buffer.to_owned(),
            });
        }
        Ok(())
    }

    /// The fences that must become semaphores before the work can be submitted.
    pub(crate) fn take_unresolved(&mut self) -> SmallVec<[Unresolved; 4]> {
        std::mem::take(&mut self.unresolved)
    }

    /// The waits of the submission, and the indices of the resolved semaphores among them. The pool
    /// keeps what they need until the queue has reached `point`.
    pub(crate) fn finish(
        self,
        point: u64,
    ) -> (
        SmallVec<[vk::SemaphoreSubmitInfo<'static>; 8]>,
        SmallVec<[usize; 4]>,
    ) {
        let mut infos = SmallVec::new();
        if self.own_point > 0 {
            infos.push(self.timeline.submit_info(self.own_point));
        }
        for fence in self.neighbours {
            if let Some((timeline, point)) = fence.point_on::<QueueTimeline>() {
                infos.push(timeline.submit_info(point));
            }
            self.timeline.pool().hold(point, Held::Fence(fence));
        }
        for index in &self.used {
            infos.push(
                vk::SemaphoreSubmitInfo::default()
                    .semaphore(self.resolved[*index].semaphore.raw())
                    .stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS),
            );
        }
        (infos, self.used)
    }
}

/// Gives the semaphores that a submission waits for to the pool until `point`; the others become
/// free at once.
///
/// Vulkan takes a sync_file that ends in an error for a signal. The writer's output is then
/// missing, and so is anything made from it: the timeline keeps track of these writes.
pub(crate) fn hold_used(
    timeline: &QueueTimeline,
    resolved: SmallVec<[Resolved; 4]>,
    used: &[usize],
    point: u64,
) {
    for (index, entry) in resolved.into_iter().enumerate() {
        if used.contains(&index) {
            entry.semaphore.hold_until(point);
            if let (FenceUsage::Move | FenceUsage::Write, Fence::SyncFile(write)) =
                (entry.usage, entry.fence)
            {
                timeline.inputs.add(point, write);
            }
        }
    }
}
