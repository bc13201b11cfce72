//! The locks and atomics of this crate. With the feature `shuttle` a model checker replaces them, and
//! tests explore how threads interleave at them.

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

/// Waits on a condition variable. Like [`lock`], ignores poisoning.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Like [`wait`], but also returns after a while, for a condition that no thread reports.
#[cfg(not(feature = "shuttle"))]
pub(crate) fn wait_briefly<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
) -> MutexGuard<'a, T> {
    let time = std::time::Duration::from_millis(100);
    let waited = condvar.wait_timeout(guard, time);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// Like [`wait`]: a model has no such condition.
#[cfg(feature = "shuttle")]
pub(crate) fn wait_briefly<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
) -> MutexGuard<'a, T> {
    wait(condvar, guard)
}

/// Lets other threads run, for about `duration`.
#[cfg(not(feature = "shuttle"))]
pub(crate) fn sleep(duration: std::time::Duration) {
    std::thread::sleep(duration);
}

/// Lets other threads run.
#[cfg(feature = "shuttle")]
pub(crate) fn sleep(_duration: std::time::Duration) {
    shuttle::thread::yield_now();
}

/// Identifies a running thread.
#[cfg(not(feature = "shuttle"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadToken(usize);

/// Returns the token of this thread: the address of a thread-local variable. This is cheaper than
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
