//! One card used by several threads: one flips, one dispatches, others import and look.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use dmashare::host::DmaHeap;
use dmashare::{Access, Extent, FenceStatus, Fourcc, Submission};
use dmashare_drm::{CommitError, Event};
use dmashare_lab_probe::open_files;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

#[test]
fn flips_dispatches_imports_and_submissions_at_once() {
    let screen = Screen::new();
    let heap = DmaHeap::open("system").unwrap();
    let buffers: Vec<_> = (0..3)
        .map(|seed| painted(&heap, "picture", Fourcc::XRGB8888, screen.extent(), seed))
        .collect();
    let mappings: Vec<_> = buffers
        .iter()
        .map(|buffer| map(buffer, &screen.card))
        .collect();
    screen.show(screen.showing(&mappings[0]));
    let files = open_files().len();
    let done = AtomicBool::new(false);
    let flips = AtomicUsize::new(0);
    let running = || !done.load(Ordering::Acquire);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while running() || flips.load(Ordering::Acquire) < 60 {
                for event in screen.card.wait_events(Duration::from_millis(50)).unwrap() {
                    if matches!(event, Event::Flip { .. }) {
                        flips.fetch_add(1, Ordering::AcqRel);
                    }
                }
            }
        });
        scope.spawn(|| {
            while running() {
                let other = buffer(&heap, "other", Fourcc::XRGB8888, Extent::new(64, 64));
                drop(map(&other, &screen.card));
                screen.card.outputs().unwrap();
            }
        });
        scope.spawn(|| {
            // Someone else's reads of the same buffers, done as soon as they are submitted.
            let timeline = dmashare::SoftwareTimeline::new("reader");
            let mut point = 0;
            while running() {
                let uses = mappings.iter().map(dmashare::Mapping::read);
                let submission = Submission::begin(uses).unwrap();
                point += 1;
                submission.commit(&timeline.fence(point));
                timeline.signal(point);
            }
        });
        for index in 1..=60 {
            let buffer = index % 3;
            loop {
                match screen.card.present(&screen.output, &mappings[buffer], None) {
                    Ok(_) => break,
                    Err(CommitError::Busy { .. }) => std::thread::sleep(Duration::from_millis(1)),
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(flips.load(Ordering::Acquire), 60);
    // The last one is on the screen, the others are free.
    let status = |index: usize| buffers[index].ready(Access::Write).status();
    assert_eq!(status(60 % 3), FenceStatus::Pending);
    assert_eq!(status(1), FenceStatus::Signalled);
    assert_eq!(status(2), FenceStatus::Signalled);
    assert_eq!(open_files().len(), files);
    assert_eq!(screen.card.open_gem_handles(), 0);
    assert_eq!(screen.display.framebuffers_after_commits(3), 3);
}
