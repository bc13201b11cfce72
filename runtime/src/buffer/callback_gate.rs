//! One attachment's invalidate callback, and the gate that it passes: never after the detach.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::buffer::invalidation::{Invalidate, InvalidationContext};
use crate::locks::{Condvar, Mutex, ThreadToken, lock, this_thread, wait};

#[derive(Debug, Default)]
struct State {
    closed: bool,
    running_on: Option<ThreadToken>,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// The callback ran.
    Ran,
    /// It panicked. What it had to do may not be done.
    Panicked,
    /// The attachment is detached; nothing ran.
    Closed,
}

/// Guards a callback. After [`close`](Self::close) has returned, the callback is not running and
/// never will be: unless it was the callback itself that closed.
pub(crate) struct CallbackGate {
    callback: Box<dyn Invalidate>,
    state: Mutex<State>,
    returned: Condvar,
}

impl CallbackGate {
    pub(crate) fn new(callback: Box<dyn Invalidate>) -> Self {
        Self {
            callback,
            state: Mutex::new(State::default()),
            returned: Condvar::new(),
        }
    }

    /// Runs the callback, unless the gate is closed. Calls come one at a time: the caller holds the
    /// buffer's reservation.
    pub(crate) fn call(&self, context: &InvalidationContext<'_>) -> Called {
        {
            let mut state = lock(&self.state);
            if state.closed {
                return Called::Closed;
            }
            state.running_on = Some(this_thread());
        }
        // A panic must not leave the reservation locked and the buffer half moved.
        let result = catch_unwind(AssertUnwindSafe(|| self.callback.invalidate(context)));
        lock(&self.state).running_on = None;
        self.returned.notify_all();
        match result {
            Ok(()) => Called::Ran,
            Err(_) => Called::Panicked,
        }
    }

    /// No call begins any more; one that runs on another thread is waited for, as `dma_buf_detach`
    /// waits for the reservation. Callbacks do not block, so that is short.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        while state
            .running_on
            .is_some_and(|thread| thread != this_thread())
        {
            state = wait(&self.returned, state);
        }
    }
}

impl fmt::Debug for CallbackGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackGate").finish_non_exhaustive()
    }
}
