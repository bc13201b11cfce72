//! Several threads that lock several buffers each, in rings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use dmashare::{Access, FenceStatus, Mapping, SharedBuffer, SoftwareTimeline, Submission};
use shuttle::thread;

use crate::support::device::Device;
use crate::{buffer, explore};

struct Ring {
    buffers: Vec<SharedBuffer>,
    mappings: Vec<Mapping<Device>>,
    /// For each buffer, how many have it locked.
    holders: Vec<AtomicUsize>,
}

impl Ring {
    fn new(size: usize) -> Arc<Self> {
        let device = Device::anywhere("gpu");
        let buffers: Vec<_> = (0..size)
            .map(|index| buffer(&format!("ring {index}")).0)
            .collect();
        let attached = buffers.iter().map(|buffer| buffer.attach(&device).unwrap());
        let mappings = attached.map(|attachment| attachment.map().unwrap());
        Arc::new(Self {
            mappings: mappings.collect(),
            holders: (0..size).map(|_| AtomicUsize::new(0)).collect(),
            buffers,
        })
    }

    /// Locks `count` buffers from `first` on, and looks that nobody else has them.
    fn lock(&self, first: usize, count: usize, timeline: &SoftwareTimeline, point: u64) {
        let size = self.mappings.len();
        let mine = || (0..count).map(|step| (first + step) % size);
        let uses = mine().map(|index| self.mappings[index].write());
        let submission = Submission::begin(uses).unwrap();
        for index in mine() {
            assert_eq!(self.holders[index].fetch_add(1, SeqCst), 0, "locked by two");
        }
        thread::yield_now();
        for index in mine() {
            self.holders[index].fetch_sub(1, SeqCst);
        }
        submission.commit(&timeline.fence(point));
        timeline.signal(point);
    }
}

/// As many threads as buffers, each of which locks `count` neighbours, twice.
fn ring(size: usize, count: usize) {
    let ring = Ring::new(size);
    let threads: Vec<_> = (0..size)
        .map(|first| {
            let ring = ring.clone();
            thread::spawn(move || {
                let timeline = SoftwareTimeline::new("worker");
                for point in 1..=2 {
                    ring.lock(first, count, &timeline, point);
                }
                timeline
            })
        })
        .collect();
    let timelines: Vec<_> = threads.into_iter().map(|one| one.join().unwrap()).collect();
    for buffer in &ring.buffers {
        assert_eq!(buffer.ready(Access::Write).status(), FenceStatus::Signalled);
    }
    drop(timelines);
}

#[test]
fn i12_two_buffers() {
    explore(1000, || ring(2, 2));
}

#[test]
fn i12_a_ring_of_three() {
    explore(1000, || ring(3, 2));
}

#[test]
fn i12_a_ring_of_four() {
    explore(700, || ring(4, 2));
}

#[test]
fn i12_wide_rings() {
    explore(500, || ring(4, 3));
}
