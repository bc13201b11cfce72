//! The lab's displays (vkms).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dmashare::Mapping;
use dmashare_drm::{Card, Commit, Event, Output, OutputCommit, PlaneCommit};
use dmashare_lab_probe::VkmsDisplay;

use super::cards;

/// A display of a test's own that cannot capture what it shows.
pub fn without_writeback() -> VkmsDisplay {
    let display = VkmsDisplay::new();
    let folder = Path::new("/sys/kernel/config/vkms").join(display.device_name());
    // A display's parts can be changed only while it is off.
    for (file, value) in [
        ("enabled", "0"),
        ("crtcs/crtc0/writeback", "0"),
        ("enabled", "1"),
    ] {
        fs::write(folder.join(file), value).unwrap();
    }
    display
}

/// What the card's display shows, as the kernel tells it: whether it is on, and which plane shows
/// which framebuffer.
pub fn kms_state(card: &str) -> String {
    let number = card.trim_start_matches("/dev/dri/card");
    let path = format!("/sys/kernel/debug/dri/{number}/state");
    let state = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}; run this test with `cargo lab test`"));
    let telling = ["active=", "enable=", "crtc=", "fb="];
    state
        .lines()
        .map(str::trim)
        .filter(|line| telling.iter().any(|part| line.starts_with(part)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A card of the lab with its connected output.
pub fn open_display(index: usize) -> (Card, Output) {
    let card = Card::open(&cards("vkms")[index]).unwrap();
    let outputs = card.outputs().unwrap();
    let output = outputs.into_iter().find(Output::is_connected).unwrap();
    (card, output)
}

/// Shows planes on a screen as large as the target, and waits until the display has captured that into
/// the target.
#[track_caller]
pub fn show(card: &Card, output: &Output, planes: Vec<PlaneCommit>, target: &Mapping<Card>) {
    let mode = target.object().extent().to_string();
    let mode = output.mode(&mode).unwrap();
    let mut commit = OutputCommit::new(output).mode(mode).writeback(target);
    for plane in planes {
        commit = commit.plane(plane);
    }
    let commit = card.commit(Commit::new().output(commit)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut flipped, mut written) = (false, false);
    while !(flipped && written) {
        assert!(
            Instant::now() < deadline,
            "flipped: {flipped}, written: {written}"
        );
        for event in card.wait_events(Duration::from_millis(100)).unwrap() {
            match event {
                Event::Flip { commit: of, .. } => flipped |= of == commit,
                Event::Written { commit: of, .. } => written |= of == commit,
                _ => {}
            }
        }
    }
}
