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
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// This thread has locked the reservation at `address`.
pub(crate) fn locked(address: usize) {
    HELD.with(|held| held.set(held.get() + 1));
    LAST.with(|last| last.set(address));
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

/// The address of the reservation that this thread locked last, to name it in errors.
pub(crate) fn last() -> usize {
    LAST.with(Cell::get)
}
