//! A display follows a buffer that moves: a framebuffer for each memory that it has had.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dmashare::{AccessConstraint, Fourcc, Placements, SoftwareTimeline, Submission};
use dmashare_drm::OutputCommit;
use dmashare_lab_probe::bufinfo;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::movable::*;
use support::*;

fn wrong(screen: &Screen, picture: &Movable, seed: u32) -> usize {
    let captured = screen.capture(screen.showing(&picture.map()), Fourcc::XRGB8888);
    let shown = Shown::whole(seed, Fourcc::XRGB8888, screen.extent());
    wrong_pixels(&captured, shown)
}

#[test]
fn i15_the_picture_is_the_same_from_every_memory() {
    let screen = Screen::new();
    let picture = Movable::painted(&screen.card, "picture", screen.extent(), 3);
    let mut generations = Vec::new();
    for (place, made) in [
        (Placements::HOST, "system"),
        (Placements::SHMEM, "udmabuf"),
        (Placements::HOST, "system"),
        (Placements::SHMEM, "udmabuf"),
    ] {
        picture.move_to(place).unwrap();
        assert_eq!(wrong(&screen, &picture, 3), 0, "in {place}");
        assert_eq!(made_by(&picture.buffer), made);
        assert_eq!(picture.pins(), [screen.scanout()]);
        generations.push(picture.map().backing().generation());
        // Off the screen; it can be evicted.
        screen.show(OutputCommit::new(&screen.output));
        assert!(picture.pins().is_empty());
    }
    assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
    assert_eq!(picture.told(), 3, "once for each memory that was left");
}

/// How many devices the kernel has attached to the dma-buf with this inode, of this name.
fn attached(inode: u64, device: &str) -> usize {
    let all = bufinfo();
    let found = all.iter().find(|known| known.inode == inode);
    found.map_or(0, |known| {
        known.attached.iter().filter(|name| *name == device).count()
    })
}

/// How many dma-bufs of this name there are.
fn named(name: &str) -> usize {
    let all = bufinfo();
    all.iter().filter(|known| known.name == name).count()
}

#[test]
fn a_framebuffer_for_each_generation() {
    let screen = Screen::new();
    let picture = Movable::new(&screen.card, "followed", screen.extent());
    let other = Movable::new(&screen.card, "other", screen.extent());
    screen.show(screen.showing(&other.map()));
    let device = screen.display.device_name();
    let inode = || picture.buffer.backing().dmabuf().id().inode();

    let first = picture.map();
    let (first_inode, first_framebuffer) = (inode(), first.object().id());
    assert!(first.is_same(&picture.map()), "mapped once");
    assert_eq!(screen.display.framebuffers(), 2);
    assert_eq!(attached(first_inode, device), 1);
    screen.show(screen.showing(&first));
    screen.show(screen.showing(&other.map()));

    picture.move_to(Placements::SHMEM).unwrap();
    // Whoever still has the old mapping keeps its framebuffer.
    assert!(first.is_stale());
    assert_eq!(attached(first_inode, device), 1);
    let second = picture.map();
    assert_ne!(second.object().id(), first_framebuffer);
    assert_eq!(attached(inode(), device), 1);
    assert_eq!(screen.display.framebuffers(), 3);
    drop(first);
    assert_eq!(screen.display.framebuffers_after_commits(2), 2);
    assert_eq!(attached(first_inode, device), 0);

    // Without anybody who has it, a move closes it.
    drop(second);
    let second_inode = inode();
    picture.move_to(Placements::HOST).unwrap();
    assert_eq!(screen.display.framebuffers(), 1);
    assert_eq!(attached(second_inode, device), 0);
    assert_eq!(screen.card.open_gem_handles(), 0);
    // The memory that it left waits in the exporter's pool.
    picture.buffer.dispatch();
    assert_eq!(named("followed"), 2);
    drop(picture);
    assert_eq!(named("followed"), 0);
}

#[test]
fn i6_the_old_framebuffer_goes_after_its_fences() {
    let screen = Screen::new();
    let picture = Movable::new(&screen.card, "picture", screen.extent());
    let timeline = SoftwareTimeline::new("a worker thread");
    let read = Submission::begin([picture.map().read()]).unwrap();
    read.commit(&timeline.fence(1));
    let wanted = AccessConstraint::placements(Placements::SHMEM);
    let moved = picture.buffer.move_to(&wanted).unwrap();
    // The attachment has let go of it, and it is still used.
    screen.card.dispatch().unwrap();
    assert_eq!(screen.display.framebuffers(), 1);
    timeline.signal(1);
    moved.wait(LIMIT).unwrap();
    screen.card.dispatch().unwrap();
    assert_eq!(screen.display.framebuffers(), 0);
}

#[test]
fn a_flag_is_all_that_a_program_needs() {
    let screen = Screen::new();
    let buffer = movable("picture", screen.extent());
    paint(buffer.backing().dmabuf(), 8);
    let moved = Arc::new(AtomicBool::new(false));
    let scanout = buffer.attach_dynamic(&screen.card, moved.clone()).unwrap();
    screen.show(screen.showing(&scanout.map().unwrap()));
    screen.show(OutputCommit::new(&screen.output));
    assert!(!moved.load(Ordering::Acquire));
    move_to(&buffer, Placements::SHMEM).unwrap();
    assert!(moved.swap(false, Ordering::AcqRel));
    let mapping = scanout.map().unwrap();
    let captured = screen.capture(screen.showing(&mapping), Fourcc::XRGB8888);
    let shown = Shown::whole(8, Fourcc::XRGB8888, screen.extent());
    assert_eq!(wrong_pixels(&captured, shown), 0);
}

/// One thread flips buffers, another moves whichever can be moved: no flip shows memory that was
/// left, and no buffer moves while it is shown.
#[test]
fn i2_moves_and_flips_at_once() {
    let screen = Screen::new();
    let pictures: Vec<Movable> = (0..3)
        .map(|seed| Movable::painted(&screen.card, "picture", screen.extent(), seed))
        .collect();
    screen.show(screen.showing(&pictures[0].map()));
    let done = AtomicBool::new(false);
    let (mut refused, mut moved) = (0, 0);
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            let (mut refused, mut moved) = (0, 0);
            for index in (0..pictures.len()).cycle() {
                if done.load(Ordering::Acquire) {
                    break;
                }
                let picture = &pictures[index];
                let here = picture.buffer.backing().placement();
                let place = (Placements::HOST | Placements::SHMEM) - here.into();
                match picture.move_to(place) {
                    Ok(_) => moved += 1,
                    Err(dmashare::MoveError::Pinned { .. }) => refused += 1,
                    Err(error) => panic!("{error:?}"),
                }
                std::thread::yield_now();
            }
            (refused, moved)
        });
        let mut flips = 0;
        let mut stale = 0;
        while flips < 60 {
            let picture = &pictures[(flips + 1) % 3];
            match screen.card.present(&screen.output, &picture.map(), None) {
                Ok(id) => {
                    let generation = picture.map().backing().generation();
                    wait_for_flip(&screen.card, id);
                    let report = picture.buffer.report();
                    assert_eq!(report.generation, generation, "{report}");
                    assert!(!report.pins.is_empty(), "{report}");
                    flips += 1;
                }
                // It has moved since it was mapped, or does now.
                Err(
                    dmashare_drm::CommitError::Submit(dmashare::SubmitError::Stale { .. })
                    | dmashare_drm::CommitError::Pin(dmashare::PinError::Moving { .. }),
                ) => stale += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        done.store(true, Ordering::Release);
        (refused, moved) = mover.join().unwrap();
        eprintln!("{moved} moves, {refused} refused; {stale} flips began anew");
    });
    assert!(moved > 0 && refused > 0, "{moved} moves, {refused} refused");
    for (seed, picture) in (0..).zip(&pictures) {
        assert_eq!(wrong(&screen, picture, seed), 0);
    }
}
