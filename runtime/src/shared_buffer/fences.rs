//! The fences of a buffer, for applications.

use std::time::{Duration, Instant};

use crate::access::Access;
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::buffer::moving::move_fence::was_undone;
use crate::buffer::submit_error::SubmitError;
use crate::fence::Fence;
use crate::fence::error::FenceError;
use crate::fence::reservation::Reservation;
use crate::fence::set::FenceSet;
use crate::image::damage::Damage;
use crate::shared_buffer::SharedBuffer;

impl SharedBuffer {
    /// The buffer's reservation, which holds its fences.
    pub fn reservation(&self) -> &Reservation {
        self.inner.reservation()
    }

    /// The fences that an access of this kind must wait for. The buffer is ready when all of them are
    /// over.
    pub fn ready(&self, access: Access) -> FenceSet {
        self.inner.reservation().waited_by(access)
    }

    /// Adds a fence from outside the library, as that of a reader or a writer: a client's acquire fence,
    /// or a dma-buf's own fences from
    /// [`DmaBufMemory::export_sync_file`](crate::DmaBufMemory::export_sync_file). Later uses wait for it.
    ///
    /// # Errors
    /// [`SubmitError::WouldDeadlock`] if this thread has an open submission.
    pub fn add_fence(&self, access: Access, fence: Fence) -> Result<(), SubmitError> {
        let reservation = self.inner.reservation();
        let locked = reservation
            .lock_alone()
            .ok_or_else(|| SubmitError::WouldDeadlock {
                buffer: self.inner.name().to_owned(),
            })?;
        let removed = reservation.add(access.into(), fence, None);
        drop(locked);
        drop(removed);
        if access == Access::Write {
            self.inner.content.written(None);
        }
        Ok(())
    }

    /// Reports a write that the library does not see: by the CPU ([`CpuAccess`](crate::CpuAccess)), a
    /// camera, a client. Shadows of the buffer ([`route`](crate::route)) are updated before their next
    /// use. Submissions that write, and [`add_fence`](Self::add_fence) with [`Access::Write`], report
    /// this by themselves.
    pub fn written(&self, damage: &Damage) {
        self.inner.content.written(Some(damage));
    }

    /// Tries again to add the fences to the dma-buf that could not be added before (see
    /// [`SyncMode::Implicit`](crate::SyncMode::Implicit)). Call this before you notify a foreign holder
    /// that it may use the buffer. Makes no system call if all fences were added.
    ///
    /// # Errors
    /// [`ImplicitSyncError`] by cause. [`FenceError::NoSyncFile`]: this is a software fence, which only
    /// [`wait_ready`](Self::wait_ready) can wait for.
    pub fn publish_fences(&self) -> Result<(), ImplicitSyncError> {
        self.inner.publish_owed()
    }

    /// Waits on the CPU until an access of this kind may begin, for `timeout` at most. For a buffer with
    /// foreign holders this includes the dma-buf's own fences. Do not call this while this thread has an
    /// open submission.
    ///
    /// # Errors
    /// Those of [`FenceSet::wait`].
    pub fn wait_ready(&self, access: Access, timeout: Duration) -> Result<(), FenceError> {
        let start = Instant::now();
        let left = || timeout.saturating_sub(start.elapsed());
        let result = loop {
            self.inner.advance_within(left())?;
            let fences = self.ready(access);
            let result = fences.wait(left());
            // An undone move has put the old memory back, with the content: the fences that are now in
            // the reservation say when it may be used.
            if result.is_ok() || !fences.iter().any(was_undone) {
                break result;
            }
        };
        if !self.inner.has_foreign_holders() {
            return result;
        }
        let implicit = self.inner.backing().dmabuf().fences(access)?;
        result.and(implicit.wait(left()))
    }
}
