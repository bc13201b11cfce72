//! What was shown before comes back: on drop, while a panic unwinds, and on SIGTERM of a program that
//! is stuck.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dmashare::{Fourcc, Mapping};
use dmashare_drm::{Card, Commit, OutputCommit, PlaneCommit, Signal};
use nix::sys::signal::{SigHandler, kill, signal};
use nix::unistd::Pid;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

const CARDS: &str = "DMASHARE_TEST_CARDS";
const PROGRAM: &str = "DMASHARE_TEST_PROGRAM";

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

/// What the other program does about signals.
#[derive(Clone, Copy, Debug)]
enum Program {
    Restores,
    /// Restores, but has dropped its cards.
    Drops,
    /// The same, and then shows its picture anew.
    Reopens,
    /// `nohup` ran it.
    Ignores,
    /// Has a handler of its own, which ends the process.
    Handles,
}

const PROGRAMS: [Program; 5] = [
    Program::Restores,
    Program::Drops,
    Program::Reopens,
    Program::Ignores,
    Program::Handles,
];

/// The exit status of a program whose own handler ends it.
const HANDLED: i32 = 7;

extern "C" fn end_of_its_own(_signal: i32) {
    // SAFETY: _exit(2) is async-signal-safe and does not return.
    unsafe { nix::libc::_exit(HANDLED) }
}

/// The other program, as a process: shows its picture on each card and is stuck. Without the variable
/// it takes a display of its own, for a moment.
#[test]
fn a_program_that_is_stuck() {
    let Some(nodes) = std::env::var_os(CARDS) else {
        let (screen, _mapping, before) = previous();
        drop(take_over(&screen.display.node()));
        assert_eq!(on(&screen), before);
        return;
    };
    let name = std::env::var(PROGRAM).unwrap();
    let program = PROGRAMS
        .into_iter()
        .find(|program| format!("{program:?}") == name)
        .unwrap();
    let own = match program {
        Program::Ignores => Some(SigHandler::SigIgn),
        Program::Handles => Some(SigHandler::Handler(end_of_its_own)),
        Program::Restores | Program::Drops | Program::Reopens => None,
    };
    if let Some(own) = own {
        // SAFETY: the handler, if there is one, makes one async-signal-safe call.
        unsafe { signal(Signal::SIGTERM, own) }.unwrap();
    }
    let show = || -> Vec<Card> {
        std::env::split_paths(&nodes)
            .map(|node| {
                let card = take_over(&node);
                card.restore_on_signals(&[Signal::SIGTERM, Signal::SIGINT])
                    .unwrap();
                card
            })
            .collect()
    };
    let mut cards = show();
    if matches!(program, Program::Drops | Program::Reopens) {
        cards.clear();
    }
    if matches!(program, Program::Reopens) {
        cards = show();
    }
    writeln!(std::io::stderr(), "shown on {}", cards.len()).unwrap();
    loop {
        std::thread::park();
    }
}

/// Starts it on the displays of these screens; it is stuck when this returns.
fn stuck(screens: &[&Screen], program: Program) -> Child {
    let nodes = screens.iter().map(|screen| screen.display.node());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_program_that_is_stuck", "--nocapture"])
        .env(CARDS, std::env::join_paths(nodes).unwrap())
        .env(PROGRAM, format!("{program:?}"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let shown = lines.any(|line| line.starts_with("shown on "));
    assert!(shown, "the other program did not start");
    child
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

fn end(mut child: Child, signal: Signal) {
    kill(pid(&child), signal).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(signal as i32), "{status}");
}

#[test]
fn on_sigterm_and_sigint_of_a_program_that_is_stuck() {
    let (screen, _mapping, before) = previous();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let child = stuck(&[&screen], Program::Restores);
        assert_ne!(on(&screen), before);
        end(child, signal);
        assert_eq!(on(&screen), before, "{signal}");
    }
}

#[test]
fn every_card_of_a_program() {
    let (one, _one_mapping, before_one) = previous();
    let (two, _two_mapping, before_two) = previous();
    let child = stuck(&[&one, &two], Program::Restores);
    assert_ne!(on(&one), before_one);
    assert_ne!(on(&two), before_two);
    end(child, Signal::SIGTERM);
    assert_eq!(on(&one), before_one);
    assert_eq!(on(&two), before_two);
}

#[test]
fn a_dropped_card_leaves_the_signal_as_it_was() {
    let (screen, _mapping, before) = previous();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let child = stuck(&[&screen], Program::Drops);
        assert_eq!(on(&screen), before);
        end(child, signal);
        assert_eq!(on(&screen), before);
    }
}

#[test]
fn a_card_that_is_opened_again() {
    let (screen, _mapping, before) = previous();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let child = stuck(&[&screen], Program::Reopens);
        assert_ne!(on(&screen), before);
        end(child, signal);
        assert_eq!(on(&screen), before);
    }
}

#[test]
fn a_signal_that_is_ignored_stays_so() {
    let (screen, _mapping, before) = previous();
    let child = stuck(&[&screen], Program::Ignores);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap())
        .unwrap();
    assert_eq!(ignored >> (Signal::SIGTERM as i32 - 1) & 1, 1, "{status}");
    kill(pid(&child), Signal::SIGTERM).unwrap();
    assert_ne!(on(&screen), before);
    end(child, Signal::SIGINT);
    assert_eq!(on(&screen), before);
}

#[test]
fn before_the_handler_of_the_program_runs() {
    let (screen, _mapping, before) = previous();
    let mut child = stuck(&[&screen], Program::Handles);
    kill(pid(&child), Signal::SIGTERM).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(HANDLED), "{status}");
    assert_eq!(on(&screen), before);
}

#[test]
fn a_program_that_is_killed_leaves_the_screen_black() {
    let (screen, _mapping, before) = previous();
    let child = stuck(&[&screen], Program::Restores);
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
    for signal in [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGSEGV] {
        assert!(screen.card.restore_on_signals(&[signal]).is_err());
    }
}
