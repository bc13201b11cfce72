//! Commits of buffers that another thread is submitting work on.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use dmashare::host::DmaHeap;
use dmashare::{Fourcc, Submission, SubmitError};
use dmashare_drm::CommitError;
use dmashare_lab_probe::within_time_limit;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

/// A commit waits for whoever is submitting work on its buffer; the card does not wait with it.
#[test]
fn i16_nobody_waits_for_a_buffer_with_the_card_locked() {
    within_time_limit(|| {
        let screen = Screen::new();
        let heap = DmaHeap::open("system").unwrap();
        let [shown, next] =
            [1, 2].map(|seed| painted(&heap, "picture", Fourcc::XRGB8888, screen.extent(), seed));
        let (shown, next) = (map(&shown, &screen.card), map(&next, &screen.card));
        screen.show(screen.showing(&shown));
        let timeline = dmashare::SoftwareTimeline::new("writer");
        std::thread::scope(|scope| {
            let submission = Submission::begin([next.write()]).unwrap();
            let committer = scope.spawn(|| screen.card.present(&screen.output, &next, None));
            // It stays in the wait.
            std::thread::sleep(Duration::from_millis(50));
            assert!(!committer.is_finished());
            screen.card.dispatch().unwrap();
            let nested = screen.card.present(&screen.output, &shown, None);
            assert!(
                matches!(
                    nested,
                    Err(CommitError::Submit(SubmitError::WouldDeadlock { .. }))
                ),
                "{nested:?}"
            );
            submission.commit(&timeline.fence(0));
            let id = committer.join().unwrap().unwrap();
            wait_for_flip(&screen.card, id);
        });
    });
}
