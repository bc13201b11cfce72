//! Another process holds the display: the error names it.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dmashare_drm::{Card, DumbBuffers, Node, NodeKind, OpenError};
use dmashare_lab_probe::VkmsDisplay;

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

/// Listing cards makes a process master of each for a moment, and [`Card::open_any`] takes what it
/// finds: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const HELD: &str = "DMASHARE_TEST_HELD_CARD";

/// Holds a display: that of the variable until its input ends, or one of its own for a moment.
#[test]
fn holder() {
    let Some(path) = std::env::var_os(HELD) else {
        let _alone = alone();
        let screen = Screen::new();
        assert!(screen.output.is_connected());
        return;
    };
    let card = Card::open(PathBuf::from(path)).unwrap();
    writeln!(std::io::stderr(), "held {}", card.name()).unwrap();
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).unwrap();
}

/// A process that holds the display.
fn hold(display: &VkmsDisplay) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holder", "--nocapture"])
        .env(HELD, display.node())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    let held = lines
        .map_while(Result::ok)
        .any(|line| line.starts_with("held "));
    assert!(held, "the holder did not start");
    child
}

#[test]
fn a_second_process_is_told_who_holds_the_display() {
    let _alone = alone();
    let display = VkmsDisplay::new();
    let mut child = hold(&display);
    let result = Card::open(display.node());
    let Err(OpenError::NoMaster(error)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(error.holders.len(), 1, "{error}");
    assert_eq!(error.holders[0].pid, child.id());
    assert!(error.to_string().contains(&child.id().to_string()));
    assert_eq!(error.source.raw_os_error(), Some(nix::libc::EBUSY));
    // Looking is allowed.
    let looking = Card::inspect(display.node()).unwrap();
    assert_eq!(connected(&looking).len(), 1);
    // The holder ends: the display can be had.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    drop(looking);
    Card::open(display.node()).unwrap();
}

#[test]
fn looking_and_dumb_buffers_are_in_nobodys_way() {
    let _alone = alone();
    let display = VkmsDisplay::new();
    let looking = Card::inspect(display.node()).unwrap();
    let dumb = DumbBuffers::open(display.node()).unwrap();
    let card = Card::open(display.node()).unwrap();
    drop((looking, dumb));
    // A dropped card is no longer master, even while its dumb buffers keep the file open.
    let dumb = card.dumb_buffers();
    drop(card);
    let card = Card::open(display.node()).unwrap();
    drop((dumb, card));
}

#[test]
fn what_cannot_drive_a_display_says_so() {
    let _alone = alone();
    let result = Card::open("/dev/dri/card999");
    assert!(matches!(result, Err(OpenError::Open { .. })), "{result:?}");
    let result = Card::open("/dev/null");
    assert!(
        matches!(result, Err(OpenError::NotDrm { .. })),
        "{result:?}"
    );
    let nodes = Node::list();
    let render = nodes
        .iter()
        .find(|node| node.kind() == NodeKind::Render)
        .expect("vgem has a render node: run this test with `cargo lab test`");
    for path in [render.path(), Node::of_driver("vgem")[0].path()] {
        let result = Card::open(path);
        assert!(matches!(result, Err(OpenError::NoKms { .. })), "{result:?}");
    }
}

#[test]
fn any_card_is_one_with_a_connected_output() {
    let _alone = alone();
    // Other displays come and go with other tests; this one stays.
    let display = VkmsDisplay::new();
    let card = Card::open_any().unwrap();
    assert_eq!(card.driver(), "vkms");
    assert!(!connected(&card).is_empty());
    drop(card);
    drop(display);
}
