//! Fences that fail while a commit turns them into its own.
#![allow(clippy::unwrap_used)]

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dmashare::host::DmaHeap;
use dmashare::{Access, Fence, FenceError, FenceStatus, Fourcc, SyncFile, Timeline};
use nix::errno::Errno;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

/// A producer whose work fails between a look at its fence and the wish for a sync_file of it.
#[derive(Debug)]
struct FailsWhenAsked {
    asked: AtomicBool,
}

impl FailsWhenAsked {
    fn failed(&self) -> FenceError {
        FenceError::Failed {
            producer: self.producer().to_owned(),
            source: Errno::EIO.into(),
        }
    }
}

impl Timeline for FailsWhenAsked {
    fn producer(&self) -> &str {
        "crashing renderer"
    }

    fn status(&self, _point: u64) -> FenceStatus {
        match self.asked.load(Ordering::SeqCst) {
            true => FenceStatus::Failed(Errno::EIO),
            false => FenceStatus::Pending,
        }
    }

    fn wait(&self, _point: u64, _timeout: Duration) -> Result<(), FenceError> {
        self.asked.store(true, Ordering::SeqCst);
        Err(self.failed())
    }

    fn export_sync_file(&self, _point: u64) -> Result<SyncFile, FenceError> {
        self.asked.store(true, Ordering::SeqCst);
        Err(self.failed())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// As if it had failed before the first look: the kernel, too, lets such a flip through.
#[test]
fn a_writer_that_fails_while_its_fence_is_asked_for_does_not_fail_the_commit() {
    let screen = Screen::new();
    let heap = DmaHeap::open("system").unwrap();
    let picture = |name| buffer(&heap, name, Fourcc::XRGB8888, screen.extent());
    let (first, second) = (picture("first"), picture("second"));
    screen.show(screen.showing(&map(&first, &screen.card)));
    let crashing = Arc::new(FailsWhenAsked {
        asked: AtomicBool::new(false),
    });
    let fence = Fence::Point {
        timeline: crashing.clone(),
        point: 1,
    };
    second.add_fence(Access::Write, fence).unwrap();
    let shown = map(&second, &screen.card);
    let id = screen.card.present(&screen.output, &shown, None).unwrap();
    wait_for_flip(&screen.card, id);
    assert!(crashing.asked.load(Ordering::SeqCst), "it was asked for");
}
