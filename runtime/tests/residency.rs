//! `Residency`: budgets, the choice of victims, coming back, and what is told when there is no room.
//! On host memory that really moves: from a dma-heap to memfds and back.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use dmashare::host::HostMemory;
use dmashare::{
    Access, AccessConstraint, CpuAccess, DynamicAttachment, ExportError, MoveError, Placement,
    Priority, Residency, ResidencyError, SharedBuffer, SoftwareTimeline, Submission,
};
use dmashare_lab_probe::bufinfo;
use support::{Recorder, desc};

/// Bytes of one buffer of `support::desc`.
const BYTES: u64 = 64 * 32 * 4;

fn residency(buffers: u64) -> (Residency, HostMemory) {
    let residency = Residency::new();
    residency.set_budget(Placement::Host, buffers * BYTES);
    residency.set_hold(Duration::ZERO);
    let memory = HostMemory::new(Some(support::heap()), Some(support::udmabuf()));
    (residency, memory)
}

fn in_the_heap() -> AccessConstraint {
    AccessConstraint::placements(dmashare::Placements::HOST)
}

type Attachment = DynamicAttachment<Recorder>;

/// Buffers in a residency, each with an attachment and with a content of its own.
fn filled(
    residency: &Residency,
    memory: &HostMemory,
    count: u8,
    priority: Priority,
) -> Vec<(SharedBuffer, Attachment)> {
    (0..count)
        .map(|index| {
            let name = format!("resident-{index}");
            let buffer = residency
                .create(memory, desc(&name), &in_the_heap(), priority)
                .unwrap();
            let flag = Arc::new(AtomicBool::new(false));
            let attachment = buffer.attach_dynamic(&Recorder::default(), flag).unwrap();
            drop(attachment.map().unwrap());
            fill(&buffer, index);
            (buffer, attachment)
        })
        .collect()
}

fn fill(buffer: &SharedBuffer, value: u8) {
    buffer
        .wait_ready(Access::Write, Duration::from_secs(1))
        .unwrap();
    let backing = buffer.backing();
    let mut access = CpuAccess::begin(backing.dmabuf(), Access::Write).unwrap();
    for row in 0..32 {
        access.write_row(0, row, &[value; 64 * 4]).unwrap();
    }
}

fn has_content(buffer: &SharedBuffer, value: u8) -> bool {
    buffer
        .wait_ready(Access::Read, Duration::from_secs(1))
        .unwrap();
    let backing = buffer.backing();
    let access = CpuAccess::begin(backing.dmabuf(), Access::Read).unwrap();
    let mut bytes = [0; 64 * 4];
    (0..32).all(|row| {
        access.read_row(0, row, &mut bytes).unwrap();
        bytes == [value; 64 * 4]
    })
}

fn resident(buffers: &[(SharedBuffer, Attachment)]) -> Vec<usize> {
    let place = |buffer: &SharedBuffer| buffer.backing().placement();
    let all = buffers.iter().enumerate();
    all.filter(|(_, (buffer, _))| place(buffer) == Placement::Host)
        .map(|(index, _)| index)
        .collect()
}

#[test]
fn the_least_recently_used_leaves_first_and_keeps_its_content() {
    let (residency, memory) = residency(4);
    let buffers = filled(&residency, &memory, 4, Priority(1));
    assert_eq!(resident(&buffers), [0, 1, 2, 3]);
    // The first is used again: the second is now the oldest.
    drop(buffers[0].1.map().unwrap());
    let more = filled(&residency, &memory, 1, Priority(1));
    assert_eq!(resident(&buffers), [0, 2, 3]);
    assert_eq!(resident(&more), [0]);
    assert_eq!(residency.used(Placement::Host), 4 * BYTES);
    assert!((0..4).all(|index| has_content(&buffers[usize::from(index)].0, index)));
    // The kernel knows the one that left as another exporter's memory.
    let inode = buffers[1].0.backing().dmabuf().id().inode();
    let listed = bufinfo().into_iter().find(|info| info.inode == inode);
    assert_eq!(listed.unwrap().exporter, "udmabuf");
}

#[test]
fn a_lower_priority_leaves_first_whenever_it_was_used() {
    let (residency, memory) = residency(4);
    let precious = filled(&residency, &memory, 2, Priority(9));
    let cheap = filled(&residency, &memory, 2, Priority(1));
    let more = filled(&residency, &memory, 2, Priority(9));
    assert_eq!(resident(&precious), [0, 1]);
    assert_eq!(resident(&cheap), [0_usize; 0]);
    assert_eq!(resident(&more), [0, 1]);
}

#[test]
fn what_was_evicted_comes_back_when_it_is_mapped() {
    let (residency, memory) = residency(2);
    let buffers = filled(&residency, &memory, 3, Priority(1));
    assert_eq!(resident(&buffers), [1, 2]);
    assert!(buffers[0].0.report().evicted);
    let mapping = buffers[0].1.map().unwrap();
    assert_eq!(mapping.backing().placement(), Placement::Host);
    assert_eq!(resident(&buffers), [0, 2]);
    let statistics = residency.statistics();
    assert_eq!((statistics.evictions, statistics.restores), (2, 1));
    assert_eq!(statistics.moves(), 3);
    assert!((0..3).all(|index| has_content(&buffers[usize::from(index)].0, index)));
}

#[test]
fn what_has_just_come_back_is_not_moved_for_another_to_come_back() {
    let (residency, memory) = residency(1);
    let buffers = filled(&residency, &memory, 2, Priority(1));
    residency.set_hold(Duration::from_secs(60));
    drop(buffers[0].1.map().unwrap());
    assert_eq!(resident(&buffers), [0]);
    // Both are used in turns: nothing moves any more, the second is used where it is.
    let before = residency.statistics();
    for _ in 0..10 {
        let mapping = buffers[1].1.map().unwrap();
        assert_eq!(mapping.backing().placement(), Placement::Shmem);
        drop(buffers[0].1.map().unwrap());
    }
    let after = residency.statistics();
    assert_eq!(after.moves(), before.moves());
    assert!(after.used_away > before.used_away);
    // An allocation has to have its room all the same.
    let more = filled(&residency, &memory, 1, Priority(1));
    assert_eq!((resident(&buffers), resident(&more)), (vec![], vec![0]));
}

#[test]
fn a_pinned_buffer_stays_and_is_found_again_when_its_pin_goes() {
    let (residency, memory) = residency(2);
    let buffers = filled(&residency, &memory, 2, Priority(1));
    let pin = buffers[0].1.pin("scanout Virtual-1").unwrap();
    let third = filled(&residency, &memory, 1, Priority(1));
    assert_eq!(resident(&buffers), [0]);
    let pin_of_third = third[0].1.pin("scanout Virtual-2").unwrap();
    // Everything is pinned: the refusal says by whom.
    let refused = residency.create(&memory, desc("refused"), &in_the_heap(), Priority(9));
    let Err(ExportError::NoSpace { name, source }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(name, "refused");
    let text = source.to_string();
    assert!(
        text.contains("'resident-0' is pinned by 'scanout Virtual-1' since"),
        "{text}"
    );
    let ResidencyError::Full { pins, .. } = *source else {
        panic!("{text}");
    };
    assert_eq!(pins.len(), 2);
    drop(pin);
    let fourth = filled(&residency, &memory, 1, Priority(1));
    assert_eq!(resident(&buffers), [0_usize; 0]);
    assert_eq!((resident(&third), resident(&fourth)), (vec![0], vec![0]));
    drop(pin_of_third);
    assert!(residency.statistics().refused >= 2);
}

#[test]
fn i6_old_memory_counts_until_it_is_let_go() {
    let (residency, memory) = residency(2);
    residency.set_let_go_deadline(Duration::from_millis(50));
    let buffers = filled(&residency, &memory, 2, Priority(1));
    // Someone keeps a mapping of the oldest, so its memory stays when it has moved.
    let kept = buffers[0].1.map().unwrap();
    drop(buffers[1].1.map().unwrap());
    let refused = residency.create(&memory, desc("waits"), &in_the_heap(), Priority(1));
    let Err(ExportError::NoSpace { source, .. }) = &refused else {
        panic!("{refused:?}");
    };
    let text = source.to_string();
    assert!(
        matches!(**source, ResidencyError::NotLetGo { .. }),
        "{text}"
    );
    assert!(
        text.contains("'resident-0' generation 1: mapped by recorder"),
        "{text}"
    );
    assert!(kept.is_stale());
    assert_eq!(residency.used(Placement::Host), 2 * BYTES);
    assert!(residency.statistics().stalled > Duration::ZERO);
    drop(kept);
    residency.dispatch();
    assert_eq!(residency.used(Placement::Host), BYTES);
    residency
        .create(&memory, desc("fits"), &in_the_heap(), Priority(1))
        .unwrap();
}

#[test]
fn an_allocation_waits_for_the_fences_of_what_leaves() {
    let (residency, memory) = residency(1);
    let buffers = filled(&residency, &memory, 1, Priority(1));
    let timeline = SoftwareTimeline::new("gpu");
    let use_of_it = buffers[0].1.map().unwrap().read();
    Submission::begin([use_of_it])
        .unwrap()
        .commit(&timeline.fence(1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            timeline.signal(1);
        });
        residency
            .create(&memory, desc("waits"), &in_the_heap(), Priority(1))
            .unwrap();
    });
    assert!(residency.statistics().stalled > Duration::ZERO);
    assert!(has_content(&buffers[0].0, 0));
}

#[test]
fn trim_gives_back_what_is_not_pinned_and_says_what_is() {
    let (residency, memory) = residency(8);
    let buffers = filled(&residency, &memory, 6, Priority(1));
    let pin = buffers[2].1.pin("scanout Virtual-1").unwrap();
    let report = residency.trim(Placement::Host, 2 * BYTES);
    assert_eq!((report.moved, report.bytes), (2, 2 * BYTES));
    assert_eq!(resident(&buffers), [2, 3, 4, 5]);
    let report = residency.trim(Placement::Host, u64::MAX);
    assert_eq!(report.moved, 3);
    assert_eq!(report.pins[0].0, "resident-2");
    assert_eq!(resident(&buffers), [2]);
    assert_eq!(residency.used(Placement::Host), BYTES);
    // Nothing is kept in a pool behind the back of who wanted memory back.
    let heap: BTreeSet<u64> = bufinfo()
        .into_iter()
        .filter(|info| info.exporter == "system" && info.name.starts_with("resident-"))
        .map(|info| info.inode)
        .collect();
    let pinned = buffers[2].0.backing().dmabuf().id().inode();
    assert!(heap.contains(&pinned));
    drop(pin);
    // They come back when they are used.
    drop(buffers[0].1.map().unwrap());
    assert_eq!(resident(&buffers), [0, 2]);
    assert!((0..6).all(|index| has_content(&buffers[usize::from(index)].0, index)));
}

#[test]
fn a_reported_limit_lowers_the_budget() {
    let (residency, memory) = residency(4);
    let buffers = filled(&residency, &memory, 4, Priority(1));
    residency.set_reported_limit(Placement::Host, Some(2 * BYTES));
    assert_eq!(residency.limit(Placement::Host), Some(2 * BYTES));
    let more = filled(&residency, &memory, 1, Priority(1));
    assert_eq!(residency.used(Placement::Host), 2 * BYTES);
    assert_eq!((resident(&buffers), resident(&more)), (vec![3], vec![0]));
    residency.set_reported_limit(Placement::Host, None);
    assert_eq!(residency.limit(Placement::Host), Some(4 * BYTES));
}

#[test]
fn a_buffer_that_may_be_elsewhere_is_made_where_there_is_room() {
    let (residency, memory) = residency(1);
    let buffers = filled(&residency, &memory, 1, Priority(1));
    let pin = buffers[0].1.pin("scanout Virtual-1").unwrap();
    let anywhere = AccessConstraint::default();
    let other = residency.create(&memory, desc("elsewhere"), &anywhere, Priority(1));
    let other = other.unwrap();
    assert_eq!(other.backing().placement(), Placement::Shmem);
    drop(pin);
}

#[test]
fn what_is_larger_than_the_budget_is_refused_at_once() {
    let (residency, memory) = residency(2);
    let buffers = filled(&residency, &memory, 2, Priority(1));
    let mut large = desc("large");
    large.extent = dmashare::Extent::new(64, 32 * 3);
    match residency.create(&memory, large, &in_the_heap(), Priority(9)) {
        Err(ExportError::NoSpace { source, .. }) => {
            assert!(matches!(*source, ResidencyError::TooLarge { .. }));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(resident(&buffers), [0, 1]);
}

#[test]
fn what_the_application_moves_stays_where_it_is_put() {
    let (residency, memory) = residency(2);
    let buffers = filled(&residency, &memory, 1, Priority(1));
    let shmem = AccessConstraint::placements(dmashare::Placements::SHMEM);
    buffers[0].0.move_to(&shmem).unwrap();
    let mapping = buffers[0].1.map().unwrap();
    assert_eq!(mapping.backing().placement(), Placement::Shmem);
    // And counts where it is.
    residency.dispatch();
    assert_eq!(residency.used(Placement::Host), 0);
    assert_eq!(residency.used(Placement::Shmem), BYTES);
    // Back to where there is no room for it by then.
    residency.set_budget(Placement::Host, BYTES - 1);
    let host = AccessConstraint::placements(dmashare::Placements::HOST);
    assert!(matches!(
        buffers[0].0.move_to(&host),
        Err(MoveError::NoSpace { .. })
    ));
    assert!(has_content(&buffers[0].0, 0));
}

#[test]
fn dropped_buffers_leave_nothing_behind() {
    let (residency, memory) = residency(3);
    let ours = || {
        let listed = bufinfo().into_iter();
        listed.filter(|info| info.name.starts_with("gone-")).count()
    };
    let buffers: Vec<_> = (0..8)
        .map(|index| {
            let desc = desc(&format!("gone-{index}"));
            let buffer = residency.create(&memory, desc, &in_the_heap(), Priority(1));
            let buffer = buffer.unwrap();
            let flag = Arc::new(AtomicBool::new(false));
            let attachment = buffer.attach_dynamic(&Recorder::default(), flag).unwrap();
            drop(attachment.map().unwrap());
            (attachment, buffer)
        })
        .collect();
    assert!(ours() >= 8);
    drop(buffers[1].0.map().unwrap());
    drop(buffers);
    assert_eq!(residency.used(Placement::Host), 0);
    assert_eq!(residency.used(Placement::Shmem), 0);
    drop((residency, memory));
    assert_eq!(ours(), 0);
}
