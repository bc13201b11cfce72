//! Counts the reservations that each thread holds. A thread that holds one must not block, allocate or
//! import (I16). It may only lock the reservations of one submission: two threads that each lock a
//! second set could deadlock.

use std::cell::Cell;

#[cfg(not(feature = "shuttle"))]
use std::thread_local;

#[cfg(feature = "shuttle")]
use shuttle::thread_local;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static LAST: Cell<usize> = const { Cell::new(0) };
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
