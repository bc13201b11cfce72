//! Rotation and color as vkms composes them, typed refusals for what its planes lack, and what a
//! commit that changes little must still do.
#![allow(clippy::unwrap_used)]

use dmashare::{AlphaMode, Extent, Fourcc, Mapping};
use dmashare_drm::{
    Card, Commit, CommitError, Event, OutputCommit, PlaneCommit, PlaneKind, PlaneProperty,
    Rectangle, Rotation,
};

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::composed::{FORMAT, Pixels, colors, seen};
use support::*;

/// A picture as it was painted.
fn painting(seed: u32, extent: Extent) -> Pixels {
    let bytes = extent.width as usize * 4;
    let rows = 0..extent.height;
    rows.map(|y| colors(&row(seed, y, bytes))).collect()
}

/// Mirrors first, then turns by quarters counter-clockwise.
fn turned(picture: &Pixels, quarters: usize, reflect_x: bool, reflect_y: bool) -> Pixels {
    let mut picture = picture.clone();
    if reflect_x {
        picture.iter_mut().for_each(|row| row.reverse());
    }
    if reflect_y {
        picture.reverse();
    }
    for _ in 0..quarters {
        // The last column becomes the first row.
        let columns = (0..picture[0].len()).rev();
        let column = |x: usize| picture.iter().map(|row| row[x]).collect();
        picture = columns.map(column).collect();
    }
    picture
}

/// Counts the pixels that are not as in the picture at its place, or not black elsewhere.
fn wrong(seen: &Pixels, picture: &Pixels, at: (usize, usize)) -> usize {
    let expected = |x: usize, y: usize| {
        let row = picture.get(y.checked_sub(at.1)?)?;
        row.get(x.checked_sub(at.0)?).copied()
    };
    let rows = seen.iter().enumerate();
    let pixels =
        rows.flat_map(|(y, row)| row.iter().enumerate().map(move |(x, seen)| (x, y, seen)));
    pixels
        .filter(|(x, y, seen)| **seen != expected(*x, *y).unwrap_or_default())
        .count()
}

fn picture(screen: &Screen, extent: Extent, seed: u32) -> Mapping<Card> {
    let name = format!("picture {seed}");
    let dumb = screen.card.dumb_buffers();
    map(&painted(&dumb, &name, FORMAT, extent, seed), &screen.card)
}

fn on(screen: &Screen, plane: PlaneCommit) -> OutputCommit {
    OutputCommit::new(&screen.output)
        .mode(screen.mode)
        .plane(plane)
}

fn all_rotations() -> Vec<(Rotation, usize, bool, bool)> {
    let quarters = [
        Rotation::ROTATE_0,
        Rotation::ROTATE_90,
        Rotation::ROTATE_180,
        Rotation::ROTATE_270,
    ];
    let mut all = Vec::new();
    for (quarter, rotation) in quarters.into_iter().enumerate() {
        all.push((rotation, quarter, false, false));
        all.push((rotation.reflect_x(), quarter, true, false));
        all.push((rotation.reflect_y(), quarter, false, true));
        all.push((rotation.reflect_x().reflect_y(), quarter, true, true));
    }
    all
}

#[test]
fn every_rotation_is_shown() {
    let screen = Screen::new();
    let extent = Extent::new(64, 48);
    let mapping = picture(&screen, extent, 1);
    let painting = painting(1, extent);
    for (rotation, quarters, reflect_x, reflect_y) in all_rotations() {
        let plane = PlaneCommit::primary(&mapping).rotation(rotation);
        let captured = screen.capture(on(&screen, plane), FORMAT);
        let expected = turned(&painting, quarters, reflect_x, reflect_y);
        assert_eq!(wrong(&seen(&captured), &expected, (0, 0)), 0, "{rotation}");
    }
}

/// The rectangle is one of the buffer, before it is turned.
#[test]
fn a_part_of_a_buffer_is_turned() {
    let screen = Screen::new();
    let mapping = picture(&screen, Extent::new(200, 100), 2);
    let plane = PlaneCommit::primary(&mapping)
        .source(Rectangle::new(11, 22, 60, 30))
        .destination(Rectangle::new(100, 50, 30, 60))
        .rotation(Rotation::ROTATE_90);
    let captured = screen.capture(on(&screen, plane), FORMAT);
    let whole = painting(2, Extent::new(200, 100));
    let part = whole[22..52].iter().map(|row| row[11..71].to_vec());
    let expected = turned(&part.collect(), 1, false, false);
    assert_eq!(wrong(&seen(&captured), &expected, (100, 50)), 0);
}

/// What does not change is not set again, and stays; what changes is checked by the driver once.
#[test]
fn flips_keep_the_rotation_and_later_commits_take_it_back() {
    let screen = Screen::new();
    let extent = Extent::new(64, 48);
    let buffers = [3, 4].map(|seed| picture(&screen, extent, seed));
    let upside_down =
        |index: usize| PlaneCommit::primary(&buffers[index]).rotation(Rotation::ROTATE_180);
    screen.show(on(&screen, upside_down(0)));
    let before = screen.card.statistics();
    screen.show(on(&screen, upside_down(1)));
    screen.show(on(&screen, upside_down(0)));
    assert_eq!(screen.card.statistics().tests, before.tests);
    // The capture is of the CRTC: the plane's configuration is still the same.
    let captured = screen.capture(on(&screen, upside_down(1)), FORMAT);
    let expected = turned(&painting(4, extent), 2, false, false);
    assert_eq!(wrong(&seen(&captured), &expected, (0, 0)), 0);

    let before = screen.card.statistics();
    screen.show(screen.showing(&buffers[0]));
    screen.show(screen.showing(&buffers[1]));
    assert_eq!(screen.card.statistics().tests, before.tests + 1);
    let captured = screen.capture(screen.showing(&buffers[0]), FORMAT);
    assert_eq!(wrong(&seen(&captured), &painting(3, extent), (0, 0)), 0);
    assert!(screen.display.state().contains("rotation=1\n"));
}

/// A plane that is the same while the mode changes.
#[test]
fn a_plane_survives_a_change_of_mode() {
    let screen = Screen::new();
    let extent = Extent::new(64, 48);
    let mapping = picture(&screen, extent, 5);
    screen.show(screen.showing(&mapping));
    let other = Screen {
        mode: screen.output.mode("800x600").unwrap(),
        ..screen
    };
    let captured = other.capture(other.showing(&mapping), FORMAT);
    assert_eq!(wrong(&seen(&captured), &painting(5, extent), (0, 0)), 0);
    // Off and on again: nothing is left of before.
    other.show(OutputCommit::off(&other.output));
    let captured = other.capture(other.showing(&mapping), FORMAT);
    assert_eq!(wrong(&seen(&captured), &painting(5, extent), (0, 0)), 0);
}

/// Another program's rotation does not reach this one's picture, nor the other way round.
#[test]
fn another_programs_rotation_is_not_inherited() {
    let screen = Screen::new();
    let extent = Extent::new(64, 48);
    let mapping = picture(&screen, extent, 6);
    let mirrored = PlaneCommit::primary(&mapping).rotation(Rotation::ROTATE_0.reflect_x());
    screen.show(on(&screen, mirrored.clone()));
    screen.card.release_master().unwrap();
    {
        let card = Card::open(screen.display.node()).unwrap();
        let second = picture_on(&card, extent, 7);
        let output = connected(&card).remove(0);
        let plain = || {
            OutputCommit::new(&output)
                .mode(screen.mode)
                .plane(PlaneCommit::primary(&second))
        };
        let target = buffer(&card.dumb_buffers(), "target", FORMAT, screen.extent());
        let captured = plain().writeback(&map(&target, &card));
        let id = card.commit(Commit::new().output(captured)).unwrap();
        wait_for_capture(&card, id);
        assert_eq!(wrong(&seen(&target), &painting(7, extent), (0, 0)), 0);
    }
    // It came back mirrored, as it was.
    screen.card.acquire_master().unwrap();
    let captured = screen.capture(on(&screen, mirrored), FORMAT);
    let expected = turned(&painting(6, extent), 0, true, false);
    assert_eq!(wrong(&seen(&captured), &expected, (0, 0)), 0);
    let display = screen.display;
    drop((screen.card, screen.output, mapping));
    let state = display.state();
    assert!(!state.contains("rotation=11"), "{state}");
    assert!(!state.contains("active=1"), "{state}");
}

fn picture_on(card: &Card, extent: Extent, seed: u32) -> Mapping<Card> {
    map(
        &painted(&card.dumb_buffers(), "second", FORMAT, extent, seed),
        card,
    )
}

#[test]
fn what_vkms_lacks_is_refused_by_name() {
    let screen = Screen::new();
    let mapping = picture(&screen, screen.extent(), 8);
    screen.show(screen.showing(&mapping));
    let dumb = screen.card.dumb_buffers();
    let straight = map(
        &buffer(&dumb, "straight", Fourcc::ARGB8888, screen.extent()),
        &screen.card,
    );
    let asked = [
        (
            PlaneProperty::Alpha,
            PlaneCommit::primary(&mapping).alpha(0x8000),
        ),
        (PlaneProperty::Zpos, PlaneCommit::primary(&mapping).zpos(1)),
        (
            PlaneProperty::PixelBlendMode,
            PlaneCommit::primary(&straight).pixel_blend_mode(AlphaMode::Coverage),
        ),
    ];
    let plane = screen.output.primary_plane().unwrap();
    assert!(plane.has(PlaneProperty::Rotation) && !plane.has(PlaneProperty::FbDamageClips));
    let before = screen.card.statistics();
    for (expected, commit) in asked {
        assert!(
            !plane.has(expected),
            "vkms has {expected} now: test that it works"
        );
        let result = screen
            .card
            .commit(Commit::new().output(on(&screen, commit)));
        let Err(CommitError::PlaneProperty {
            plane: refused,
            property,
            available: None,
            ..
        }) = result
        else {
            panic!("{expected}: {result:?}");
        };
        assert_eq!((refused, property), (plane.id(), expected));
    }
    assert_eq!(screen.card.statistics(), before);
    // What planes without the property do anyway is not refused.
    let usual = PlaneCommit::primary(&straight)
        .alpha(0xffff)
        .pixel_blend_mode(AlphaMode::PreMultiplied);
    screen.show(on(&screen, usual));
}

/// vkms has no use for it: it is not sent, and a commit with it is the same as one without.
#[test]
fn damage_is_a_hint() {
    let screen = Screen::new();
    let buffers = [9, 10].map(|seed| picture(&screen, screen.extent(), seed));
    screen.show(screen.showing(&buffers[0]));
    let before = screen.card.statistics();
    for (index, width) in [(1, 1), (0, 640)] {
        let clips = [Rectangle::new(0, 0, width, 480), Rectangle::new(0, 7, 1, 1)];
        screen.show(on(
            &screen,
            PlaneCommit::primary(&buffers[index]).damage(&clips),
        ));
    }
    let after = screen.card.statistics();
    assert_eq!(after.atomic_ioctls, before.atomic_ioctls + 2);
    for clip in [
        Rectangle::new(0, 0, 641, 1),
        Rectangle::new(0, 0, 0, 1),
        Rectangle::new(-1, 0, 1, 1),
    ] {
        let plane = PlaneCommit::primary(&buffers[0]).damage(&[clip]);
        let result = screen.card.commit(Commit::new().output(on(&screen, plane)));
        assert!(
            matches!(result, Err(CommitError::Damage { .. })),
            "{result:?}"
        );
    }
    assert_eq!(screen.card.statistics(), after);
}

/// An output that shows nothing, and does so again.
#[test]
fn a_commit_that_changes_nothing_flips() {
    let screen = Screen::new();
    let empty = || OutputCommit::new(&screen.output).mode(screen.mode);
    for _ in 0..3 {
        screen.show(empty());
    }
    let mapping = picture(&screen, screen.extent(), 11);
    for _ in 0..3 {
        screen.show(screen.showing(&mapping));
    }
    let (id, fences) = screen
        .card
        .commit_with_out_fences(Commit::new().output(screen.showing(&mapping)))
        .unwrap();
    let flip = wait_for_flip(&screen.card, id);
    assert!(matches!(flip, Event::Flip { output, .. } if output == screen.output.id()));
    fences[0].1.wait(LIMIT).unwrap();
}

/// Another program was master meanwhile: what this one no longer shows is free all the same.
#[test]
fn an_overlay_that_is_gone_after_another_master_is_free() {
    let screen = Screen::new();
    let extent = Extent::new(64, 48);
    let under = picture(&screen, screen.extent(), 12);
    let overlay = screen.output.planes();
    let overlay = overlay
        .iter()
        .find(|plane| plane.kind() == PlaneKind::Overlay);
    let over = painted(&screen.card.dumb_buffers(), "over", FORMAT, extent, 13);
    let mapping = map(&over, &screen.card);
    screen.show(
        screen
            .showing(&under)
            .plane(PlaneCommit::on(overlay.unwrap(), &mapping)),
    );
    assert!(!is_free(&over));
    screen.card.release_master().unwrap();
    screen.card.acquire_master().unwrap();
    screen.show(screen.showing(&under));
    wait_until_free(&screen.card, &over);
    let captured = screen.capture(screen.showing(&under), FORMAT);
    let expected = painting(12, screen.extent());
    assert_eq!(wrong(&seen(&captured), &expected, (0, 0)), 0);
}
