//! What was shown before comes back: on drop, while a panic unwinds, and on SIGTERM of a program that
//! is stuck.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dmashare::{Fourcc, Mapping};
use dmashare_drm::{Card, Commit, OutputCommit, PlaneCommit, Signal};
use nix::sys::signal::kill;
use nix::unistd::Pid;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

const CARD: &str = "DMASHARE_TEST_CARD";
const RESTORES: &str = "DMASHARE_TEST_RESTORES";

/// What is on, as the kernel tells it: framebuffers, rectangles, modes, and what drives what.
fn on(screen: &Screen) -> Vec<String> {
    let wanted = ["fb=", "crtc-pos", "src-pos", "mode:", "active=", "crtc="];
    let state = screen.display.state();
    let lines = state.lines().map(str::trim);
    lines
        .filter(|line| wanted.iter().any(|wanted| line.starts_with(wanted)))
        .map(str::to_owned)
        .collect()
}

/// A program's picture, which is then left by its program: another one may take over.
fn previous() -> (Screen, Mapping<Card>, Vec<String>) {
    let screen = Screen::new();
    let dumb = screen.card.dumb_buffers();
    let buffer = painted(&dumb, "previous", Fourcc::XRGB8888, screen.extent(), 1);
    let mapping = map(&buffer, &screen.card);
    screen.show(screen.showing(&mapping));
    screen.card.release_master().unwrap();
    let on = on(&screen);
    (screen, mapping, on)
}

/// Another program's picture in another mode.
fn take_over(node: &Path) -> Card {
    let card = Card::open(node).unwrap();
    let output = connected(&card).remove(0);
    let mode = output.mode("800x600").unwrap();
    let buffer = buffer(
        &card.dumb_buffers(),
        "next",
        Fourcc::XRGB8888,
        mode.extent(),
    );
    let plane = PlaneCommit::primary(&map(&buffer, &card));
    let commit = Commit::new().output(OutputCommit::new(&output).mode(mode).plane(plane));
    let id = card.commit(commit).unwrap();
    wait_for_flip(&card, id);
    card
}

#[test]
fn on_drop() {
    let (screen, mapping, before) = previous();
    let card = take_over(&screen.display.node());
    assert_ne!(on(&screen), before);
    drop(card);
    assert_eq!(on(&screen), before);
    // It is really the picture, and its program can go on.
    screen.card.acquire_master().unwrap();
    let captured = screen.capture(screen.showing(&mapping), Fourcc::XRGB8888);
    let shown = Shown::whole(1, Fourcc::XRGB8888, screen.extent());
    assert_eq!(wrong_pixels(&captured, shown), 0);
}

#[test]
fn while_a_panic_unwinds() {
    let (screen, _mapping, before) = previous();
    let node = screen.display.node();
    let unwound = std::panic::catch_unwind(|| {
        let _card = take_over(&node);
        panic!("on purpose");
    });
    assert!(unwound.is_err());
    assert_eq!(on(&screen), before);
}

#[test]
fn what_was_off_goes_off() {
    let screen = Screen::new();
    let before = on(&screen);
    let Screen { card, display, .. } = screen;
    drop(card);
    let card = take_over(&display.node());
    drop(card);
    let output = Card::inspect(display.node()).unwrap();
    let screen = Screen {
        output: connected(&output).remove(0),
        mode: connected(&output)[0].mode("640x480").unwrap(),
        card: output,
        display,
    };
    assert_eq!(on(&screen), before);
}

#[test]
fn when_the_previous_picture_is_gone_the_screen_goes_off() {
    let (screen, mapping, _) = previous();
    let card = take_over(&screen.display.node());
    let Screen {
        card: previous,
        display,
        ..
    } = screen;
    drop((mapping, previous));
    // The kernel lets go of a framebuffer some time after the flip event of what replaced it.
    let deadline = Instant::now() + LIMIT;
    while display.framebuffers() > 1 {
        assert!(Instant::now() < deadline, "the previous framebuffer stays");
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(card);
    let state = display.state();
    assert!(!state.contains("active=1"), "{state}");
    assert_eq!(display.framebuffers_after_commits(0), 0);
}

/// The other program, as a process: shows its picture and is stuck. Without the variable it takes a
/// display of its own, for a moment.
#[test]
fn a_program_that_is_stuck() {
    let Some(node) = std::env::var_os(CARD).map(PathBuf::from) else {
        let (screen, _mapping, before) = previous();
        drop(take_over(&screen.display.node()));
        assert_eq!(on(&screen), before);
        return;
    };
    let card = take_over(&node);
    if std::env::var_os(RESTORES).is_some() {
        card.restore_on_signals(&[Signal::SIGTERM, Signal::SIGINT])
            .unwrap();
    }
    writeln!(std::io::stderr(), "shown").unwrap();
    loop {
        std::thread::park();
    }
}

fn stuck(screen: &Screen, restores: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "a_program_that_is_stuck", "--nocapture"])
        .env(CARD, screen.display.node())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if restores {
        command.env(RESTORES, "1");
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    let shown = lines.map_while(Result::ok).any(|line| line == "shown");
    assert!(shown, "the other program did not start");
    child
}

fn end(mut child: Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, signal).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(signal as i32), "{status}");
}

#[test]
fn on_sigterm_and_sigint_of_a_program_that_is_stuck() {
    let (screen, _mapping, before) = previous();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let child = stuck(&screen, true);
        assert_ne!(on(&screen), before);
        end(child, signal);
        assert_eq!(on(&screen), before, "{signal}");
    }
}

#[test]
fn a_program_that_is_killed_leaves_the_screen_black() {
    let (screen, _mapping, before) = previous();
    let child = stuck(&screen, true);
    end(child, Signal::SIGKILL);
    // Nobody was there to restore: the kernel takes the program's framebuffers off the screen.
    let after = on(&screen);
    assert_ne!(after, before);
    let shown = after.iter().filter(|line| line.starts_with("fb="));
    assert!(shown.clone().count() > 0);
    assert!(shown.clone().all(|line| line == "fb=0"), "{after:#?}");
}

#[test]
fn signals_that_cannot_be_caught() {
    let screen = Screen::new();
    assert!(screen.card.restore_on_signals(&[Signal::SIGKILL]).is_err());
}
