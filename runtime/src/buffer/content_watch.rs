//! Who wants to know which parts of a buffer change: the copies of it that are kept fresh.

use std::sync::{Arc, OnceLock, Weak};

use crate::image::damage::Damage;
use crate::locks::{AtomicUsize, Mutex, Ordering, lock};

/// What has changed since the last look.
#[derive(Debug)]
pub(crate) struct UnseenDamage(Mutex<Damage>);

impl UnseenDamage {
    pub(crate) fn add(&self, damage: &Damage) {
        lock(&self.0).merge(damage);
    }

    pub(crate) fn is_nothing(&self) -> bool {
        lock(&self.0).is_nothing()
    }

    /// What has changed; from here on nothing has.
    pub(crate) fn take(&self) -> Damage {
        std::mem::take(&mut *lock(&self.0))
    }
}

/// Those who watch a buffer's content. None, for most buffers: then a write costs one look, and
/// nothing is kept for them.
#[derive(Debug, Default)]
pub(crate) struct ContentWatch(OnceLock<Box<Watchers>>);

#[derive(Debug, Default)]
struct Watchers {
    watched: AtomicUsize,
    watchers: Mutex<Vec<Weak<UnseenDamage>>>,
}

impl ContentWatch {
    /// Reports every write from now on. At first everything is unseen.
    pub(crate) fn watch(&self) -> Arc<UnseenDamage> {
        self.0.get_or_init(Box::default).watch()
    }

    /// The content has changed; `None` for everywhere. No reservation is held, so this may allocate:
    /// a thread that hears of the work's end from this one finds the damage.
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
