//! The fences that a dma-buf carries itself, for buffers with holders outside the library's sight.
//!
//! Nothing of it happens under a reservation (I16): the dma-buf's fences are read before it is
//! locked, and ours are added after it was unlocked. In between the dma-buf may get a fence that a
//! piece of work does not know; whoever uses implicit fences lives with that, because reading them is
//! a snapshot in the kernel, too.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::access::Access;
use crate::attachment::mapping::MappingUse;
use crate::buffer::BufferInner;
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::dmabuf::DmaBuf;
use crate::fence::error::FenceError;
use crate::fence::reservation::FenceUsage;
use crate::fence::set::FenceSet;
use crate::fence::{Fence, FenceStatus, held_reservations};
use crate::locks::{AtomicUsize, Mutex, Ordering, lock};
use crate::submission::used_mappings::UsedMappings;

/// Who uses a buffer without this library's fences, and what they could not be told yet.
#[derive(Debug, Default)]
pub(crate) struct ForeignHolders {
    /// Export guards and attachments with [`SyncMode::Implicit`](crate::SyncMode::Implicit).
    count: AtomicUsize,
    /// `None`, for most buffers: nobody is owed anything.
    owed: Mutex<Option<Box<Owed>>>,
}

/// Fences of uses that are not among the dma-buf's own.
#[derive(Debug, Default)]
struct Owed {
    reads: FenceSet,
    writes: FenceSet,
}

impl Owed {
    fn of(&mut self, access: Access) -> &mut FenceSet {
        match access {
            Access::Read => &mut self.reads,
            Access::Write => &mut self.writes,
        }
    }
}

/// As what a fence of this class is put into a dma-buf; `None` for those that others need not know.
/// The kernel has no way to put a move there: as a write everyone waits for it all the same.
fn published_as(usage: FenceUsage) -> Option<Access> {
    match usage {
        FenceUsage::Move | FenceUsage::Write => Some(Access::Write),
        FenceUsage::Read => Some(Access::Read),
        FenceUsage::Bookkeep => None,
    }
}

impl BufferInner {
    /// Whether every use takes part in implicit synchronisation. All that a use of a buffer without
    /// foreign holders costs.
    #[inline]
    pub(crate) fn has_foreign_holders(&self) -> bool {
        self.foreign.count.load(Ordering::Acquire) > 0
    }

    /// Counts one more foreign holder, and puts what is pending into the dma-buf. A use that has not
    /// committed yet finds the count when it does: it looks after it has added its fence.
    pub(crate) fn add_foreign_holder(&self) -> Result<(), ImplicitSyncError> {
        self.may_exchange()?;
        self.foreign.count.fetch_add(1, Ordering::SeqCst);
        let told = self.probe().and_then(|()| self.publish_reservation());
        if told.is_err() {
            self.remove_foreign_holder();
        }
        told
    }

    pub(crate) fn remove_foreign_holder(&self) {
        let before = self.foreign.count.fetch_sub(1, Ordering::SeqCst);
        if before == 1 {
            // Nobody is left to be told.
            let owed = std::mem::take(&mut *lock(&self.foreign.owed));
            drop(owed);
        }
    }

    fn may_exchange(&self) -> Result<(), ImplicitSyncError> {
        match held_reservations::any() {
            true => Err(ImplicitSyncError::WouldDeadlock {
                buffer: self.name().to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn dmabuf_failed(
        &self,
        source: crate::fence::descriptor_error::DmaBufError,
    ) -> ImplicitSyncError {
        ImplicitSyncError::DmaBuf {
            buffer: self.name().to_owned(),
            source,
        }
    }

    /// Whether the kernel has the ioctls.
    fn probe(&self) -> Result<(), ImplicitSyncError> {
        let fences = self.backing().dmabuf().fences(Access::Read);
        fences.map(drop).map_err(|error| self.dmabuf_failed(error))
    }

    /// Puts everything that the reservation has pending into the dma-buf.
    pub(crate) fn publish_reservation(&self) -> Result<(), ImplicitSyncError> {
        let backing = self.backing();
        for (usage, fence) in self.reservation().snapshot() {
            let Some(access) = published_as(usage) else {
                continue;
            };
            match backing.dmabuf().add_fence(access, &fence) {
                Ok(()) => {}
                Err(FenceError::NoSyncFile { .. }) => self.owe(access, fence),
                Err(source) => return Err(self.fence_failed(source)),
            }
        }
        Ok(())
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

    fn owe(&self, access: Access, fence: Fence) {
        let mut owed = lock(&self.foreign.owed);
        // Looked at with the list locked: the last holder empties it after it has gone.
        if self.has_foreign_holders() {
            owed.get_or_insert_default().of(access).insert(fence);
        }
    }

    /// Tries again to put into the dma-buf what could not be put there before. The first error comes
    /// back when all have been tried.
    pub(crate) fn publish_owed(&self) -> Result<(), ImplicitSyncError> {
        self.may_exchange()?;
        let Some(mut owed) = lock(&self.foreign.owed).take() else {
            return Ok(());
        };
        let mut result = Ok(());
        for access in [Access::Write, Access::Read] {
            for fence in owed.of(access).pending() {
                if let Err(source) = self.backing().dmabuf().add_fence(access, fence) {
                    self.owe(access, fence.clone());
                    result = result.and(Err(self.fence_failed(source)));
                }
            }
        }
        result
    }

    /// The dma-buf's own fences that an access has to wait for, if there are foreign holders.
    pub(crate) fn implicit_fences(&self, access: Access) -> Result<FenceSet, ImplicitSyncError> {
        if !self.has_foreign_holders() {
            return Ok(FenceSet::new());
        }
        let fences = self.backing().dmabuf().fences(access);
        fences.map_err(|error| self.dmabuf_failed(error))
    }
}

/// The dma-bufs' own fences that a piece of work must wait for: of those buffers among its uses that
/// have foreign holders. A snapshot, taken before anything is locked.
///
/// [`Submission::begin`](crate::Submission::begin) takes one by itself. A backend that begins anew
/// while it turns fences into its own waits takes one first, and gives it to each
/// [`Submission::try_begin_with`](crate::Submission::try_begin_with): otherwise each would be another
/// fence.
#[derive(Clone, Debug, Default)]
pub struct ImplicitFences {
    fences: Vec<ImplicitFence>,
}

#[derive(Clone, Debug)]
struct ImplicitFence {
    buffer: Arc<BufferInner>,
    access: Access,
    fence: Fence,
}

impl ImplicitFences {
    /// Asks the dma-bufs. For uses of buffers without foreign holders this is one atomic load each.
    ///
    /// # Errors
    /// [`ImplicitSyncError`] by cause.
    pub fn collect<'a>(
        uses: impl IntoIterator<Item = &'a MappingUse>,
    ) -> Result<Self, ImplicitSyncError> {
        let mut this = Self::default();
        for used in uses {
            if used.buffer().has_foreign_holders() {
                this.add(used)?;
            }
        }
        Ok(this)
    }

    #[cold]
    fn add(&mut self, used: &MappingUse) -> Result<(), ImplicitSyncError> {
        let buffer = used.buffer();
        if held_reservations::any() {
            // The submission that this is for will be refused, with a better reason.
            return Ok(());
        }
        if let Err(error) = buffer.publish_owed() {
            // The work at hand is not what the other side waits for.
            tracing::debug!(buffer = buffer.name(), %error, "not told yet");
        }
        let fences = used.backing().dmabuf().fences(used.access);
        let fences = fences.map_err(|error| buffer.dmabuf_failed(error))?;
        self.fences.extend(fences.iter().map(|fence| ImplicitFence {
            buffer: buffer.clone(),
            access: used.access,
            fence: fence.clone(),
        }));
        Ok(())
    }

    /// Whether there is none to wait for.
    pub fn is_empty(&self) -> bool {
        self.fences.is_empty()
    }

    /// Those of one buffer that have not signalled, with their class. What the dma-buf says to a writer
    /// is of readers and writers; a writer that failed is of no interest to it.
    pub(crate) fn visit(
        &self,
        buffer: &Arc<BufferInner>,
        mut visit: impl FnMut(&Fence, FenceUsage),
    ) {
        for own in &self.fences {
            if Arc::ptr_eq(&own.buffer, buffer) && own.fence.status() != FenceStatus::Signalled {
                visit(&own.fence, FenceUsage::waited_by(own.access));
            }
        }
    }
}

/// What a piece of work that was committed still has to put into the dma-bufs of buffers with foreign
/// holders: its fence. Usually there are none, and this is nothing.
///
/// Made by [`Submission::commit_unpublished`](crate::Submission::commit_unpublished), for backends that
/// hold a lock of their own at that moment.
#[derive(Debug)]
#[must_use = "call publish when nothing is locked: who holds the buffers' descriptors waits for nothing else"]
pub struct Unpublished {
    pub(crate) uses: UsedMappings,
    /// That of all uses, if any of them is of a buffer with foreign holders.
    pub(crate) fence: Option<Fence>,
    /// Fences of single uses of such buffers.
    pub(crate) each: SmallVec<[(MappingUse, Fence); 2]>,
}

impl Unpublished {
    /// One fence for all uses; `None` if none of them is of a buffer with foreign holders.
    pub(crate) fn of_all(uses: UsedMappings, fence: Option<Fence>) -> Self {
        Self {
            uses,
            fence,
            each: SmallVec::new(),
        }
    }

    /// Puts the fences into the dma-bufs. A driver may take its time to make a sync_file, so this is
    /// called when the backend's own locks are released. The work is on its way, so this cannot fail;
    /// a fence that cannot be put there is kept and tried again at the next use, and
    /// [`SharedBuffer::publish_fences`](crate::SharedBuffer::publish_fences) tells why.
    pub fn publish(mut self) {
        if let Some(fence) = self.fence.take() {
            publish_all(&self.uses, &fence);
        }
        for (used, fence) in std::mem::take(&mut self.each) {
            publish_all(std::slice::from_ref(&used), &fence);
        }
    }
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        if let Some(fence) = &self.fence {
            for used in self.uses.iter() {
                used.buffer().owe(used.access, fence.clone());
            }
        }
        for (used, fence) in &self.each {
            used.buffer().owe(used.access, fence.clone());
        }
    }
}

fn foreign(uses: &[MappingUse]) -> impl Iterator<Item = &MappingUse> {
    uses.iter()
        .filter(|used| used.buffer().has_foreign_holders())
}

#[cold]
fn publish_all(uses: &[MappingUse], fence: &Fence) {
    // One sync_file for all: drivers make each with a submission of its own.
    let published = match fence {
        Fence::Point { .. } => match fence.export_sync_file() {
            Ok(file) => Fence::from(file),
            Err(_) if fence.status().is_over() => return,
            Err(error) => {
                tracing::debug!(producer = fence.producer(), %error, "no sync_file for others yet");
                for used in foreign(uses) {
                    used.buffer().owe(used.access, fence.clone());
                }
                return;
            }
        },
        fence => fence.clone(),
    };
    for used in foreign(uses) {
        if let Err(error) = used.backing().dmabuf().add_fence(used.access, &published) {
            let buffer = used.buffer();
            tracing::warn!(buffer = buffer.name(), %error, "others do not see this use yet");
            buffer.owe(used.access, published.clone());
        }
    }
}

impl DmaBuf {
    /// A snapshot of the dma-bufs' own (implicit) fences that an access of this kind must wait for,
    /// without those that have signalled: one sync_file for each memory that has any. Fences that are
    /// added later are not in it.
    ///
    /// Two ioctls for each memory; waits for nothing.
    ///
    /// # Errors
    /// As [`DmaBufMemory::export_sync_file`](crate::DmaBufMemory::export_sync_file).
    pub fn fences(
        &self,
        access: Access,
    ) -> Result<FenceSet, crate::fence::descriptor_error::DmaBufError> {
        let mut fences = FenceSet::new();
        for memory in self.memories() {
            if let Some(fence) = memory.fence(access)? {
                fences.insert(fence);
            }
        }
        Ok(fences)
    }

    /// Puts a fence among the dma-bufs' own (implicit) ones, as that of a reader or a writer, for
    /// whoever holds their descriptors. One that is over is left out: there is nothing to wait for.
    ///
    /// One ioctl for each memory, and for a point what its sync_file costs: see
    /// [`Fence::export_sync_file`].
    ///
    /// # Errors
    /// - [`FenceError::NoSyncFile`]: it cannot become a sync_file.
    /// - [`FenceError::DmaBuf`]: the ioctl failed.
    /// - The others of [`Fence::export_sync_file`].
    pub fn add_fence(&self, access: Access, fence: &Fence) -> Result<(), FenceError> {
        let exported;
        let file = match fence {
            Fence::SyncFile(file) => file,
            fence if fence.status().is_over() => return Ok(()),
            fence => match fence.export_sync_file() {
                Ok(file) => {
                    exported = file;
                    &exported
                }
                Err(FenceError::NoSyncFile { .. }) if fence.status().is_over() => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        for memory in self.memories() {
            memory.import_sync_file(file, access)?;
        }
        Ok(())
    }
}
