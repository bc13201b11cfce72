//! Every public door, knocked at inside a callback or with an open submission: a named error, no
//! panic, no hang.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use dmashare::{
    Access, AccessConstraint, AttachError, DynamicAttachment, ExportError, FenceError, FenceSet,
    MapError, Mapping, Modifier, Moment, MoveError, PinError, Placements, RevokeError,
    SharedBuffer, SoftwareTimeline, Submission, SubmitError,
};
use dmashare_lab_probe::within_time_limit;
use support::device::{Calls, Device};
use support::fake_exporter::FakeExporter;
use support::to;

const LONG: Duration = Duration::from_secs(3600);

/// A buffer in host memory that can move, its exporter, and one that is attached and told.
fn movable() -> (SharedBuffer, FakeExporter, DynamicAttachment<Device>) {
    let (buffer, exporter) = support::movable("misused");
    let attachment = support::attached(&buffer);
    (buffer, exporter, attachment)
}

/// What a thread that holds a reservation may call and must be refused.
struct Doors {
    buffer: SharedBuffer,
    attachment: DynamicAttachment<Device>,
    mapping: Mapping<Device>,
    moved: dmashare::Move,
    revocation: dmashare::Revocation,
}

impl Doors {
    /// Of another buffer than the one whose reservation is held, so that all of them are there.
    fn new() -> Self {
        let (buffer, _exporter, attachment) = movable();
        let moved = buffer.move_to(&to(Placements::SHMEM)).unwrap();
        let revocation = buffer.revoke().unwrap();
        buffer.unrevoke().unwrap();
        let mapping = attachment.map().unwrap();
        attachment.unmap();
        Self {
            buffer,
            attachment,
            mapping,
            moved,
            revocation,
        }
    }

    /// Knocks at every door; gives those that did not answer with their own `WouldDeadlock`.
    fn knock(&self) -> Vec<&'static str> {
        let device = Device::anywhere("another");
        let exporter = FakeExporter::new(Placements::HOST);
        let buffer = &self.buffer;
        let pending = SoftwareTimeline::new("pending");
        let set: FenceSet = [pending.fence(1)].into_iter().collect();
        let answers = [
            (
                "new",
                matches!(
                    SharedBuffer::new(&exporter, support::desc("new"), &[Modifier::LINEAR]),
                    Err(ExportError::WouldDeadlock { .. })
                ),
            ),
            (
                "new_dynamic",
                matches!(
                    SharedBuffer::new_dynamic(
                        &exporter,
                        support::desc("new"),
                        &AccessConstraint::default()
                    ),
                    Err(ExportError::WouldDeadlock { .. })
                ),
            ),
            (
                "map",
                matches!(self.attachment.map(), Err(MapError::WouldDeadlock { .. })),
            ),
            (
                "attach",
                matches!(
                    buffer.attach(&device),
                    Err(AttachError::WouldDeadlock { .. })
                ),
            ),
            (
                "attach_dynamic",
                matches!(
                    buffer.attach_dynamic(&device, Calls::default()),
                    Err(AttachError::WouldDeadlock { .. })
                ),
            ),
            (
                "export",
                matches!(
                    buffer.export("client"),
                    Err(AttachError::WouldDeadlock { .. })
                ),
            ),
            (
                "pin",
                matches!(
                    self.attachment.pin("scanout"),
                    Err(PinError::WouldDeadlock { .. })
                ),
            ),
            (
                "hold_in_place",
                matches!(
                    self.mapping.hold_in_place(&"scanout".into(), Moment::now()),
                    Err(PinError::WouldDeadlock { .. })
                ),
            ),
            (
                "move_to",
                matches!(
                    buffer.move_to(&to(Placements::HOST)),
                    Err(MoveError::WouldDeadlock { .. })
                ),
            ),
            (
                "revoke",
                matches!(buffer.revoke(), Err(RevokeError::WouldDeadlock { .. })),
            ),
            (
                "unrevoke",
                matches!(buffer.unrevoke(), Err(RevokeError::WouldDeadlock { .. })),
            ),
            (
                "Revocation::wait",
                matches!(
                    self.revocation.wait(LONG),
                    Err(RevokeError::WouldDeadlock { .. })
                ),
            ),
            (
                "Submission::begin",
                matches!(
                    Submission::begin([self.mapping.read()]),
                    Err(SubmitError::WouldDeadlock { .. })
                ),
            ),
            (
                "add_fence",
                matches!(
                    buffer.add_fence(Access::Read, pending.fence(1)),
                    Err(SubmitError::WouldDeadlock { .. })
                ),
            ),
            (
                "Fence::wait",
                matches!(
                    pending.fence(1).wait(LONG),
                    Err(FenceError::WouldDeadlock { .. })
                ),
            ),
            (
                "Fence::export_sync_file",
                matches!(
                    pending.fence(1).export_sync_file(),
                    Err(FenceError::WouldDeadlock { .. })
                ),
            ),
            (
                "FenceSet::wait",
                matches!(set.wait(LONG), Err(FenceError::WouldDeadlock { .. })),
            ),
            (
                "wait_ready",
                matches!(
                    buffer.wait_ready(Access::Write, LONG),
                    Err(FenceError::WouldDeadlock { .. })
                ),
            ),
            (
                "Move::wait",
                matches!(self.moved.wait(LONG), Err(FenceError::WouldDeadlock { .. })),
            ),
        ];
        let wrong = answers.into_iter().filter(|(_, is_refused)| !is_refused);
        wrong.map(|(door, _)| door).collect()
    }

    /// Nothing of the refused is left behind (I13).
    fn assert_untouched(&self) {
        assert_eq!(self.buffer.attachments().len(), 1);
        assert_eq!(self.buffer.pins(), 0);
        assert!(self.buffer.ready(Access::Write).is_empty());
        drop(Submission::begin([self.mapping.write()]).unwrap());
    }
}

#[test]
fn i10_every_door_is_shut_inside_a_callback() {
    within_time_limit(|| {
        let doors = Arc::new(Doors::new());
        let (buffer, _exporter, attachment) = movable();
        let wrong = Arc::new(OnceLock::new());
        let callback = {
            let (doors, wrong) = (doors.clone(), wrong.clone());
            move |_: &dmashare::InvalidationContext<'_>| wrong.set(doors.knock()).unwrap()
        };
        let told = buffer
            .attach_dynamic(&Device::anywhere("told"), callback)
            .unwrap();
        drop((told.map().unwrap(), attachment));
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        assert_eq!(wrong.get().unwrap(), &Vec::<&str>::new(), "these were open");
        doors.assert_untouched();
    });
}

#[test]
fn i10_the_buffers_own_doors_are_shut_inside_its_callback() {
    within_time_limit(|| {
        let (buffer, _exporter, attachment) = movable();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let callback = {
            let (buffer, answers) = (buffer.clone(), answers.clone());
            move |_: &dmashare::InvalidationContext<'_>| {
                let moved = buffer.move_to(&to(Placements::HOST));
                let waited = buffer.wait_ready(Access::Read, LONG);
                let attached = buffer.export("client");
                *answers.lock().unwrap() = vec![
                    matches!(moved, Err(MoveError::WouldDeadlock { .. })),
                    matches!(waited, Err(FenceError::WouldDeadlock { .. })),
                    matches!(attached, Err(AttachError::WouldDeadlock { .. })),
                    // This one never blocks; it has nothing to do now.
                    buffer.dispatch() == 0,
                ];
            }
        };
        let told = buffer
            .attach_dynamic(&Device::anywhere("told"), callback)
            .unwrap();
        drop((told.map().unwrap(), attachment));
        buffer.move_to(&to(Placements::SHMEM)).unwrap();
        assert_eq!(*answers.lock().unwrap(), [true; 4]);
    });
}

#[test]
fn i16_every_door_is_shut_while_a_submission_is_open() {
    within_time_limit(|| {
        let doors = Doors::new();
        let (_buffer, _exporter, attachment) = movable();
        let mapping = attachment.map().unwrap();
        let open = Submission::begin([mapping.write()]).unwrap();
        assert_eq!(doors.knock(), Vec::<&str>::new(), "these were open");
        drop(open);
        doors.assert_untouched();
    });
}

#[test]
fn a_mapping_that_is_kept_needs_no_lock_and_is_given_under_one() {
    within_time_limit(|| {
        let (_buffer, _exporter, attachment) = movable();
        let mapping = attachment.map().unwrap();
        let open = Submission::begin([mapping.write()]).unwrap();
        assert!(attachment.map().unwrap().is_same(&mapping));
        drop(open);
    });
}
