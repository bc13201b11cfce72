//! The exchange of fences between one piece of work and the dma-bufs that it uses.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::access::Access;
use crate::attachment::mapping::MappingUse;
use crate::buffer::BufferInner;
use crate::buffer::implicit_sync_error::ImplicitSyncError;
use crate::fence::status::FenceStatus;
use crate::fence::usage::FenceUsage;
use crate::fence::{Fence, held_reservations};
use crate::submission::used_mappings::UsedMappings;

/// The dma-bufs' own fences that a piece of work must wait for, for the buffers with foreign holders
/// among its uses. A snapshot, taken before anything is locked.
///
/// [`Submission::begin`](crate::Submission::begin) takes one by itself. A backend that begins several
/// times while it turns fences into its own waits takes one snapshot first, and passes it to each
/// [`Submission::try_begin_with`](crate::Submission::try_begin_with): each further snapshot would be of
/// new sync_files, which it would have to turn into waits again.
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
    /// Reads the dma-bufs' fences. A use of a buffer without foreign holders costs one atomic load.
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
            // The submission will be refused, with a better error than this could give.
            return Ok(());
        }
        if let Err(error) = buffer.publish_owed() {
            // No reason to fail: the owed fences are of earlier work.
            tracing::debug!(buffer = buffer.name(), %error, "owed fences are still not published");
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

    /// Whether there is no fence to wait for.
    pub fn is_empty(&self) -> bool {
        self.fences.is_empty()
    }

    /// Visits the fences of one buffer that have not signalled, with the class that the access waits
    /// for. The dma-buf does not tell apart the reads and writes that a writer waits for; they all
    /// count as reads, so a failed write does not concern a writer.
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

/// The fences of committed work that are still to be added to the dma-bufs of buffers with foreign
/// holders. Usually there are none.
///
/// Returned by [`Submission::commit_unpublished`](crate::Submission::commit_unpublished), for backends
/// that still hold a lock of their own. Dropping it keeps the fences for the next attempt.
#[derive(Debug)]
#[must_use = "call `publish` when nothing is locked: foreign holders of the buffers see only published fences"]
pub struct Unpublished {
    pub(crate) uses: UsedMappings,
    /// The fence of all uses, if any of them is of a buffer with foreign holders.
    pub(crate) fence: Option<Fence>,
    /// Fences of single uses of such buffers.
    pub(crate) each: SmallVec<[(MappingUse, Fence); 2]>,
}

impl Unpublished {
    /// Keeps one fence for all uses; `None` if none of them is of a buffer with foreign holders.
    pub(crate) fn of_all(uses: UsedMappings, fence: Option<Fence>) -> Self {
        Self {
            uses,
            fence,
            each: SmallVec::new(),
        }
    }

    /// Adds the fences to the dma-bufs. Call this with no lock of the backend held, because a driver may
    /// block while it makes a sync_file. It returns no error, because the work is already submitted: a
    /// fence that cannot be added is kept and tried again at the next use, and
    /// [`SharedBuffer::publish_fences`](crate::SharedBuffer::publish_fences) returns the cause.
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
    // One sync_file for all uses: a driver may need a submission for each one that it makes.
    let published = match fence {
        Fence::Point { .. } => match fence.export_sync_file() {
            Ok(file) => Fence::from(file),
            Err(_) if fence.status().is_over() => return,
            Err(error) => {
                tracing::debug!(producer = fence.producer(), %error, "no sync_file to publish yet");
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
            tracing::warn!(buffer = buffer.name(), %error, "foreign holders do not see this use yet");
            buffer.owe(used.access, published.clone());
        }
    }
}
