//! The lock around a `VkQueue`, which Vulkan requires to be externally synchronized.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// The thread already holds the lock, so waiting for it would never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this thread already holds the queue's lock: commit or drop its submission, or drop its guard, first"
)]
pub struct QueueHeld;

#[derive(Debug, Default)]
struct State {
    holder: Option<ThreadId>,
    /// How many threads wait for the lock. Waking one is a system call, made only if there are any.
    waiting: usize,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    released: Condvar,
}

/// A lock held around every Vulkan command that uses the queue, by this library and by an
/// application that shares its queue with it ([`Device::adopt`](crate::Device::adopt)). Clones are
/// the same lock.
///
/// Its guards own it and borrow nothing, so a [`Submission`](crate::Submission) can carry one.
#[derive(Clone, Debug, Default)]
pub struct QueueLock {
    inner: Arc<Inner>,
}

impl QueueLock {
    /// A new, free lock.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// [`QueueHeld`]: this thread already holds it.
    pub fn lock(&self) -> Result<QueueLockGuard, QueueHeld> {
        let thread = thread::current().id();
        let mut state = self
            .inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while let Some(holder) = state.holder {
            if holder == thread {
                return Err(QueueHeld);
            }
            state.waiting += 1;
            state = self
                .inner
                .released
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.holder = Some(thread);
        Ok(QueueLockGuard {
            inner: self.inner.clone(),
            _of_this_thread: PhantomData,
        })
    }

    /// Whether this thread holds it.
    pub(crate) fn is_held_here(&self) -> bool {
        let state = self.inner.state.lock();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.holder == Some(thread::current().id())
    }
}

/// Holds a [`QueueLock`] until it is dropped, on the thread that locked it.
pub struct QueueLockGuard {
    inner: Arc<Inner>,
    // The lock compares thread ids to reject a second lock, so a guard must stay on its thread.
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for QueueLockGuard {
    fn drop(&mut self) {
        let mut state = self
            .inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.holder = None;
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.inner.released.notify_one();
        }
    }
}

impl fmt::Debug for QueueLockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueLockGuard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_of_the_same_thread_is_refused() {
        let lock = QueueLock::new();
        let guard = lock.lock().unwrap();
        assert_eq!(lock.clone().lock().err(), Some(QueueHeld));
        drop(guard);
        assert!(lock.lock().is_ok());
    }

    #[test]
    fn it_excludes_other_threads() {
        let lock = QueueLock::new();
        let counter = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let _guard = lock.lock().unwrap();
                        // Only one thread holds the lock, so the mutex is always free.
                        *counter.try_lock().unwrap() += 1;
                    }
                });
            }
        });
        assert_eq!(*counter.lock().unwrap(), 4000);
    }
}
