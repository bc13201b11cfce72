//! Tracks which parts of a buffer change, for the shadows that are kept fresh.

use std::sync::{Arc, OnceLock, Weak};

use crate::image::damage::Damage;
use crate::locks::{AtomicUsize, Mutex, Ordering, lock};

/// The damage that a watcher has not taken yet.
#[derive(Debug)]
pub(crate) struct UnseenDamage(Mutex<Damage>);

impl UnseenDamage {
    pub(crate) fn add(&self, damage: &Damage) {
        lock(&self.0).merge(damage);
    }

    pub(crate) fn is_nothing(&self) -> bool {
        lock(&self.0).is_nothing()
    }

    /// Takes the damage and leaves none.
    pub(crate) fn take(&self) -> Damage {
        std::mem::take(&mut *lock(&self.0))
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
        let unseen = Arc::new(UnseenDamage(Mutex::new(Damage::whole())));
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
