//! The program `evict` on a display of the lab: many buffers, little room, and nothing lost.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Said, displays, dmabufs_named, program, run};

/// Runs `evict` and demands that nothing went wrong.
#[track_caller]
fn evicts(arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    let json = run("evict", &all).good_json();
    assert_eq!(json["failures"], serde_json::json!([]), "{json}");
    assert_eq!(json["frames"], json["flips"], "{json}");
    assert_eq!(json["captured"], json["captures_expected"], "{json}");
    assert_eq!(json["pixel_errors"], 0, "{json}");
    assert_eq!(json["hash_errors"], 0, "{json}");
    assert_eq!(json["pins_left"], 0, "{json}");
    assert_eq!(json["attachments_left"], 0, "{json}");
    assert_eq!(json["dmabufs_leaked"], 0, "{json}");
    support::eventually("every dma-buf is gone", || dmabufs_named("evict ") == 0);
    json
}

fn number(json: &Value, key: &str) -> u64 {
    json[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} in {json}"))
}

/// Buffers of a whole screen, a quarter of which fit: for 300 frames every buffer has its content,
/// and the display shows what was drawn.
#[test]
fn i15_contents_survive_moves_under_a_budget_of_a_quarter() {
    let _displays = displays();
    let json = evicts(&[
        "--buffers",
        "64",
        "--budget",
        "16",
        "--frames",
        "300",
        "--reads",
        "2",
    ]);
    assert_eq!(json["extent"], serde_json::json!([1024, 768]));
    // Each buffer is used again long after it was moved away.
    assert!(number(&json, "evictions") >= 300, "{json}");
    assert!(number(&json, "restores") >= 300, "{json}");
    assert!(number(&json, "told") >= 300, "{json}");
    // What is on screen is refused to move, each time.
    assert_eq!(json["refused"], 300, "{json}");
    assert!(number(&json, "captured") >= 60, "{json}");
    // Two reads of every buffer at the end, and those of each frame.
    assert!(number(&json, "hashes_checked") >= 128 + 300, "{json}");
    assert!(number(&json, "used_bytes") <= number(&json, "budget_bytes"));
}

/// The same while another thread pins, attaches, moves and trims at random, and one in twenty
/// allocations and copies fails.
#[test]
fn i13_nothing_is_lost_while_others_interfere_and_memory_runs_out() {
    let _displays = displays();
    let json = evicts(&[
        "--buffers",
        "64",
        "--budget",
        "16",
        "--frames",
        "300",
        "--disturb",
        "--faults",
        "50",
        "--seed",
        "7",
    ]);
    assert!(number(&json, "moves") > 300, "{json}");
    assert!(number(&json, "faults") > 100, "{json}");
    assert!(
        json["disturbances"]["done"].as_u64().unwrap() > 300,
        "{json}"
    );
}

/// Everything fits: nothing moves.
#[test]
fn with_room_for_all_nothing_moves() {
    let _displays = displays();
    let json = evicts(&["--buffers", "6", "--budget", "6", "--frames", "12"]);
    assert_eq!(number(&json, "moves"), 0, "{json}");
    assert_eq!(number(&json, "bytes_moved"), 0, "{json}");
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let _displays = displays();
    let child = program("evict")
        .args([
            "--json",
            "--frames",
            "100000",
            "--buffers",
            "8",
            "--budget",
            "4",
        ])
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    support::eventually("it has begun", || dmabufs_named("evict ") >= 8);
    std::thread::sleep(std::time::Duration::from_millis(300));
    kill(pid, Signal::SIGINT).unwrap();
    let said = Said::of(child.wait_with_output().unwrap());
    assert_eq!(said.status, Some(130), "{said:?}");
    let json = said.json();
    assert_eq!(json["interrupted"], true, "{json}");
    assert_eq!(json["failures"], serde_json::json!([]), "{json}");
    support::eventually("every dma-buf is gone", || dmabufs_named("evict ") == 0);
}

#[test]
fn nonsense_is_refused() {
    run("evict", &["--buffers", "1"]).failed_with(&["--buffers"]);
    run("evict", &["--card", "/dev/null"]).failed_with(&["/dev/null"]);
    run("evict", &["--json", "--device", "no such device"]).failed_as_json(&["no such device"]);
}
