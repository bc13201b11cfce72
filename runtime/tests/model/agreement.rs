//! What the library reports must be what the reference says, after every step.

use dmashare::{Access, AttachmentKind, AttachmentReport, BufferReport, BufferState, FenceUsage};

use crate::reference::{Reference, Role, Status};
use crate::subject::Subject;

pub fn check(subject: &Subject, reference: &Reference) {
    let report = subject.buffer.report();
    state(&report, reference);
    attachments(subject, &report.attachments, reference);
    old_backings(&report, reference);
    fences(subject, &report, reference);
    if let Some(fake) = &subject.fake {
        fake.assert_no_faults();
    }
    // I15: the content is that of the last write, wherever the buffer is.
    let is_there = reference.status == Status::Resident && !reference.has_pending_copies();
    if is_there {
        assert_eq!(subject.content(), reference.content, "content (I15)");
    }
}

fn state(report: &BufferReport, reference: &Reference) {
    assert_eq!(
        report.generation.as_u64(),
        reference.generation,
        "generation (I3)"
    );
    assert_eq!(report.placement, reference.place, "place (I2)");
    let state = match reference.status {
        Status::Resident => BufferState::Resident,
        Status::Moving(_) => BufferState::Moving,
        Status::Revoked => BufferState::Revoked,
    };
    assert_eq!(report.state, state);
    assert_eq!(
        (report.moves, report.refusals),
        (reference.moves, reference.refusals)
    );
}

fn attachments(subject: &Subject, reports: &[AttachmentReport], reference: &Reference) {
    let entered: Vec<usize> = (0..reference.attachments.len())
        .filter(|key| reference.attachments[*key].entered)
        .collect();
    assert_eq!(reports.len(), entered.len(), "{reports:?}");
    for (key, report) in entered.into_iter().zip(reports) {
        let one = &reference.attachments[key];
        assert_eq!(report.name, format!("device {key}"));
        let kind = match one.role {
            Role::Static => AttachmentKind::Static,
            Role::Export => AttachmentKind::Export,
            Role::Dynamic => AttachmentKind::Dynamic,
        };
        assert_eq!(report.kind, kind);
        assert_eq!(
            report.pins as usize,
            reference.pins_of(key),
            "pins of {key} (I1)"
        );
        assert_eq!(report.dead, one.dead, "whether {key} is dead");
        let objects = reference.alive().filter(|object| object.attachment == key);
        let mut mapped: Vec<u64> = objects.map(|object| object.generation).collect();
        mapped.sort_unstable();
        mapped.dedup();
        let mut reported: Vec<u64> = report.mapped.iter().map(|one| one.as_u64()).collect();
        reported.sort_unstable();
        assert_eq!(reported, mapped, "what {key} maps");
    }
    let pins: u32 = reports.iter().map(|report| report.pins).sum();
    assert_eq!(
        subject.buffer.pins(),
        pins as usize,
        "pins of the buffer (I1)"
    );
    for (key, attached) in subject.attachments.iter().enumerate() {
        // I5: once for each generation that was mapped, and never after the end.
        let told = &reference.attachments[key].told;
        assert_eq!(
            &attached.calls.generations(),
            told,
            "what {key} was told (I5)"
        );
        let objects = reference.alive().filter(|object| object.attachment == key);
        assert_eq!(
            attached.device.objects(),
            objects.count(),
            "objects of {key}"
        );
    }
}

fn old_backings(report: &BufferReport, reference: &Reference) {
    let reported: Vec<_> = report
        .old_backings
        .iter()
        .map(|old| {
            (
                old.generation.as_u64(),
                old.placement,
                old.maps,
                old.overdue,
            )
        })
        .collect();
    let expected: Vec<_> = reference
        .old
        .iter()
        .map(|old| {
            (
                old.generation,
                old.place,
                reference.maps_of(old.generation),
                old.overdue,
            )
        })
        .collect();
    assert_eq!(reported, expected, "memory that was left (I6)");
    for (reported, old) in report.old_backings.iter().zip(&reference.old) {
        assert_eq!(
            reported.waits_for.is_empty(),
            reference.are_over(&old.after)
        );
    }
}

fn fences(subject: &Subject, report: &BufferReport, reference: &Reference) {
    let classes = [
        FenceUsage::Move,
        FenceUsage::Write,
        FenceUsage::Read,
        FenceUsage::Bookkeep,
    ];
    for usage in classes {
        let pending = report.fences.iter();
        let pending = pending.filter(|fence| fence.usage <= usage && fence.status == "pending");
        assert_eq!(
            pending.count(),
            reference.pending(usage),
            "{usage:?} and before (I8)"
        );
    }
    for access in [Access::Read, Access::Write] {
        let ready = subject.buffer.ready(access).status();
        assert_eq!(
            ready,
            reference.ready(FenceUsage::waited_by(access)),
            "{access:?} (I7)"
        );
    }
}
