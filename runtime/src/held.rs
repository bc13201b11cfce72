//! Which reservations a thread holds. Nothing blocks, allocates or imports while there is one (I16),
//! and none is locked besides those of one submission: two threads that each lock a second set would
//! wait for each other.

use std::cell::Cell;

#[cfg(not(feature = "shuttle"))]
use std::thread_local;

#[cfg(feature = "shuttle")]
use shuttle::thread_local;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// This thread has locked a reservation.
pub(crate) fn locked() {
    HELD.with(|held| held.set(held.get() + 1));
}

/// This thread has unlocked a reservation.
pub(crate) fn unlocked() {
    HELD.with(|held| held.set(held.get().saturating_sub(1)));
}

/// Whether this thread holds any reservation: it has an open submission, or runs an invalidate
/// callback.
pub(crate) fn any() -> bool {
    HELD.with(|held| held.get() > 0)
}
