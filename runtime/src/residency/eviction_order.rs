//! The order in which buffers leave a place.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::buffer::BufferInner;
use crate::ids::BufferKey;
use crate::locks::{Mutex, Ordering, lock};
use crate::memory::placement::Placement;
use crate::residency::member::{Member, Priority};

/// The lowest rank leaves first: by priority, then by the last use that the list knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: Priority,
    last_use: u64,
    buffer: BufferKey,
}

/// The buffers of one place. A use does not touch the list; it only stores its number in the buffer.
/// If the first buffer was used since it was listed, it is listed again with its new number. So finding
/// the least recently used buffer is O(log n), once for each buffer that was used since.
pub(super) struct EvictionOrder<R> {
    list: Mutex<BTreeMap<Rank, Arc<Member<R>>>>,
}

impl<R> Default for EvictionOrder<R> {
    fn default() -> Self {
        Self {
            list: Mutex::default(),
        }
    }
}

impl<R> EvictionOrder<R> {
    /// Adds a buffer to the list, which is that of `placement`, unless it is in a list already.
    pub(super) fn insert(
        &self,
        placement: Placement,
        member: &Arc<Member<R>>,
        buffer: &BufferInner,
    ) {
        let mut list = lock(&self.list);
        let mut listed = lock(&member.listed);
        if listed.is_none() {
            let last_use = buffer.last_use.get();
            *listed = Some(placement);
            member.listed_use.store(last_use, Ordering::Relaxed);
            let rank = Rank {
                priority: member.priority,
                last_use,
                buffer: buffer.key,
            };
            list.insert(rank, member.clone());
        }
    }

    /// Removes a buffer, if it is in this list.
    pub(super) fn remove(&self, member: &Member<R>, buffer: BufferKey) {
        let mut list = lock(&self.list);
        let mut listed = lock(&member.listed);
        if listed.is_some() {
            let last_use = member.listed_use.load(Ordering::Relaxed);
            let rank = Rank {
                priority: member.priority,
                last_use,
                buffer,
            };
            if list.remove(&rank).is_some() {
                *listed = None;
            }
        }
    }

    /// Removes the first buffer and returns it with the use that it was sorted by; `None` if the list
    /// is empty.
    pub(super) fn pop(&self) -> Option<(Arc<Member<R>>, u64)> {
        let (rank, member) = lock(&self.list).pop_first()?;
        lock(&member.listed).take();
        Some((member, rank.last_use))
    }

    /// Number of buffers in the list.
    pub(super) fn len(&self) -> usize {
        lock(&self.list).len()
    }
}
