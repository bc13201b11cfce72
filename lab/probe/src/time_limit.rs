//! Tests of what must not hang.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs `body` on a thread of its own, and fails if it is not over after ten seconds: a test that
/// hangs would say nothing.
pub fn within_time_limit(body: impl FnOnce() + Send + 'static) {
    let (done, over) = mpsc::channel();
    let worker = thread::spawn(move || {
        body();
        // Nobody listens any more if the limit has passed.
        let _ = done.send(());
    });
    match over.recv_timeout(Duration::from_secs(10)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        // A panic ends the channel without a word; it is passed on.
        _ => worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}
