//! The dma-bufs' own fences of one piece of work: read before it, and published after it.

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

/// The dma-bufs' own fences that a piece of work must wait for: of those buffers among its uses that
/// have foreign holders. A snapshot, taken before anything is locked.
///
/// [`Submission::begin`](crate::Submission::begin) takes one by itself. A backend that starts again
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
