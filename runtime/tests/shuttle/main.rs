//! Threads in every order that a scheduler comes up with, at every lock and atomic of the crate.
//!
//! `cargo lab test` runs this with the crate's feature `shuttle`, which puts shuttle's locks in the
//! place of the standard library's.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod detaching;
mod mapping;
mod moving;
mod pinning;
mod publishing;
mod revoking;
mod rings;

use std::sync::Arc;

use dmashare::{DynamicAttachment, Fence, Mapping, SharedBuffer, Submission};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};
use support::device::{Calls, Device};
use support::fake_exporter::{FakeExporter, Memory, memory_of};
use support::to;

/// What the buffer's content is in every scenario.
const CONTENT: u64 = 0x600d;

/// Runs `scenario` under many schedules: at random, and with few changes of priority, which finds
/// what needs a thread to be held up for long.
fn explore(iterations: usize, scenario: fn()) {
    let mut config = Config::new();
    // The default is too little for unoptimised code.
    config.stack_size = 512 << 10;
    // A scenario that goes on for ever is a failure, too.
    config.max_steps = shuttle::MaxSteps::FailAfter(200_000);
    Runner::new(RandomScheduler::new(iterations), config.clone()).run(scenario);
    Runner::new(PctScheduler::new(3, iterations), config).run(scenario);
}

/// A buffer in host memory with [`CONTENT`], and its exporter.
fn buffer(name: &str) -> (SharedBuffer, FakeExporter) {
    let (buffer, exporter) = support::movable(name);
    let memory = memory_of(&buffer.backing());
    memory
        .content
        .store(CONTENT, std::sync::atomic::Ordering::SeqCst);
    (buffer, exporter)
}

fn attached(buffer: &SharedBuffer) -> (Arc<DynamicAttachment<Device>>, Calls) {
    let calls = Calls::default();
    let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), calls.clone());
    (Arc::new(attachment.unwrap()), calls)
}

fn content(memory: &Memory) -> u64 {
    memory.content.load(std::sync::atomic::Ordering::SeqCst)
}

/// Submits work on a mapping, unless that is stale. The exporter knows of it before it is committed.
fn submit(mapping: &Mapping<Device>, buffer: &SharedBuffer, fence: &Fence) -> bool {
    let Ok(submission) = Submission::begin([mapping.write()]) else {
        return false;
    };
    let memory = memory_of(mapping.backing());
    // I4: nothing moves the buffer between the check and the fence.
    assert_eq!(memory.id, memory_of(&buffer.backing()).id, "I4");
    memory.uses.lock().unwrap().push(fence.clone());
    submission.commit(fence);
    true
}

/// After everything: fences are over, so all memory but the buffer's own goes back.
fn assert_settled(buffer: &SharedBuffer, exporter: &FakeExporter) {
    buffer.dispatch();
    buffer.dispatch();
    exporter.assert_no_faults();
    assert_eq!(exporter.live().len(), 1, "{}", buffer.report());
    assert_eq!(content(&memory_of(&buffer.backing())), CONTENT, "I15");
}
