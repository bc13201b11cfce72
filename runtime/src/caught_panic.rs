//! Panics in code of users that the library calls in the middle of a change.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Runs code of a user. A panic in it ends here.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Payload> {
    catch_unwind(AssertUnwindSafe(call))
}

/// Drops the payload of a panic, which may panic as well: that payload is leaked then.
pub(crate) fn discard(payload: Payload) {
    if let Err(second) = caught(|| drop(payload)) {
        std::mem::forget(second);
    }
}
