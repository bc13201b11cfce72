//! The gate in front of an attachment's invalidate callback: no call after the detach.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

#[cfg(not(feature = "shuttle"))]
use std::thread_local;

#[cfg(feature = "shuttle")]
use shuttle::thread_local;

use crate::buffer::invalidation::{Invalidate, InvalidationContext};
use crate::caught_panic::{caught, discard};
use crate::locks::{Condvar, Mutex, ThreadToken, lock, this_thread, wait};

thread_local! {
    /// Number of callbacks that run on this thread.
    static RUNNING: Cell<usize> = const { Cell::new(0) };
    /// The gates that callbacks on this thread have closed while the gated callback was running on another
    /// thread.
    static CLOSED: RefCell<Vec<Arc<CallbackGate>>> = const { RefCell::new(Vec::new()) };
}

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
/// never called again. There are two exceptions: a callback that itself calls `close` still runs to its
/// end, and so does one whose gate is closed by another callback.
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
        RUNNING.with(|running| running.set(running.get() + 1));
        // A panic must not leave the reservation locked and the buffer half moved.
        let result = caught(|| self.callback.invalidate(context));
        RUNNING.with(|running| running.set(running.get() - 1));
        lock(&self.state).running_on = None;
        self.returned.notify_all();
        match result {
            Ok(()) => Called::Ran,
            Err(payload) => {
                discard(payload);
                Called::Panicked
            }
        }
    }

    /// Prevents further calls, and waits for one that runs on another thread, as `dma_buf_detach`
    /// waits for the reservation. Callbacks do not block, so the wait is short.
    ///
    /// When called from within a callback, this does not wait: if the callback behind this gate were
    /// closing the caller's gate, each would wait for the other. The thread waits in [`wait_for_closed`]
    /// instead, once it has unlocked the reservation.
    pub(crate) fn close(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.closed = true;
        if !Self::runs_elsewhere(&state) {
            return;
        }
        if RUNNING.with(Cell::get) > 0 {
            drop(state);
            CLOSED.with(|closed| closed.borrow_mut().push(self.clone()));
            return;
        }
        while Self::runs_elsewhere(&state) {
            state = wait(&self.returned, state);
        }
    }

    fn runs_elsewhere(state: &State) -> bool {
        let thread = state.running_on;
        thread.is_some_and(|thread| thread != this_thread())
    }
}

/// Waits for the callbacks whose gates were closed by callbacks on this thread. The caller must hold no
/// reservation.
pub(crate) fn wait_for_closed() {
    let closed = CLOSED.with(RefCell::take);
    for gate in closed {
        gate.close();
    }
}

impl fmt::Debug for CallbackGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackGate").finish_non_exhaustive()
    }
}
