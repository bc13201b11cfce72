//! Nothing waits while a thread holds a reservation, also not by the kernel's own fences (I16).
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmashare::{
    Access, AccessConstraint, CpuAccess, CpuAccessError, CpuMapping, FenceError,
    InvalidationContext, Placements, SharedBuffer, Submission, SyncFile,
};
use dmashare_lab_probe::{SwSyncTimeline, within_time_limit};
use support::device::{Calls, Device};
use support::fake_exporter::FakeExporter;

/// Fails unless everything that waits in the kernel is refused on this thread.
fn refused(
    buffer: &SharedBuffer,
    pending: &SyncFile,
    mapping: &mut CpuMapping,
) -> Result<(), String> {
    let waited = pending.wait(Duration::from_secs(3600));
    let begun = CpuAccess::begin(buffer.backing().dmabuf(), Access::Read).map(drop);
    let kept = mapping.begin(Access::Read).map(drop);
    let is_refused = matches!(waited, Err(FenceError::WouldDeadlock { .. }))
        && matches!(begun, Err(CpuAccessError::WouldDeadlock))
        && matches!(kept, Err(CpuAccessError::WouldDeadlock));
    match is_refused {
        true => Ok(()),
        false => Err(format!("{waited:?}, {begun:?}, {kept:?}")),
    }
}

#[test]
fn i16_a_thread_with_an_open_submission_or_in_a_callback_does_not_wait_in_the_kernel() {
    within_time_limit(|| {
        let exporter = FakeExporter::new(Placements::HOST | Placements::SHMEM);
        let (desc, anything) = (support::desc("held"), AccessConstraint::default());
        let buffer = SharedBuffer::new_dynamic(&exporter, desc, &anything).unwrap();
        let other = support::buffer("other");
        let timeline = SwSyncTimeline::new();
        let pending = SyncFile::new(timeline.fence(1)).unwrap();
        let memory = &other.backing().dmabuf().memories()[0].clone();
        memory.import_sync_file(&pending, Access::Write).unwrap();
        let mut mapping = CpuMapping::new(other.backing().dmabuf(), Access::Read).unwrap();

        let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), Calls::default());
        let mapped = attachment.unwrap().map().unwrap();
        let submission = Submission::begin([mapped.read()]).unwrap();
        refused(&other, &pending, &mut mapping).unwrap();
        drop((submission, mapped));

        let result = Arc::new(Mutex::new(None));
        let state = Mutex::new((other.clone(), pending.try_clone().unwrap(), mapping));
        let callback = {
            let result = result.clone();
            move |_: &InvalidationContext<'_>| {
                let (other, pending, mapping) = &mut *state.lock().unwrap();
                *result.lock().unwrap() = Some(refused(other, pending, mapping));
            }
        };
        let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), callback);
        let attachment = attachment.unwrap();
        drop(attachment.map().unwrap());
        let shmem = AccessConstraint::placements(Placements::SHMEM);
        buffer.move_to(&shmem).unwrap();
        assert_eq!(*result.lock().unwrap(), Some(Ok(())));
        // What is over needs no wait.
        timeline.increment(1);
        pending.wait(Duration::ZERO).unwrap();
        drop(CpuAccess::begin(other.backing().dmabuf(), Access::Read).unwrap());
    });
}
