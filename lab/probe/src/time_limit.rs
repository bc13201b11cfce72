//! A time limit for tests of code that must not hang.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs `body` on a thread of its own, and panics if it does not end within ten seconds. Without this,
/// a test that hangs would report nothing.
pub fn within_time_limit(body: impl FnOnce() + Send + 'static) {
    let (done, over) = mpsc::channel();
    let worker = thread::spawn(move || {
        body();
        // The receiver is gone if the limit has passed.
        let _ = done.send(());
    });
    match over.recv_timeout(Duration::from_secs(10)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the test did not end within ten seconds"),
        // A panic closes the channel without a message; it is resumed here.
        _ => worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}
