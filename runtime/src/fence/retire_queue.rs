//! Objects that wait for their last fences before they are destroyed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::fence::set::FenceSet;

/// A queue of objects, each with the fences that must be over before it may be destroyed. Nothing
/// here blocks and there is no thread: the owner calls [`RetireQueue::collect`] from its
/// `dispatch()`.
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

    /// Takes ownership of `object` until the fences are over.
    pub fn push(&self, object: T, after: FenceSet) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back((object, after));
    }

    /// How many objects wait.
    pub fn len(&self) -> usize {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives every object whose fences are over (signalled or failed) to `destroy`, and returns how
    /// many there were. `destroy` runs without the queue's lock, so it may push again.
    pub fn collect(&self, mut destroy: impl FnMut(T)) -> usize {
        let mut collected = 0;
        // Only what was there at the start is looked at: what `destroy` adds waits for the next call.
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

    /// Everything that waits, with its fences: for an owner that is about to wait for them and go.
    pub fn drain(&self) -> Vec<(T, FenceSet)> {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect()
    }
}
