//! The order in which buffers leave a place.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::buffer::BufferInner;
use crate::ids::BufferKey;
use crate::locks::{Mutex, Ordering, lock};
use crate::residency::member::{Member, Priority};

/// The lowest leaves first: by priority, then by its last use that the list knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: Priority,
    last_use: u64,
    buffer: BufferKey,
}

/// The buffers of one place. A use does not touch the list: it only notes its number in the buffer.
/// A buffer that comes up and was used meanwhile goes back with that number. So finding the least
/// recently used one is O(log n), paid once for each buffer that was used since.
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
    /// Enters a buffer, unless it is in a list.
    pub(super) fn insert(&self, member: &Arc<Member<R>>, buffer: &BufferInner) {
        let placement = buffer.backing().placement();
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

    /// Takes a buffer out, if it is there.
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

    /// Takes out the first, with the use that it was sorted by. `None` if there is none.
    pub(super) fn pop(&self) -> Option<(Arc<Member<R>>, u64)> {
        let (rank, member) = lock(&self.list).pop_first()?;
        lock(&member.listed).take();
        Some((member, rank.last_use))
    }

    /// How many buffers there are.
    pub(super) fn len(&self) -> usize {
        lock(&self.list).len()
    }
}
