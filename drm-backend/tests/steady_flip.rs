//! A steady flip is one ATOMIC ioctl, as strace sees it, and allocates nothing.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::Write as _;
use std::process::Command;

use dmashare::{Fence, Fourcc, Mapping, SyncFile};
use dmashare_drm::{Card, Commit, OutputCommit, PlaneCommit, Rectangle};
use dmashare_lab_probe::SwSyncTimeline;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::movable::*;
use support::*;

const FLIPS: usize = 30;
const BEGIN: &str = "steady flips begin";
const END: &str = "steady flips end";

fn signalled_fence(timeline: &SwSyncTimeline) -> Fence {
    SyncFile::new(timeline.fence(0)).unwrap().into()
}

fn three_buffers(screen: &Screen) -> Vec<Mapping<Card>> {
    let dumb = screen.card.dumb_buffers();
    (0..3)
        .map(|seed| {
            let name = format!("steady {seed}");
            let buffer = painted(&dumb, &name, Fourcc::XRGB8888, screen.extent(), seed);
            map(&buffer, &screen.card)
        })
        .collect()
}

fn flip(screen: &Screen, mapping: &Mapping<Card>, fence: Option<&Fence>) {
    let id = screen
        .card
        .present(&screen.output, mapping, fence)
        .expect("a steady flip works");
    wait_for_flip(&screen.card, id);
}

/// The same number of buffers that may move, mapped anew for each flip.
fn three_that_may_move(screen: &Screen) -> Vec<Movable> {
    (0..3)
        .map(|seed| Movable::painted(&screen.card, "steady", screen.extent(), seed))
        .collect()
}

/// Every other flip has an in-fence. Marks in the list of system calls tell where the steady state
/// begins and ends.
fn flip_thirty_times(screen: &Screen, buffer: impl Fn(usize) -> Mapping<Card>) {
    let timeline = SwSyncTimeline::new();
    let fences: Vec<Fence> = (0..FLIPS).map(|_| signalled_fence(&timeline)).collect();
    let mut null = File::options().write(true).open("/dev/null").unwrap();
    for index in 0..3 {
        screen.show(screen.showing(&buffer(index)));
    }
    let before = screen.card.statistics();
    null.write_all(BEGIN.as_bytes()).unwrap();
    for (index, fence) in fences.iter().enumerate() {
        let fence = (index % 2 == 0).then_some(fence);
        flip(screen, &buffer(index % 3), fence);
    }
    null.write_all(END.as_bytes()).unwrap();
    let after = screen.card.statistics();
    let flips = u64::try_from(FLIPS).unwrap();
    assert_eq!(after.atomic_ioctls - before.atomic_ioctls, flips);
    assert_eq!(after.tests, before.tests);
    assert_eq!(after.flips - before.flips, flips);
}

#[test]
fn thirty_steady_flips() {
    let screen = Screen::new();
    let buffers = three_buffers(&screen);
    flip_thirty_times(&screen, |index| buffers[index].clone());
}

#[test]
fn thirty_steady_flips_of_buffers_that_may_move() {
    let screen = Screen::new();
    let buffers = three_that_may_move(&screen);
    flip_thirty_times(&screen, |index| buffers[index].map());
    let pins: Vec<usize> = buffers.iter().map(|buffer| buffer.pins().len()).collect();
    assert_eq!(pins, [0, 0, 1]);
}

/// Runs one of the tests above under strace and counts.
fn assert_one_ioctl_each(test: &str) {
    let list = std::env::temp_dir().join(format!("strace-{}-{test}", std::process::id()));
    let status = Command::new("strace")
        .args(["-f", "-e", "trace=ioctl,write", "-o"])
        .arg(&list)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .status()
        .expect("strace is in the lab: run this test with `cargo lab test`");
    assert!(status.success(), "{status}");
    let calls = std::fs::read_to_string(&list).unwrap();
    std::fs::remove_file(&list).unwrap();
    let begin = calls.find(BEGIN).expect("the first mark");
    let end = calls.find(END).expect("the second mark");
    let ioctls: Vec<&str> = calls[begin..end]
        .lines()
        .filter(|line| line.contains("ioctl("))
        .collect();
    assert_eq!(ioctls.len(), FLIPS, "{ioctls:#?}");
    for ioctl in ioctls {
        assert!(ioctl.contains("DRM_IOCTL_MODE_ATOMIC"), "{ioctl}");
    }
}

#[test]
fn a_steady_flip_is_one_ioctl() {
    assert_one_ioctl_each("thirty_steady_flips");
}

#[test]
fn so_is_one_of_a_buffer_that_may_move() {
    assert_one_ioctl_each("thirty_steady_flips_of_buffers_that_may_move");
}

fn assert_no_allocation(screen: &Screen, buffer: impl Fn(usize) -> Mapping<Card>) {
    let timeline = SwSyncTimeline::new();
    let fence = signalled_fence(&timeline);
    for index in 0..12 {
        flip(screen, &buffer(index % 3), Some(&fence));
    }
    let allocations = allocation_counter::measure(|| {
        for index in 0..FLIPS {
            flip(screen, &buffer(index % 3), Some(&fence));
        }
    });
    assert_eq!(allocations.count_total, 0, "{allocations:?}");
}

#[test]
fn a_steady_flip_allocates_nothing() {
    let screen = Screen::new();
    let buffers = three_buffers(&screen);
    assert_no_allocation(&screen, |index| buffers[index].clone());
}

#[test]
fn nor_does_one_of_a_buffer_that_may_move() {
    let screen = Screen::new();
    let buffers = three_that_may_move(&screen);
    assert_no_allocation(&screen, |index| buffers[index].map());
}

/// The planes of vkms are not told of damage: a commit with a clip costs what one without it does.
#[test]
fn nor_does_one_with_a_damage_clip() {
    let screen = Screen::new();
    let buffers = three_buffers(&screen);
    let flip = |index: usize| {
        let clip = Rectangle::new(0, 0, 1 + u32::try_from(index).unwrap(), 7);
        let plane = PlaneCommit::primary(&buffers[index % 3]).damage(&[clip]);
        let output = OutputCommit::new(&screen.output).plane(plane);
        let id = screen.card.commit(Commit::new().output(output)).unwrap();
        wait_for_flip(&screen.card, id);
    };
    screen.show(screen.showing(&buffers[0]));
    (0..12).for_each(flip);
    let before = screen.card.statistics();
    let allocations = allocation_counter::measure(|| (0..FLIPS).for_each(flip));
    assert_eq!(allocations.count_total, 0, "{allocations:?}");
    let after = screen.card.statistics();
    let flips = u64::try_from(FLIPS).unwrap();
    assert_eq!(after.atomic_ioctls - before.atomic_ioctls, flips);
}
