//! The program `evict` on a display of the lab: many buffers, little room, and nothing lost.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use support::eviction::{evicts, number};
use support::{displays, dmabufs_named, program, run};

/// Buffers of a whole screen, a quarter of which fit: for 300 frames every buffer has its content,
/// and the display shows what was drawn.
fn contents_survive(mode: &str, extent: [u32; 2]) {
    let _displays = displays();
    let json = evicts(&[
        "--mode",
        mode,
        "--buffers",
        "64",
        "--budget",
        "16",
        "--frames",
        "300",
        "--reads",
        "2",
    ]);
    assert_eq!(json["extent"], serde_json::json!(extent));
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

#[test]
fn i15_contents_survive_moves_under_a_budget_of_a_quarter() {
    contents_survive("640x480", [640, 480]);
}

#[test]
#[ignore = "long: the same with larger buffers"]
fn i15_contents_of_larger_buffers_survive_moves_under_a_budget_of_a_quarter() {
    contents_survive("1024x768", [1024, 768]);
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
    support::eventually("it has begun", || dmabufs_named("evict ") >= 8);
    std::thread::sleep(std::time::Duration::from_millis(300));
    support::interrupt(child);
    support::eventually("every dma-buf is gone", || dmabufs_named("evict ") == 0);
}

#[test]
fn nonsense_is_refused() {
    run("evict", &["--buffers", "1"]).failed_with(&["--buffers"]);
    run("evict", &["--card", "/dev/null"]).failed_with(&["/dev/null"]);
    run("evict", &["--json", "--device", "no such device"]).failed_as_json(&["no such device"]);
}
