//! Every buffer of the process, for reports.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::buffer::BufferInner;

/// Identity of a buffer, unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BufferKey(u64);

impl BufferKey {
    pub(crate) fn unique() -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        Self(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

type Buffers = BTreeMap<BufferKey, Weak<BufferInner>>;

/// Locked when a buffer is made, dropped or reported; never while anything else is locked here.
fn buffers() -> MutexGuard<'static, Buffers> {
    static BUFFERS: Mutex<Buffers> = Mutex::new(BTreeMap::new());
    BUFFERS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn add(buffer: &Arc<BufferInner>) {
    buffers().insert(buffer.key, Arc::downgrade(buffer));
}

pub(crate) fn remove(key: BufferKey) {
    buffers().remove(&key);
}

/// All buffers, in the order of making.
pub(crate) fn all() -> Vec<Arc<BufferInner>> {
    // Their last references may be these: none is dropped while the list is locked.
    let all: Vec<_> = buffers().values().filter_map(Weak::upgrade).collect();
    all
}
