//! The kernel's fault injection, which fails the n-th allocation of this thread.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Once;

/// Makes allocations of the calling thread fail (`/proc/thread-self/fail-nth`, see the kernel's
/// `Documentation/fault-injection`).
#[derive(Debug)]
pub struct FailNth {
    file: File,
}

impl FailNth {
    /// Prepares fault injection for the calling thread. The value must stay on this thread.
    ///
    /// # Panics
    /// If the kernel was built without `CONFIG_FAILSLAB`.
    pub fn new() -> Self {
        static PREPARED: Once = Once::new();
        PREPARED.call_once(|| {
            for directory in ["failslab", "fail_page_alloc"] {
                let directory = format!("/sys/kernel/debug/{directory}");
                // System calls make allocations that may sleep, which are not failed by default.
                write(&format!("{directory}/ignore-gfp-wait"), "N");
                write(&format!("{directory}/verbose"), "0");
            }
            write("/sys/kernel/debug/fail_page_alloc/min-order", "0");
        });
        match OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth")
        {
            Ok(file) => Self { file },
            Err(error) => crate::missing("/proc/thread-self/fail-nth", &error),
        }
    }

    /// Runs `operation` with its `nth` allocation (counted from 1) failing. Returns its result, and
    /// whether it made that many allocations.
    ///
    /// # Panics
    /// If the kernel refuses the request.
    pub fn during<T>(&self, nth: u32, operation: impl FnOnce() -> T) -> (T, bool) {
        self.set(nth);
        let result = operation();
        let mut text = [0; 16];
        let length = self.file.read_at(&mut text, 0).unwrap_or(0);
        let left = String::from_utf8_lossy(&text[..length]).trim().to_owned();
        self.set(0);
        // The kernel counts down; 0 means that the n-th allocation was reached and failed.
        (result, left == "0")
    }

    fn set(&self, nth: u32) {
        let text = nth.to_string();
        let write = || self.file.write_all_at(text.as_bytes(), 0);
        // The write itself copies from user space, so it can be the operation that fails. A second
        // write then succeeds.
        if let Err(error) = write().or_else(|_| write()) {
            crate::missing("writing /proc/thread-self/fail-nth", &error);
        }
    }
}

impl Default for FailNth {
    fn default() -> Self {
        Self::new()
    }
}

fn write(path: &str, value: &str) {
    let result = OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(value.as_bytes()));
    if let Err(error) = result {
        let listing = fs::read_dir("/sys/kernel/debug").is_ok();
        crate::missing(&format!("{path} (debugfs readable: {listing})"), &error);
    }
}

/// Runs `operation` repeatedly, with its first, second, third … allocation in the kernel failing,
/// until a run makes no further allocation. After each run, `check` gets the number and the result.
/// Returns how many allocations failed, so that a test can check that there were some.
///
/// # Panics
/// If the kernel has no fault injection, or after 10,000 runs.
pub fn for_each_failing_allocation<T>(
    mut operation: impl FnMut() -> T,
    mut check: impl FnMut(u32, T),
) -> u32 {
    let injection = FailNth::new();
    for nth in 1..10_000 {
        let (result, injected) = injection.during(nth, &mut operation);
        check(nth, result);
        if !injected {
            return nth - 1;
        }
    }
    panic!("the operation still allocates after 10,000 failures");
}
