//! The locks and atomics of this crate, in one place, so that a model checker can take their place:
//! with the feature `shuttle`, every order of threads at these is explored by tests.

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use std::sync::PoisonError;

/// Locks a mutex whose data no panic can leave half changed.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on a condition variable, as [`lock`] locks.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Lets others go on, for about this long.
#[cfg(not(feature = "shuttle"))]
pub(crate) fn sleep(duration: std::time::Duration) {
    std::thread::sleep(duration);
}

/// Lets others go on.
#[cfg(feature = "shuttle")]
pub(crate) fn sleep(_duration: std::time::Duration) {
    shuttle::thread::yield_now();
}

/// What tells threads apart.
#[cfg(not(feature = "shuttle"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadToken(usize);

/// The token of this thread: the address of something that each thread has once. Cheaper than
/// `thread::current().id()`, which counts a reference.
#[cfg(not(feature = "shuttle"))]
pub(crate) fn this_thread() -> ThreadToken {
    thread_local! {
        static MARK: u8 = const { 0 };
    }
    ThreadToken(MARK.with(|mark| std::ptr::from_ref(mark).addr()))
}

#[cfg(feature = "shuttle")]
pub(crate) type ThreadToken = shuttle::thread::ThreadId;

#[cfg(feature = "shuttle")]
pub(crate) fn this_thread() -> ThreadToken {
    shuttle::thread::current().id()
}
