//! Counts the reservations that each thread holds. A thread that holds one must not block, allocate or
//! import (I16). It may only lock the reservations of one submission: two threads that each lock a
//! second set could deadlock.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

#[cfg(not(feature = "shuttle"))]
use std::thread_local;

#[cfg(feature = "shuttle")]
use shuttle::thread_local;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// Threads that have ended with a reservation locked: their submission was forgotten
/// ([`std::mem::forget`]), and nothing unlocks it any more.
static ENDED: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// The number of a thread. It is noted when the thread ends with a reservation locked.
struct Number(u64);

impl Number {
    fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // `HELD` may be gone already where a model of threads stands in for the standard library.
        if HELD.try_with(|held| held.get() > 0).unwrap_or(false) {
            tracing::error!("a thread has ended with an open submission, which was forgotten");
            let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
            ended.insert(self.0);
            HAS_ENDED.store(true, Ordering::Release);
        }
    }
}

thread_local! {
    static NUMBER: Number = Number::unique();
}

/// The number of this thread; 0 while it ends.
pub(crate) fn this_thread() -> u64 {
    NUMBER.try_with(|number| number.0).unwrap_or(0)
}

/// Whether any thread has ended with a reservation locked.
#[inline]
pub(crate) fn any_has_ended() -> bool {
    HAS_ENDED.load(Ordering::Acquire)
}

/// Whether a thread has ended with a reservation locked.
pub(crate) fn has_ended(thread: u64) -> bool {
    any_has_ended()
        && ENDED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&thread)
}

/// Records that this thread has locked the reservation at `address`.
pub(crate) fn locked(address: usize) {
    HELD.with(|held| held.set(held.get() + 1));
    LAST.with(|last| last.set(address));
}

/// Records that this thread has unlocked a reservation.
pub(crate) fn unlocked() {
    HELD.with(|held| held.set(held.get().saturating_sub(1)));
}

/// Whether this thread holds a reservation: it has an open submission, or is in an invalidate
/// callback.
pub(crate) fn any() -> bool {
    HELD.with(|held| held.get() > 0)
}

/// The address of the reservation that this thread locked last, to name it in errors.
pub(crate) fn last() -> usize {
    LAST.with(Cell::get)
}
