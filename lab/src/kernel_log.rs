//! The guest's kernel log: kept whole, and searched for what a healthy kernel never says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What the kernel prints when it, not the program, has failed. A drm_warn or a message of level
/// "warning" is not among them: each vkms display logs harmless ones.
const COMPLAINTS: &[&str] = &[
    "WARNING: ",
    "BUG: ",
    "kernel BUG at",
    "------------[ cut here ]------------",
    "Oops",
    "Kernel panic",
    "general protection fault",
    "Unable to handle kernel",
    "possible circular locking",
    "possible recursive locking",
    "possible irq lock inversion",
    "inconsistent lock state",
    "bad unlock balance",
    "suspicious RCU usage",
    "INFO: task ",
    "INFO: possible ",
    "INFO: rcu",
    "INFO: trying to register non-static key",
    "refcount_t: ",
    "UBSAN: ",
    "KASAN: ",
    "DMA-API: ",
    "list_add corruption",
    "list_del corruption",
    "Slab corruption",
    "Objects remaining",
];

/// How many lines after a complaint's first one are shown with it: a report's stack and registers.
const CONTEXT: usize = 60;

/// Whether the kernel complains in this line.
fn is_complaint(line: &str) -> bool {
    COMPLAINTS.iter().any(|words| line.contains(words)) || is_slab_report(line)
}

/// Whether the line begins a report of the slab allocator: `BUG kmalloc-64 (Not tainted): what`, with
/// the cache's name and how the kernel is tainted (slab_bug in mm/slub.c).
fn is_slab_report(line: &str) -> bool {
    line.split_once("BUG ")
        .and_then(|(_, rest)| rest.split_once(" ("))
        .is_some_and(|(_, state)| {
            (state.starts_with("Not tainted") || state.starts_with("Tainted: "))
                && state.contains("): ")
        })
}

/// The lines of every complaint in `lines`, each with what follows it; empty if all is well.
pub(crate) fn complaints(lines: &[String]) -> Vec<String> {
    let mut shown_until = 0;
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if is_complaint(line) {
            shown_until = index + CONTEXT;
        }
        if index < shown_until {
            found.push(line.clone());
        }
    }
    found
}

/// What a log says after the kernel's own start; all of it if it did not get that far.
pub(crate) fn after_boot(lines: &[String]) -> &[String] {
    let booted = lines
        .iter()
        .position(|line| line.contains(" as init process"));
    lines
        .get(booted.map_or(0, |index| index + 1)..)
        .unwrap_or_default()
}

/// A kernel log that is being written.
#[derive(Debug)]
pub(crate) struct KernelLog {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl KernelLog {
    /// Reads the log from `source` until it ends, and copies it to `copy` as it comes.
    pub(crate) fn follow(source: impl Read + Send + 'static, mut copy: Option<File>) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while source.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                if let Some(file) = &mut copy {
                    // A full disk must not stop the guest's console; the log stays in memory.
                    let _ = file.write_all(&line);
                }
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                shared
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(text);
                line.clear();
            }
        });
        Self { lines, reader }
    }

    /// The whole log, once the kernel has ended.
    pub(crate) fn finish(self) -> Vec<String> {
        let _ = self.reader.join();
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn complaints_of_every_kind_are_found() {
        for line in [
            "WARNING: CPU: 0 PID: 24 at drivers/gpu/drm/drm_gem.c:181 drm_gem_handle_delete+0x2/0x9",
            "BUG: sleeping function called from invalid context at mm/slab.h:12",
            "kernel BUG at mm/slub.c:563!",
            "WARNING: possible circular locking dependency detected",
            "INFO: task scanout:31 blocked for more than 60 seconds.",
            "Kernel panic - not syncing: sysrq triggered crash",
            "BUG: KASAN: slab-use-after-free in dma_buf_detach+0x1/0x2",
            "refcount_t: underflow; use-after-free.",
            "Oops: general protection fault, maybe for address 0x10",
            "BUG kmalloc-64 (Not tainted): Right Redzone overwritten",
            "[    1.5] BUG drm_i915_gem_object (Tainted: G        W          ): Poison overwritten",
            "BUG test (Not tainted): Objects remaining on __kmem_cache_shutdown()",
            "Objects remaining in test on __kmem_cache_shutdown()",
            "Slab corruption (Not tainted): kmalloc-64 start=1, len=2",
        ] {
            assert_eq!(complaints(&lines(line)), [line], "{line}");
        }
    }

    #[test]
    fn ordinary_messages_are_none() {
        let log = lines(
            "vkms display0: [drm] The format of pixel plane has alpha\n\
             FAULT_INJECTION: forcing a failure.\n\
             BUG report addresses (see the manual) are in REPORTING-BUGS: none\n\
             name failslab, interval 1, probability 0, space 0, times 0\n\
             reboot: Power down",
        );
        assert_eq!(complaints(&log), Vec::<String>::new());
    }

    #[test]
    fn a_complaint_comes_with_its_stack() {
        let log = lines("before\nBUG: bad\n stack 1\n stack 2");
        assert_eq!(complaints(&log), ["BUG: bad", " stack 1", " stack 2"]);
    }

    #[test]
    fn a_log_is_followed_to_its_end_and_copied() {
        let copy = tempfile::NamedTempFile::new().unwrap();
        let text = b"one\ntwo \xff\nthree".as_slice();
        let log = KernelLog::follow(text, Some(copy.reopen().unwrap()));
        assert_eq!(log.finish(), ["one", "two \u{fffd}", "three"]);
        assert_eq!(std::fs::read(copy.path()).unwrap(), text);
    }
}
