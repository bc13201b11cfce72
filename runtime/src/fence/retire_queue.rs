//! Objects that are destroyed when their fences are over.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fence::set::FenceSet;

/// A queue of objects, each with the fences that must be over before it may be destroyed. It never blocks
/// and has no thread; the owner calls [`RetireQueue::collect`] from its `dispatch()`.
#[derive(Debug)]
pub struct RetireQueue<T> {
    waiting: Mutex<VecDeque<(T, FenceSet)>>,
}

impl<T> Default for RetireQueue<T> {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(VecDeque::new()),
        }
    }
}

impl<T> RetireQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes ownership of `object` until `after` is over.
    pub fn push(&self, object: T, after: FenceSet) {
        self.lock().push_back((object, after));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(T, FenceSet)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of objects in the queue.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Passes every object whose work has ended ([`FenceSet::is_finished`]) to `destroy`, and returns their
    /// number. `destroy` runs without the queue's lock, so it may push objects.
    pub fn collect(&self, mut destroy: impl FnMut(T)) -> usize {
        let mut collected = 0;
        // Objects that `destroy` pushes wait for the next call.
        for _ in 0..self.len() {
            // A timeline's status may call the library, so the queue is not locked.
            let Some((object, after)) = self.lock().pop_front() else {
                break;
            };
            if after.is_finished() {
                destroy(object);
                collected += 1;
            } else {
                self.push(object, after);
            }
        }
        collected
    }

    /// Empties the queue and returns the objects with their fences, for an owner that waits for them
    /// before it is destroyed.
    pub fn drain(&self) -> Vec<(T, FenceSet)> {
        self.lock().drain(..).collect()
    }
}
