//! The program `share` between two devices of one process, and what it refuses.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use support::sharing::{FORMATS, shares};
use support::{Said, program, run};

#[test]
fn odd_and_large_sizes() {
    for extent in ["1x1", "333x77", "4096x2160"] {
        shares("XRGB8888", extent, 2, false);
    }
}

#[test]
fn every_kind_of_format() {
    for format in FORMATS {
        shares(format, "123x45", 1, false);
    }
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let fails = |arguments: &[&str], parts: &[&str]| {
        for process in [false, true] {
            let mut arguments = arguments.to_vec();
            arguments.extend(process.then_some("--process"));
            run("share", &arguments).failed_with(parts);
        }
    };
    let no_device = ["--json", "--device", "no such device"];
    run("share", &no_device).failed_as_json(&["no such device"]);
    let by_the_other = ["--json", "--process", "--importer", "no such device"];
    run("share", &by_the_other).failed_as_json(&["no such device"]);
    fails(&["--format", "NV12"], &["drawn in NV12", "XR24"]);
    fails(&["--format", "ABCD"], &["drawn in ABCD", "XR24"]);
    fails(&["--format", "XR-24"], &["XR-24", "four-character"]);
    fails(&["--extent", "0x4"], &["width and a height"]);
    fails(&["--extent", "16384x16385"], &["width and a height"]);
    fails(&["--device", "no such device"], &["no such device"]);
    fails(&["--device", "/dev/null"], &["no Vulkan device matches"]);
    fails(&["--importer", "no such device"], &["no such device"]);
    fails(&["--frames", "0"], &["--frames"]);
}

#[test]
fn dmabufs_left_over_are_not_reported_by_who_cannot_count_them() {
    let script = r#"umount /sys/kernel/debug && exec "$0" --json --frames 1 --extent 16x16"#;
    let hidden = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_share")])
        .output();
    let json = Said::of(hidden.unwrap()).good_json();
    assert_eq!(json.get("dmabufs_leaked"), None, "{json}");
    assert_eq!(json["pixels_checked"], 2 * 16 * 16, "{json}");
}

#[test]
fn the_other_process_refuses_strangers() {
    // Standard input is /dev/null.
    let said = Said::of(program("share").arg("--serve").output().unwrap());
    said.failed_with(&["standard input is not the socket"]);

    // A socket whose other end sends nonsense, and no answer is waited for.
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.send(br#"{"Share":{"name":"x"}}"#).unwrap();
    let mut serve = program("share");
    let said = Said::of(
        serve
            .arg("--serve")
            .stdin(std::os::fd::OwnedFd::from(theirs))
            .output()
            .unwrap(),
    );
    assert_eq!(said.status, Some(0), "{said:?}");
    let mut answer = [0; 4096];
    let length = ours.recv(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(
        answer.contains("Failed") && answer.contains("no message"),
        "{answer}"
    );
}
