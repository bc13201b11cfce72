//! Exchanges fences with the dma-buf of a buffer that has foreign holders.
//!
//! The exchange never happens under a reservation (I16): the dma-buf's fences are read before the
//! reservation is locked, and ours are added after it was unlocked. A fence that the dma-buf gets in
//! between is not waited for. Implicit synchronisation always has this gap: in the kernel, too, reading
//! a dma-buf's fences is a snapshot.

use crate::access::Access;
use crate::buffer::BufferInner;
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::fence::descriptor_error::DmaBufError;
use crate::fence::error::FenceError;
use crate::fence::set::FenceSet;
use crate::fence::status::FenceStatus;
use crate::fence::usage::FenceUsage;
use crate::fence::{Fence, held_reservations};

/// The access with which a fence of this class is added to a dma-buf; `None` for a class that foreign
/// holders need not wait for. User space cannot add a move to a dma-buf, so it is added as a write,
/// which every access waits for as well.
fn published_as(usage: FenceUsage) -> Option<Access> {
    match usage {
        FenceUsage::Move | FenceUsage::Write => Some(Access::Write),
        FenceUsage::Read => Some(Access::Read),
        FenceUsage::Bookkeep => None,
    }
}

impl BufferInner {
    /// Whether uses take part in implicit synchronisation. A use of a buffer without foreign holders
    /// pays only for this check.
    #[inline]
    pub(crate) fn has_foreign_holders(&self) -> bool {
        self.foreign.any()
    }

    /// Counts one more foreign holder, and adds the pending fences to the dma-buf. No fence is missed:
    /// a commit that comes later checks the count after it has added its fence.
    pub(crate) fn add_foreign_holder(&self) -> Result<(), ImplicitSyncError> {
        self.may_exchange()?;
        let counted = self.foreign.counted();
        self.probe()?;
        self.publish_reservation()?;
        counted.keep();
        Ok(())
    }

    pub(crate) fn remove_foreign_holder(&self) {
        self.foreign.remove();
    }

    fn may_exchange(&self) -> Result<(), ImplicitSyncError> {
        match held_reservations::any() {
            true => Err(ImplicitSyncError::WouldDeadlock {
                buffer: self.name().to_owned(),
            }),
            false => Ok(()),
        }
    }

    pub(crate) fn dmabuf_failed(&self, source: DmaBufError) -> ImplicitSyncError {
        ImplicitSyncError::DmaBuf {
            buffer: self.name().to_owned(),
            source,
        }
    }

    /// Checks that the kernel has the ioctls.
    fn probe(&self) -> Result<(), ImplicitSyncError> {
        let fences = self.backing().dmabuf().fences(Access::Read);
        fences.map(drop).map_err(|error| self.dmabuf_failed(error))
    }

    /// Adds all pending fences of the reservation to the dma-buf. Those that cannot be added are owed, and
    /// the first error is returned, unless there is no sync_file of a fence yet.
    pub(crate) fn publish_reservation(&self) -> Result<(), ImplicitSyncError> {
        let backing = self.backing();
        let mut result = Ok(());
        for (usage, fence) in self.reservation().snapshot() {
            let Some(access) = published_as(usage) else {
                continue;
            };
            match backing.dmabuf().add_fence(access, &fence) {
                Ok(()) => {}
                Err(FenceError::NoSyncFile { .. }) => self.owe(access, fence),
                Err(source) => {
                    self.owe(access, fence);
                    result = result.and(Err(self.fence_failed(source)));
                }
            }
        }
        result
    }

    fn fence_failed(&self, source: FenceError) -> ImplicitSyncError {
        match source {
            FenceError::DmaBuf(source) => self.dmabuf_failed(source),
            source => ImplicitSyncError::Fence {
                buffer: self.name().to_owned(),
                source,
            },
        }
    }

    pub(crate) fn owe(&self, access: Access, fence: Fence) {
        self.foreign.owe(access, fence);
    }

    /// Tries again to add the owed fences to the dma-buf. Tries all of them, and returns the first
    /// error.
    pub(crate) fn publish_owed(&self) -> Result<(), ImplicitSyncError> {
        self.may_exchange()?;
        let mut result = Ok(());
        for (access, fence) in self.foreign.owed() {
            let is_over = fence.status() != FenceStatus::Pending;
            let added = match is_over {
                true => Ok(()),
                false => self.backing().dmabuf().add_fence(access, &fence),
            };
            match added {
                Ok(()) => self.foreign.settled(access, &fence),
                Err(source) => result = result.and(Err(self.fence_failed(source))),
            }
        }
        result
    }

    /// The dma-buf's own fences that an access must wait for; none without foreign holders.
    pub(crate) fn implicit_fences(&self, access: Access) -> Result<FenceSet, ImplicitSyncError> {
        if !self.has_foreign_holders() {
            return Ok(FenceSet::new());
        }
        let fences = self.backing().dmabuf().fences(access);
        fences.map_err(|error| self.dmabuf_failed(error))
    }
}
