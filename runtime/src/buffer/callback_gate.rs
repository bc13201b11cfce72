//! The gate in front of an attachment's invalidate callback: no call after the detach.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::buffer::invalidation::{Invalidate, InvalidationContext};
use crate::locks::{Condvar, Mutex, ThreadToken, lock, this_thread, wait};

#[derive(Debug, Default)]
struct State {
    closed: bool,
    running_on: Option<ThreadToken>,
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// The callback ran.
    Ran,
    /// The callback panicked, and may not have done its work.
    Panicked,
    /// The attachment is detached; the callback did not run.
    Closed,
}

/// Guards a callback. Once [`close`](Self::close) has returned, the callback is not running and is
/// never called again. Only a callback that itself calls `close` still runs to its end.
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

    /// Runs the callback, unless the gate is closed. The caller holds the buffer's reservation, so
    /// calls come one at a time.
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

    /// Prevents further calls, and waits for one that runs on another thread, as `dma_buf_detach`
    /// waits for the reservation. Callbacks do not block, so the wait is short.
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
