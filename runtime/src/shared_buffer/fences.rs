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
    /// The fences of the buffer.
    pub fn reservation(&self) -> &Reservation {
        self.inner.reservation()
    }

    /// The fences that an access of this kind has to wait for. The buffer is ready when the set is
    /// over.
    pub fn ready(&self, access: Access) -> FenceSet {
        self.inner.reservation().waited_by(access)
    }

    /// Adds a fence of someone outside the library, as that of a reader or a writer: a client's
    /// acquire fence, or what [`DmaBufMemory::export_sync_file`](crate::DmaBufMemory::export_sync_file)
    /// says of a dma-buf's own fences. Later uses wait for it.
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

    /// The content was changed by someone of whom the library does not know: the CPU
    /// ([`CpuAccess`](crate::CpuAccess)), a camera, a client. Copies of the buffer
    /// ([`route`](crate::route)) are brought up to date before their next use. Writes of
    /// submissions tell that by themselves, and so does [`add_fence`](Self::add_fence) of a write.
    pub fn written(&self, damage: &Damage) {
        self.inner.content.written(Some(damage));
    }

    /// Tries once more to put into the dma-buf what its foreign holders should wait for and could
    /// not be told (see [`SyncMode::Implicit`](crate::SyncMode::Implicit)). To be called before the
    /// other side is sent a word that the buffer is its turn; with nothing left to tell it makes no
    /// system call.
    ///
    /// # Errors
    /// [`ImplicitSyncError`] by cause: with [`FenceError::NoSyncFile`] the fence is of software, and
    /// [`wait_ready`](Self::wait_ready) is what is left.
    pub fn publish_fences(&self) -> Result<(), ImplicitSyncError> {
        self.inner.publish_owed()
    }

    /// Waits on the CPU until an access of this kind may begin, for `timeout` at most; of a buffer with
    /// foreign holders also for the dma-buf's own fences. Not to be called while this thread has a
    /// submission on the buffer.
    ///
    /// # Errors
    /// As [`FenceSet::wait`].
    pub fn wait_ready(&self, access: Access, timeout: Duration) -> Result<(), FenceError> {
        let start = Instant::now();
        let left = || timeout.saturating_sub(start.elapsed());
        let result = loop {
            self.inner.advance_within(left())?;
            let fences = self.ready(access);
            let result = fences.wait(left());
            // The content is in the old memory then, which is the buffer's again: what is in the
            // reservation now says when that may be used.
            let undone = result.is_err() && fences.iter().any(was_undone);
            if !undone || left().is_zero() {
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
