//! The hot path allocates nothing: map, begin, commit, ask whether a buffer is ready.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::{Access, FenceStatus, SoftwareTimeline, Submission};

/// Allocations of this thread while `work` runs.
fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn a_steady_use_of_eight_buffers_allocates_nothing() {
    let importer = support::Recorder::default();
    let buffers: Vec<_> = (0..8)
        .map(|index| support::buffer(&format!("hot-{index}")))
        .collect();
    let attachments: Vec<_> = buffers
        .iter()
        .map(|buffer| buffer.attach(&importer).unwrap())
        .collect();
    let (gpu, display) = (
        SoftwareTimeline::new("gpu"),
        SoftwareTimeline::new("display"),
    );
    let frame = |number: u64| {
        let draw = attachments
            .iter()
            .map(|attachment| attachment.map().unwrap().write());
        Submission::begin(draw).unwrap().commit(&gpu.fence(number));
        gpu.signal(number);
        let show = attachments
            .iter()
            .map(|attachment| attachment.map().unwrap().read());
        Submission::begin(show)
            .unwrap()
            .commit(&display.fence(number));
        display.signal(number);
        for buffer in &buffers {
            assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
        }
    };
    frame(1);
    let count = allocations(|| (2..1000).for_each(frame));
    assert_eq!(count, 0);
    // The counter counts: the thread's list grows for a ninth use, once.
    let ninth = support::buffer("hot-8").attach(&importer).unwrap();
    let uses = || {
        attachments
            .iter()
            .chain([&ninth])
            .map(|attachment| attachment.map().unwrap().read())
    };
    let begin = || drop(Submission::begin(uses()).unwrap());
    assert!(allocations(begin) > 0);
    assert_eq!(allocations(begin), 0);
}
