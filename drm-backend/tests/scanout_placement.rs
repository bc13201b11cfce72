//! Buffers go to where a display can scan out before they are shown.
#![allow(clippy::unwrap_used)]

use dmashare::host::DmaHeap;
use dmashare::{
    AccessConstraint, AttachError, Fourcc, MapError, Mapping, Modifier, MoveError, PinError,
    Placements, SharedBuffer,
};
use dmashare_drm::{Card, Commit, OutputCommit};

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::movable::*;
use support::*;

const SEED: u32 = 5;

/// A display that scans out from some memory only.
fn screen(constraint: AccessConstraint) -> Screen {
    let screen = Screen::new();
    assert_eq!(
        screen.card.scanout_constraint(),
        AccessConstraint::default()
    );
    screen.card.set_scanout_constraint(constraint.clone());
    assert_eq!(screen.card.scanout_constraint(), constraint);
    screen
}

fn shmem() -> AccessConstraint {
    AccessConstraint::placements(Placements::SHMEM)
}

fn wide() -> AccessConstraint {
    let mut constraint = AccessConstraint::default();
    constraint.stride_alignment = 1024;
    constraint
}

fn nowhere() -> AccessConstraint {
    AccessConstraint::placements(Placements::DEVICE)
}

/// A modifier that no exporter in the lab has.
fn tiled() -> AccessConstraint {
    let mut constraint = AccessConstraint::default();
    constraint.modifiers = Some(vec![Modifier::new(0x0100_0000_0000_0001)]);
    constraint
}

fn picture(screen: &Screen) -> SharedBuffer {
    let buffer = movable("picture", screen.extent());
    paint(buffer.backing().dmabuf(), SEED);
    assert_eq!(made_by(&buffer), "system");
    assert_eq!(stride(&buffer), 2560);
    buffer
}

fn stride(buffer: &SharedBuffer) -> u32 {
    buffer.backing().dmabuf().layout().planes()[0].stride
}

/// What the display composes is the picture. The target is a buffer of the display's own, which its
/// demand does not concern here.
fn assert_shows(screen: &Screen, mapping: &Mapping<Card>) {
    screen
        .card
        .set_scanout_constraint(AccessConstraint::default());
    let captured = screen.capture(screen.showing(mapping), Fourcc::XRGB8888);
    let shown = Shown::whole(SEED, Fourcc::XRGB8888, screen.extent());
    assert_eq!(wrong_pixels(&captured, shown), 0);
}

#[test]
fn a_static_attachment_moves_the_buffer_first() {
    let screen = screen(shmem());
    let buffer = picture(&screen);
    let mapping = map(&buffer, &screen.card);
    assert_eq!(made_by(&buffer), "udmabuf");
    assert_eq!(buffer.report().moves, 1);
    assert_shows(&screen, &mapping);
}

#[test]
fn a_map_moves_the_buffer_first() {
    let screen = screen(shmem());
    let picture = Movable::of(picture(&screen), &screen.card);
    assert_eq!(
        made_by(&picture.buffer),
        "system",
        "attached, and not mapped yet"
    );
    let mapping = picture.map();
    assert_eq!(made_by(&picture.buffer), "udmabuf");
    assert_shows(&screen, &mapping);
    picture.assert_held_by(&[&screen.scanout()]);
    // Whoever moves it away again has the next map bring it back.
    screen.show(OutputCommit::new(&screen.output));
    picture.move_to(Placements::HOST).unwrap();
    assert_eq!(picture.told(), 1);
    let mapping = picture.map();
    assert_eq!(made_by(&picture.buffer), "udmabuf");
    assert_shows(&screen, &mapping);
}

#[test]
fn a_pin_moves_the_buffer_first() {
    let screen = screen(shmem());
    let picture = Movable::of(picture(&screen), &screen.card);
    let pin = picture.scanout.pin("a cursor").unwrap();
    assert_eq!(made_by(&picture.buffer), "udmabuf");
    assert_eq!(picture.pins(), ["a cursor"]);
    assert_shows(&screen, &picture.map());
    assert_eq!(picture.pins(), ["a cursor", &screen.scanout()]);
    drop(pin);
    picture.assert_held_by(&[&screen.scanout()]);
}

#[test]
fn a_stride_may_be_a_reason_to_move() {
    for dynamic in [false, true] {
        let screen = screen(wide());
        let buffer = picture(&screen);
        let mapping = if dynamic {
            Movable::of(buffer.clone(), &screen.card).map()
        } else {
            map(&buffer, &screen.card)
        };
        assert_eq!(
            (stride(&buffer), made_by(&buffer).as_str()),
            (3072, "system")
        );
        assert_shows(&screen, &mapping);
    }
}

#[test]
fn what_fits_already_stays() {
    let screen = screen(AccessConstraint::placements(
        Placements::HOST | Placements::SHMEM,
    ));
    let buffer = picture(&screen);
    let mapping = map(&buffer, &screen.card);
    assert_eq!(
        (made_by(&buffer).as_str(), buffer.report().moves),
        ("system", 0)
    );
    assert_shows(&screen, &mapping);
}

#[test]
fn i13_a_static_exporter_is_refused_by_what_is_wrong() {
    for (constraint, reason) in [(shmem(), "memfd"), (wide(), "1024"), (tiled(), "modifier")] {
        let screen = screen(constraint);
        let heap = DmaHeap::open("system").unwrap();
        let buffer = buffer(&heap, "fixed", Fourcc::XRGB8888, screen.extent());
        let before = buffer.report();
        let fixed = buffer.attach(&screen.card).unwrap_err();
        let told = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let following = buffer.attach_dynamic(&screen.card, told).unwrap_err();
        for error in [fixed, following] {
            let AttachError::Unreachable { reason: why, .. } = &error else {
                panic!("{error:?}");
            };
            assert!(why.contains(reason), "{error}");
        }
        let mut after = buffer.report();
        after.refusals = before.refusals;
        assert_eq!(after, before);
        assert_eq!(screen.display.framebuffers(), 0);
        assert_eq!(screen.card.open_gem_handles(), 0);
    }
}

#[test]
fn i13_a_place_that_the_exporter_lacks_is_refused() {
    let screen = screen(nowhere());
    let buffer = picture(&screen);
    let before = buffer.report();
    let fixed = buffer.attach(&screen.card).unwrap_err();
    let told = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let following = buffer.attach_dynamic(&screen.card, told).unwrap_err();
    for error in [fixed, following] {
        assert!(
            matches!(error, AttachError::Unreachable { .. }),
            "{error:?}"
        );
    }
    assert_unchanged(&screen, &buffer, &before);
}

#[test]
fn i13_a_layout_that_the_exporter_lacks_is_refused() {
    let screen = screen(tiled());
    let buffer = picture(&screen);
    let before = buffer.report();
    let error = buffer.attach(&screen.card).unwrap_err();
    let AttachError::Move { source, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(**source, MoveError::Export { .. }), "{error:?}");
    assert_unchanged(&screen, &buffer, &before);

    let picture = Movable::of(buffer.clone(), &screen.card);
    let before = buffer.report();
    let error = picture.scanout.map().unwrap_err();
    let MapError::Move { source } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(**source, MoveError::Export { .. }), "{error:?}");
    let error = picture.scanout.pin("a cursor").unwrap_err();
    let PinError::Move { source } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(**source, MoveError::Export { .. }), "{error:?}");
    assert_eq!(picture.told(), 0);
    assert_unchanged(&screen, &buffer, &before);
}

fn assert_unchanged(screen: &Screen, buffer: &SharedBuffer, before: &dmashare::BufferReport) {
    let mut after = buffer.report();
    after.refusals = before.refusals;
    assert_eq!(after, *before);
    assert_eq!(buffer.pins(), 0);
    assert_eq!(screen.display.framebuffers(), 0);
    assert_eq!(screen.card.open_gem_handles(), 0);
    // And it can be used where nothing is demanded of it.
    let other = Screen::new();
    let picture = Movable::of(buffer.clone(), &other.card);
    other.show(other.showing(&picture.map()));
    assert_eq!(made_by(buffer), "system");
}

#[test]
fn i2_what_one_display_shows_does_not_move_for_another() {
    let showing = Screen::new();
    let wanting = screen(shmem());
    let shown = Movable::of(picture(&showing), &showing.card);
    showing.show(showing.showing(&shown.map()));
    let wanted = Movable::of(shown.buffer.clone(), &wanting.card);
    let before = (shown.buffer.report().generation, shown.told());
    let error = wanted.scanout.map().unwrap_err();
    let MapError::Move { source } = &error else {
        panic!("{error:?}");
    };
    let MoveError::Pinned { pins, .. } = &**source else {
        panic!("{error:?}");
    };
    assert_eq!((pins.len(), &*pins[0].label), (1, &*showing.scanout()));
    let error = wanted.scanout.pin("a cursor").unwrap_err();
    assert!(matches!(error, PinError::Move { .. }), "{error:?}");
    assert_eq!((shown.buffer.report().generation, shown.told()), before);
    shown.assert_held_by(&[&showing.scanout()]);
    // When it is off the screen, both can have it where the second wants it.
    showing.show(OutputCommit::off(&showing.output));
    wanting.show(wanting.showing(&wanted.map()));
    assert_eq!(made_by(&shown.buffer), "udmabuf");
    assert_shows(&showing, &shown.map());
    assert_eq!(shown.pins().len(), 2);
    assert_shows(&wanting, &wanted.map());
}

/// Memory that nobody moves to where the display reads it is not what a capture writes, either.
#[test]
fn a_target_goes_where_the_display_writes() {
    let screen = screen(shmem());
    let source = Movable::of(picture(&screen), &screen.card);
    let target = Movable::new(&screen.card, "target", screen.extent());
    let output = screen.showing(&source.map()).writeback(&target.map());
    let id = screen.card.commit(Commit::new().output(output)).unwrap();
    assert_eq!(made_by(&target.buffer), "udmabuf");
    wait_for_capture(&screen.card, id);
    let shown = Shown::whole(SEED, Fourcc::XRGB8888, screen.extent());
    assert_eq!(wrong_pixels(&target.buffer, shown), 0);
}
