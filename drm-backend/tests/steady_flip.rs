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

/// Every other flip has an in-fence. Marks in the list of system calls tell where the steady state
/// begins and ends.
#[test]
fn thirty_steady_flips() {
    let screen = Screen::new();
    let buffers = three_buffers(&screen);
    let timeline = SwSyncTimeline::new();
    let fences: Vec<Fence> = (0..FLIPS).map(|_| signalled_fence(&timeline)).collect();
    let mut null = File::options().write(true).open("/dev/null").unwrap();
    for buffer in &buffers {
        screen.show(screen.showing(buffer));
    }
    let before = screen.card.statistics();
    null.write_all(BEGIN.as_bytes()).unwrap();
    for (index, fence) in fences.iter().enumerate() {
        let fence = (index % 2 == 0).then_some(fence);
        flip(&screen, &buffers[index % 3], fence);
    }
    null.write_all(END.as_bytes()).unwrap();
    let after = screen.card.statistics();
    let flips = u64::try_from(FLIPS).unwrap();
    assert_eq!(after.atomic_ioctls - before.atomic_ioctls, flips);
    assert_eq!(after.tests, before.tests);
    assert_eq!(after.flips - before.flips, flips);
}

/// Runs the test above under strace and counts.
#[test]
fn a_steady_flip_is_one_ioctl() {
    let list = std::env::temp_dir().join(format!("strace-{}", std::process::id()));
    let status = Command::new("strace")
        .args(["-f", "-e", "trace=ioctl,write", "-o"])
        .arg(&list)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "thirty_steady_flips"])
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
fn a_steady_flip_allocates_nothing() {
    let screen = Screen::new();
    let buffers = three_buffers(&screen);
    let timeline = SwSyncTimeline::new();
    let fence = signalled_fence(&timeline);
    for index in 0..12 {
        flip(&screen, &buffers[index % 3], Some(&fence));
    }
    let allocations = allocation_counter::measure(|| {
        for index in 0..FLIPS {
            flip(&screen, &buffers[index % 3], Some(&fence));
        }
    });
    assert_eq!(allocations.count_total, 0, "{allocations:?}");
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
