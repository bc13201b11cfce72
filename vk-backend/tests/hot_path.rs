//! A steady frame allocates nothing: begin, submit, commit over known mappings.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use dmashare::{Access, FenceStatus, Mapping};
use dmashare_vk::Device;
use support::{buffer, device, map};

/// Allocations of this thread, outside the driver, while `work` runs.
fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

fn frame(device: &Device, written: &Mapping<Device>, read: &[Mapping<Device>]) {
    let uses = read.iter().map(Mapping::read);
    let submission = device.submission(uses.chain([written.write()])).unwrap();
    // SAFETY: there are no command buffers.
    let fence = unsafe { submission.submit(&[]) }.unwrap();
    fence.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(fence.status(), FenceStatus::Signalled);
    device.dispatch();
}

#[test]
fn a_steady_frame_allocates_nothing() {
    let device = device();
    let buffers: Vec<_> = (0..8).map(|_| buffer(&device, "hot")).collect();
    let mappings: Vec<_> = buffers.iter().map(|shared| map(shared, &device)).collect();
    let work = |frames: usize| {
        for number in 0..frames {
            let written = &mappings[number % 3];
            frame(&device, written, &mappings[3..]);
        }
    };
    work(10);
    let count = allocations(|| work(500));
    assert_eq!(count, 0);
    assert!(buffers[0].ready(Access::Write).status().is_over());
    // The counter counts.
    assert!(allocations(|| drop(vec![1])) > 0);
}

#[test]
fn work_that_is_still_pending_is_waited_for_without_an_allocation() {
    let device = device();
    let shared = buffer(&device, "pending");
    let mapping = map(&shared, &device);
    let submit = || {
        let submission = device.submission([mapping.write()]).unwrap();
        // SAFETY: there are no command buffers.
        unsafe { submission.submit(&[]) }.unwrap()
    };
    // Submitted faster than the device works, so that points of the own timeline are pending.
    let last = submit();
    let count = allocations(|| {
        for _ in 0..200 {
            submit();
        }
    });
    assert_eq!(count, 0);
    last.wait(Duration::from_secs(10)).unwrap();
}
