//! Tracks which parts of a buffer change, for the shadows that are kept fresh.

use std::sync::{Arc, OnceLock, Weak};

use crate::image::damage::Damage;
use crate::locks::{AtomicUsize, Mutex, Ordering, lock};

/// The damage that a watcher's copy lacks.
#[derive(Debug)]
pub(crate) struct UnseenDamage(Mutex<Unseen>);

#[derive(Debug)]
struct Unseen {
    /// Damage that no thread has begun to copy.
    damage: Damage,
    /// Whether a thread has taken damage that is not in the copy yet.
    is_being_copied: bool,
}

impl UnseenDamage {
    fn new(damage: Damage) -> Self {
        Self(Mutex::new(Unseen {
            damage,
            is_being_copied: false,
        }))
    }

    pub(crate) fn add(&self, damage: &Damage) {
        lock(&self.0).damage.merge(damage);
    }

    /// Whether the copy is up to date, or will be when submitted work is done.
    pub(crate) fn is_nothing(&self) -> bool {
        let unseen = lock(&self.0);
        unseen.damage.is_nothing() && !unseen.is_being_copied
    }

    /// Takes the damage, to copy it. The copy lacks it until [`copied`](Self::copied) is called, by the
    /// same thread.
    pub(crate) fn take(&self) -> Damage {
        let mut unseen = lock(&self.0);
        unseen.is_being_copied = true;
        std::mem::take(&mut unseen.damage)
    }

    /// Ends what [`take`](Self::take) began. `failed` is the damage whose copy was not submitted.
    pub(crate) fn copied(&self, failed: &Damage) {
        let mut unseen = lock(&self.0);
        unseen.is_being_copied = false;
        unseen.damage.merge(failed);
    }
}

/// The watchers of a buffer's content. Most buffers never have one: then a write costs one load, and
/// the buffer keeps no list.
#[derive(Debug, Default)]
pub(crate) struct ContentWatch(OnceLock<Box<Watchers>>);

#[derive(Debug, Default)]
struct Watchers {
    watched: AtomicUsize,
    watchers: Mutex<Vec<Weak<UnseenDamage>>>,
}

impl ContentWatch {
    /// Adds a watcher, which collects the damage of every write from here on. It starts with the whole
    /// buffer as damage.
    pub(crate) fn watch(&self) -> Arc<UnseenDamage> {
        self.0.get_or_init(Box::default).watch()
    }

    /// Adds the damage of a write to every watcher; `None` for the whole buffer. This may allocate, as
    /// no reservation is held. The damage is recorded before this thread can report the work to another
    /// one.
    #[inline]
    pub(crate) fn written(&self, damage: Option<&Damage>) {
        if let Some(watchers) = self.0.get()
            && watchers.watched.load(Ordering::Acquire) > 0
        {
            watchers.tell(damage);
        }
    }
}

impl Watchers {
    fn watch(&self) -> Arc<UnseenDamage> {
        let unseen = Arc::new(UnseenDamage::new(Damage::whole()));
        let mut watchers = lock(&self.watchers);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(&unseen));
        self.watched.store(watchers.len(), Ordering::Release);
        unseen
    }

    #[cold]
    fn tell(&self, damage: Option<&Damage>) {
        let whole = Damage::whole();
        let mut watchers = lock(&self.watchers);
        watchers.retain(|watcher| match watcher.upgrade() {
            Some(unseen) => {
                unseen.add(damage.unwrap_or(&whole));
                true
            }
            None => false,
        });
        self.watched.store(watchers.len(), Ordering::Release);
    }
}
