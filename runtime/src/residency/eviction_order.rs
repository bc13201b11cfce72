//! The order in which buffers leave a place.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use crate::buffer::BufferInner;
use crate::ids::BufferKey;
use crate::locks::{Mutex, Ordering, lock};
use crate::memory::placement::Placement;
use crate::residency::Priority;
use crate::residency::member::Link;

/// The lowest leaves first: by priority, then by its last use that the list knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: Priority,
    last_use: u64,
    buffer: BufferKey,
}

/// The buffers of one place. A use does not touch the list: it only notes its number in the buffer.
/// A buffer that comes up and was used meanwhile goes back with that number; so finding the least
/// recently used one is O(log n), paid once for each buffer that was used since.
#[derive(Default)]
pub(super) struct Victims {
    list: Mutex<BTreeMap<Rank, Weak<BufferInner>>>,
}

fn rank(link: &Link, last_use: u64, buffer: BufferKey) -> Rank {
    Rank {
        priority: link.priority,
        last_use,
        buffer,
    }
}

impl Victims {
    /// Enters a buffer, unless it is in a list.
    pub(super) fn insert(&self, link: &Link, buffer: &Arc<BufferInner>) {
        let placement = buffer.backing().placement();
        let mut list = lock(&self.list);
        let mut listed = lock(&link.listed);
        if listed.is_none() {
            let last_use = buffer.last_use.load(Ordering::Relaxed);
            *listed = Some((placement, last_use));
            list.insert(rank(link, last_use, buffer.key), Arc::downgrade(buffer));
        }
    }

    /// Takes a buffer out, if it is there.
    pub(super) fn remove(&self, link: &Link, buffer: BufferKey) {
        let mut list = lock(&self.list);
        let mut listed = lock(&link.listed);
        if let Some((_, last_use)) = *listed
            && list.remove(&rank(link, last_use, buffer)).is_some()
        {
            *listed = None;
        }
    }

    /// Takes out the first, with the use that it was sorted by. `None` if there is none.
    pub(super) fn pop(&self) -> Option<(Weak<BufferInner>, u64)> {
        let mut list = lock(&self.list);
        let (rank, buffer) = list.pop_first()?;
        Some((buffer, rank.last_use))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        lock(&self.list).len()
    }
}

/// Notes that a buffer is in no list any more, after [`Victims::pop`].
pub(super) fn unlisted(link: &Link) -> Option<(Placement, u64)> {
    lock(&link.listed).take()
}
