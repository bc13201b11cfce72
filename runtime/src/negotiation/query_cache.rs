//! Answers to what a party can do with a format.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::image::buffer_desc::{BufferDesc, Usage};
use crate::image::fourcc::Fourcc;
use crate::locks::{Mutex, lock};
use crate::negotiation::format_support::FormatSupport;

/// Identity of what is asked: a device, or one plane of a display. Unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartyId(u64);

impl PartyId {
    /// A new one.
    pub fn unique() -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        Self(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

/// What a party is asked: all of a description that drivers' answers depend on. Not the extent: an
/// answer tells how large an image may be.
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
    /// What `party` can do with images of this description, for these uses of its own.
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

    /// The same for another of the acceptable formats.
    #[must_use]
    pub fn with_format(mut self, format: Fourcc) -> Self {
        self.format = format;
        self
    }
}

/// An answer: what the party can do, best first.
pub type Answer = Arc<[FormatSupport]>;

/// Locks, each for the answers of some parties.
const SHARDS: usize = 16;

/// The answers of some parties, and how often they were made void.
#[derive(Default)]
struct Shard {
    answers: HashMap<Query, Answer>,
    /// Counts what was made void, so that an answer to a question from before is not kept.
    epoch: u64,
}

/// Answers to what parties can do, because drivers take their time: an ioctl or several for each
/// modifier. For backends: each may have its own, or all share one.
///
/// Nothing is locked while a driver is asked, and sixteen parties made one after the other never
/// wait for each other: there are sixteen locks, each held for a look into a table. Two threads
/// that ask the same at the same time both ask the driver; one answer stays.
pub struct QueryCache {
    shards: [Mutex<Shard>; SHARDS],
    most_of_shard: usize,
}

impl QueryCache {
    /// A cache of about this many answers. When a sixteenth of that is full, it starts again from
    /// empty.
    pub fn new(most: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            most_of_shard: most.div_ceil(SHARDS).max(1),
        }
    }

    /// The answer to `query`: the one that is known, or that of `ask`, which is then kept. Errors are
    /// not. An answer that was on its way when [`invalidate`](Self::invalidate) was called is
    /// returned, but not kept.
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

    /// Forgets what a party answered: after a hotplug, or when it has gone.
    pub fn invalidate(&self, party: PartyId) {
        let mut shard = lock(self.shard(party));
        shard.epoch += 1;
        shard.answers.retain(|query, _| query.party != party);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.epoch += 1;
            shard.answers.clear();
        }
    }

    /// How many answers are kept.
    pub fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| lock(shard).answers.len()).sum()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, party: PartyId) -> &Mutex<Shard> {
        // Parties are numbered one by one, so that neighbours are apart; the remainder is below
        // sixteen.
        &self.shards[usize::try_from(party.0 % SHARDS as u64).unwrap_or(0)]
    }
}

impl Default for QueryCache {
    /// Room for about 1024 answers: more formats and uses than a program has.
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
