//! Displays that are unplugged while they show something.
#![allow(clippy::unwrap_used)]

use dmashare::Fourcc;
use dmashare_drm::{Card, Commit, CommitError, Event, OutputCommit};

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

fn wait_for_hotplug(card: &Card) {
    wait_for(card, |event| matches!(event, Event::Hotplug { .. }));
}

#[test]
fn a_display_that_is_unplugged_and_plugged_in_again() {
    let mut screen = Screen::new();
    let dumb = screen.card.dumb_buffers();
    let buffers = [1, 2].map(|seed| {
        let buffer = painted(&dumb, "picture", Fourcc::XRGB8888, screen.extent(), seed);
        (map(&buffer, &screen.card), buffer)
    });
    screen.show(screen.showing(&buffers[0].0));

    screen.display.plug(0, false);
    wait_for_hotplug(&screen.card);
    let outputs = screen.card.outputs().unwrap();
    assert!(!outputs[0].is_connected() && outputs[0].modes().is_empty());

    // What is on goes on: no flip hangs, and buffers come free.
    for round in 0..6 {
        let id = screen
            .card
            .present(&screen.output, &buffers[round % 2].0, None)
            .unwrap();
        wait_for_flip(&screen.card, id);
        wait_until_free(&screen.card, &buffers[(round + 1) % 2].1);
    }
    // What would need the display says so.
    let other = screen.output.mode("800x600").unwrap();
    let commit = Commit::new().output(screen.showing(&buffers[0].0).mode(other));
    let result = screen.card.commit(commit);
    assert!(
        matches!(&result, Err(CommitError::Disconnected { output }) if output == screen.output.name()),
        "{result:?}"
    );
    screen.show(OutputCommit::off(&screen.output));
    assert!(buffers.iter().all(|(_, buffer)| is_free(buffer)));
    let result = screen.card.present(&screen.output, &buffers[0].0, None);
    assert!(
        matches!(result, Err(CommitError::Disconnected { .. })),
        "{result:?}"
    );

    screen.display.plug(0, true);
    wait_for_hotplug(&screen.card);
    screen.output = connected(&screen.card).remove(0);
    let captured = screen.capture(screen.showing(&buffers[1].0), Fourcc::XRGB8888);
    let shown = Shown::whole(2, Fourcc::XRGB8888, screen.extent());
    assert_eq!(wrong_pixels(&captured, shown), 0);
}

#[test]
fn a_hotplug_of_another_card_is_not_told() {
    let (screen, other) = (Screen::new(), Screen::new());
    other.display.plug(0, false);
    wait_for_hotplug(&other.card);
    assert!(screen.card.dispatch().unwrap().is_empty());
    other.display.plug(0, true);
    wait_for_hotplug(&other.card);
    assert!(screen.card.dispatch().unwrap().is_empty());
}

#[test]
fn an_output_that_was_not_there_at_first() {
    let display = dmashare_lab_probe::VkmsDisplay::with_outputs(2);
    display.plug(1, false);
    let card = Card::open(display.node()).unwrap();
    assert_eq!(connected(&card).len(), 1);
    display.plug(1, true);
    wait_for_hotplug(&card);
    let outputs = connected(&card);
    assert_eq!(outputs.len(), 2);
    let dumb = card.dumb_buffers();
    for output in &outputs {
        let mode = output.mode("640x480").unwrap();
        let buffer = buffer(&dumb, "picture", Fourcc::XRGB8888, mode.extent());
        let commit = OutputCommit::new(output)
            .mode(mode)
            .plane(dmashare_drm::PlaneCommit::primary(&map(&buffer, &card)));
        let id = card.commit(Commit::new().output(commit)).unwrap();
        wait_for_flip(&card, id);
    }
}
