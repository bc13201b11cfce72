//! Objects that are destroyed when their fences are over.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

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
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back((object, after));
    }

    /// Number of objects in the queue.
    pub fn len(&self) -> usize {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Passes every object whose fences are over (signalled or failed) to `destroy`, and returns their
    /// number. `destroy` runs without the queue's lock, so it may push objects.
    pub fn collect(&self, mut destroy: impl FnMut(T)) -> usize {
        let mut collected = 0;
        // Objects that `destroy` pushes wait for the next call.
        let mut left = self.len();
        let mut index = 0;
        while left > 0 {
            left -= 1;
            let object = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                match waiting.get(index) {
                    Some((_, after)) if after.status().is_over() => waiting.remove(index),
                    Some(_) => {
                        index += 1;
                        None
                    }
                    None => break,
                }
            };
            if let Some((object, _)) = object {
                destroy(object);
                collected += 1;
            }
        }
        collected
    }

    /// Empties the queue and returns the objects with their fences, for an owner that waits for them
    /// before it is destroyed.
    pub fn drain(&self) -> Vec<(T, FenceSet)> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect()
    }
}
