//! A cache of drivers' answers to what a party supports.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::image::buffer_desc::{BufferDesc, Usage};
use crate::image::fourcc::Fourcc;
use crate::locks::{Mutex, lock};
use crate::negotiation::format_support::FormatSupport;

/// Identity of the party that is queried: a device, or one plane of a display. Unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartyId(u64);

impl PartyId {
    /// Returns an identity that no other party has.
    pub fn unique() -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        Self(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

/// A query to a party: everything of a description that drivers' answers depend on. The extent is not
/// part of it, because an answer states the largest extent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    party: PartyId,
    format: Fourcc,
    usage: Usage,
    view_formats: SmallVec<[Fourcc; 4]>,
    srgb_views: bool,
    protected: bool,
}

impl Query {
    /// Asks what `party` supports for images of this description, for its own `usage`.
    pub fn new(party: PartyId, desc: &BufferDesc, usage: Usage) -> Self {
        Self {
            party,
            format: desc.format,
            usage,
            view_formats: SmallVec::from_slice(&desc.view_formats),
            srgb_views: desc.srgb_views,
            protected: desc.protected,
        }
    }

    /// The same query for another format.
    #[must_use]
    pub fn with_format(mut self, format: Fourcc) -> Self {
        self.format = format;
        self
    }
}

/// An answer: what the party supports, best first.
pub type Answer = Arc<[FormatSupport]>;

/// Number of shards. Each has a lock and the answers of some parties.
const SHARDS: usize = 16;

/// The answers of some parties.
#[derive(Default)]
struct Shard {
    answers: HashMap<Query, Answer>,
    /// Counts the invalidations, so that an answer to a query from before one is not cached.
    epoch: u64,
}

/// Caches what parties support, because drivers are slow to answer: they need one or more ioctls for
/// each modifier. It is for backends; each may have its own cache, or all may share one.
///
/// No lock is held while a driver is queried. There are sixteen locks, each held only for a table
/// lookup, and sixteen parties made one after another never contend. Two threads that make the same
/// query at the same time both ask the driver; one answer is kept.
pub struct QueryCache {
    shards: [Mutex<Shard>; SHARDS],
    most_of_shard: usize,
}

impl QueryCache {
    /// A cache of about `most` answers. A shard that holds its sixteenth of them is cleared before it
    /// takes another.
    pub fn new(most: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            most_of_shard: most.div_ceil(SHARDS).max(1),
        }
    }

    /// Returns the cached answer to `query`, or calls `ask` and caches its answer. Errors are not
    /// cached. If [`invalidate`](Self::invalidate) is called during `ask`, the answer is returned but
    /// not cached.
    ///
    /// # Errors
    /// The errors of `ask`.
    pub fn get_or_ask<E>(
        &self,
        query: &Query,
        ask: impl FnOnce() -> Result<Vec<FormatSupport>, E>,
    ) -> Result<Answer, E> {
        let shard = self.shard(query.party);
        let epoch = {
            let shard = lock(shard);
            if let Some(known) = shard.answers.get(query) {
                return Ok(known.clone());
            }
            shard.epoch
        };
        let answer: Answer = ask()?.into();
        let mut shard = lock(shard);
        if shard.epoch != epoch {
            return Ok(answer);
        }
        if shard.answers.len() >= self.most_of_shard {
            shard.answers.clear();
        }
        let kept = shard.answers.entry(query.clone()).or_insert(answer);
        Ok(kept.clone())
    }

    /// Removes the answers of a party, after a hotplug or when the party is gone.
    pub fn invalidate(&self, party: PartyId) {
        let mut shard = lock(self.shard(party));
        shard.epoch += 1;
        shard.answers.retain(|query, _| query.party != party);
    }

    /// Removes all answers.
    pub fn clear(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.epoch += 1;
            shard.answers.clear();
        }
    }

    /// Number of cached answers.
    pub fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| lock(shard).answers.len()).sum()
    }

    /// Whether no answer is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, party: PartyId) -> &Mutex<Shard> {
        // Parties are numbered consecutively, so neighbors are in different shards. The remainder is
        // below sixteen.
        &self.shards[usize::try_from(party.0 % SHARDS as u64).unwrap_or(0)]
    }
}

impl Default for QueryCache {
    /// A cache of about 1024 answers, more than a program has formats and uses.
    fn default() -> Self {
        Self::new(1024)
    }
}

impl fmt::Debug for QueryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryCache")
            .field("answers", &self.len())
            .finish_non_exhaustive()
    }
}
