//! The program `scanout` on the lab's displays.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;

use dmashare::{Extent, Fourcc};
use dmashare_lab_probe::VkmsDisplay;
use dmashare_samples::picture::Picture;
use nix::sys::signal::Signal;
use serde_json::Value;
use support::display::{kms_state, without_writeback};
use support::pixels::pixel_format;
use support::{Said, cards, displays, dmabufs_named, end_by, eventually, interrupt, program, run};

/// Runs `scanout` and demands that nothing went wrong, and that this many pixels were checked.
#[track_caller]
fn shows(arguments: &[&str], frames: u64, pixels: u64) -> Value {
    let count = frames.to_string();
    let mut all = vec!["--json", "--frames", &count];
    all.extend(arguments);
    let json = run("scanout", &all).good_json();
    is_right(&json, frames, pixels);
    json
}

#[track_caller]
fn is_right(json: &Value, frames: u64, pixels: u64) {
    assert_eq!(json["frames"], frames, "{json}");
    assert_eq!(json["flips"], frames, "{json}");
    assert_eq!(json["captured"], json["captures_expected"], "{json}");
    assert_eq!(json["failures"], serde_json::json!([]), "{json}");
    assert_eq!(json["pixels_checked"], pixels, "{json}");
    assert_eq!(json["pixel_errors"], 0, "{json}");
    assert_eq!(json["bytes_copied"], 0, "{json}");
    assert_eq!(json["dmabufs_leaked"], 0, "{json}");
    let buffers = json["buffers"].as_array().unwrap();
    assert_eq!(buffers.len(), 3, "{json}");
    for buffer in buffers {
        let attached = buffer["attached"].as_array().unwrap();
        assert_eq!(attached.len(), 1, "{json}");
        // A vkms of the lab, or of the test.
        let name = attached[0].as_str().unwrap();
        let is_vkms = name.starts_with("display") || name.starts_with("probe-");
        assert!(is_vkms, "{json}");
        // Vulkan's own memory, not a buffer of the display.
        assert_eq!(buffer["exporter"], "udmabuf", "{json}");
    }
}

#[test]
fn every_frame_is_the_picture_and_the_png_shows_it() {
    let _displays = displays();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames");
    let path = path.to_str().unwrap();
    let arguments = ["--mode", "1024x768", "--verify", "1", "--png", path];
    let json = shows(&arguments, 7, 7 * 1024 * 768);
    assert_eq!(json["captured_from"], "writeback");
    assert_eq!(json["extent"], serde_json::json!([1024, 768]));
    let files: Vec<&str> = json["png"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f.as_str().unwrap())
        .collect();
    assert_eq!(files.len(), 3, "{json}");
    for (file, frame) in files.into_iter().zip([0, 3, 6]) {
        assert!(file.ends_with(&format!("frame-{frame:06}.png")), "{file}");
        png_is_frame(Path::new(file), Extent::new(1024, 768), frame);
    }
}

#[track_caller]
fn png_is_frame(path: &Path, extent: Extent, frame: u32) {
    let decoder = png::Decoder::new(BufReader::new(File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    assert_eq!(
        (reader.info().width, reader.info().height),
        (extent.width, extent.height)
    );
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut samples).unwrap();
    // Bytes red, green, blue, and the fourth of XBGR8888, which a PNG file does not have.
    let picture = pixel_format(Fourcc::XBGR8888).rows(&Picture::new(extent, frame));
    let pixels = samples.chunks_exact(3).zip(picture.chunks_exact(4));
    for (index, (pixel, expected)) in pixels.enumerate() {
        assert_eq!(pixel, &expected[..3], "{index} of {}", path.display());
    }
}

#[test]
fn every_format_of_the_display_is_exact() {
    let _displays = displays();
    let card = &cards("vkms")[0];
    let info = run("info", &["--json"]).good_json();
    let shared = info["pairs"].as_array().unwrap().iter().find(|pair| {
        pair["exporter"].as_str().unwrap().starts_with("Vulkan")
            && pair["importer"]
                .as_str()
                .unwrap()
                .starts_with(card.as_str())
    });
    let shared = shared.unwrap()["formats"].as_array().unwrap();
    let formats: Vec<&str> = shared
        .iter()
        .map(|f| f["format"].as_str().unwrap())
        .collect();
    for format in ["XR24", "AR24", "RG16"] {
        assert!(formats.contains(&format), "{format} is not in {formats:?}");
    }
    for format in formats
        .into_iter()
        // The picture is not drawn in luma and chroma, and no writeback holds R8 (it has no other
        // channels, which a display takes for 0).
        .filter(|format| !["NV12", "NV16", "P010", "YU12", "R8"].contains(format))
    {
        let arguments = [
            "--card", card, "--mode", "640x480", "--verify", "2", "--format", format,
        ];
        let json = shows(&arguments, 4, 2 * 640 * 480);
        assert_eq!(json["format"], format);
    }
}

#[test]
fn without_verify_the_display_runs_at_its_rate() {
    let _displays = displays();
    let json = shows(&["--mode", "640x480"], 30, 0);
    assert_eq!(json["captured_from"], Value::Null);
    // 30 frames at 60 a second are half a second; a slow machine may take several times as long.
    assert!(json["seconds"].as_f64().unwrap() > 0.4, "{json}");
    // Each frame is one ATOMIC ioctl; the first one needs a test and a modeset besides.
    let ioctls = json["atomic_ioctls"].as_u64().unwrap();
    assert!((30..=34).contains(&ioctls), "{json}");
}

#[test]
fn a_steady_flip_is_one_atomic_ioctl_as_strace_sees_it() {
    const FRAMES: usize = 30;
    let _displays = displays();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("strace");
    let output = std::process::Command::new("strace")
        .args(["-f", "-e", "trace=ioctl", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_scanout"))
        .args(["--mode", "640x480", "--json"])
        .arg(format!("--frames={FRAMES}"))
        .output()
        .unwrap();
    Said::of(output).good_json();
    let log = std::fs::read_to_string(&log).unwrap();
    let drm: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("DRM_IOCTL"))
        .collect();
    let atomic = |line: &&&str| line.contains("DRM_IOCTL_MODE_ATOMIC");
    // The first frame sets the mode, after a test; at the end the display is restored.
    let count = drm.iter().filter(atomic).count();
    assert!(
        (FRAMES..=FRAMES + 4).contains(&count),
        "{count} ATOMIC ioctls:\n{log}"
    );
    // From the fourth frame on there is nothing else.
    let first = drm.iter().position(|line| atomic(&line)).unwrap();
    let steady = &drm[first + 6..first + FRAMES];
    let others: Vec<_> = steady.iter().filter(|line| !atomic(line)).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(steady.len() >= FRAMES - 6);
}

#[test]
fn two_displays_at_once() {
    let _displays = displays();
    let cards = cards("vkms");
    assert!(
        cards.len() >= 2,
        "two displays are needed, there are {cards:?}"
    );
    let start = |card: &str, mode: &str| {
        let arguments = [
            "--json", "--frames", "8", "--verify", "2", "--card", card, "--mode", mode,
        ];
        program("scanout").args(arguments).spawn().unwrap()
    };
    let first = start(&cards[0], "1024x768");
    let second = start(&cards[1], "800x600");
    let end = |child: Child| Said::of(child.wait_with_output().unwrap()).good_json();
    is_right(&end(first), 8, 4 * 1024 * 768);
    is_right(&end(second), 8, 4 * 800 * 600);
}

#[test]
fn full_hd_is_exact() {
    let _displays = displays();
    shows(
        &["--mode", "1920x1080", "--verify", "5"],
        6,
        2 * 1920 * 1080,
    );
}

/// Starts `scanout` on a card and waits until it shows its last frame.
fn hold(card: &str) -> Child {
    let arguments = [
        "--json", "--frames", "5", "--hold", "60", "--mode", "640x480", "--card", card,
    ];
    let child = program("scanout").args(arguments).spawn().unwrap();
    let name = format!("scanout {} frame", child.id());
    eventually("three buffers are on their way to the display", || {
        dmabufs_named(&name) == 3
    });
    child
}

/// No dma-buf of this process is left.
#[track_caller]
fn all_are_gone(process: u32) {
    let name = format!("scanout {process}");
    eventually("every dma-buf is gone", || dmabufs_named(&name) == 0);
}

#[test]
fn a_display_that_is_held_is_refused_and_ctrl_c_gives_it_back() {
    let _displays = displays();
    let card = &cards("vkms")[0];
    let before = kms_state(card);
    let holder = hold(card);
    let pid = holder.id();
    eventually("the display is lit", || kms_state(card) != before);
    run("scanout", &["--card", card, "--frames", "1"]).failed_with(&[card, "master"]);
    let refused = run("scanout", &["--json", "--card", card, "--frames", "1"]);
    refused.failed_as_json(&[card, "master"]);

    interrupt(holder);
    all_are_gone(pid);
    assert_eq!(kms_state(card), before);
    shows(&["--card", card, "--mode", "640x480"], 2, 0);
}

#[test]
fn ctrl_c_in_the_middle_of_a_capture_leaves_nothing_behind() {
    let _displays = displays();
    let card = &cards("vkms")[0];
    let before = kms_state(card);
    let arguments = [
        "--json", "--frames", "5000", "--verify", "1", "--card", card,
    ];
    let child = program("scanout").args(arguments).spawn().unwrap();
    let pid = child.id();
    eventually("the display is lit", || kms_state(card) != before);
    let json = interrupt(child);
    assert_eq!(json["flips"], json["frames"], "{json}");
    assert_eq!(json["pixel_errors"], 0, "{json}");
    assert_eq!(json["captured"], json["frames"], "{json}");
    all_are_gone(pid);
    assert_eq!(kms_state(card), before);
}

#[test]
fn a_killed_process_leaves_nothing_behind() {
    let _displays = displays();
    let card = &cards("vkms")[0];
    let holder = hold(card);
    let pid = holder.id();
    end_by(Signal::SIGKILL, holder);
    all_are_gone(pid);
    shows(&["--card", card, "--mode", "640x480"], 2, 0);
}

#[test]
fn unplugging_a_display_is_noticed_and_stops_nothing() {
    let _displays = displays();
    let display = VkmsDisplay::new();
    let card = display.node().display().to_string();
    let arguments = [
        "--json", "--frames", "120", "--mode", "640x480", "--card", &card,
    ];
    let child = program("scanout").args(arguments).spawn().unwrap();
    let name = format!("scanout {} frame", child.id());
    eventually("the display is used", || dmabufs_named(&name) == 3);
    display.plug(0, false);
    std::thread::sleep(std::time::Duration::from_millis(200));
    display.plug(0, true);
    let json = Said::of(child.wait_with_output().unwrap()).good_json();
    is_right(&json, 120, 0);
    assert!(json["hotplugs"].as_u64().unwrap() >= 1, "{json}");
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let _displays = displays();
    let card = &cards("vkms")[0];
    let fails = |arguments: &[&str], parts: &[&str]| {
        run("scanout", arguments).failed_with(parts);
    };
    fails(
        &["--card", "/dev/dri/card99"],
        &["/dev/dri/card99", "No such file"],
    );
    fails(&["--card", "/dev/null"], &["/dev/null"]);
    fails(&["--card", "/dev/dri/renderD128"], &["/dev/dri/renderD128"]);
    fails(&["--card", &cards("vgem")[0]], &[&cards("vgem")[0]]);
    fails(
        &["--card", card, "--output", "HDMI-A-7"],
        &["HDMI-A-7", "Virtual-1 (connected)"],
    );
    fails(&["--card", card, "--mode", "12x34"], &["12x34", "1024x768"]);
    fails(&["--card", card, "--mode", "large"], &["large"]);
    fails(&["--card", card, "--format", "ABCD"], &["ABCD", "XR24"]);
    fails(&["--card", card, "--format", "NV12"], &["NV12", "XR24"]);
    fails(&["--card", card, "--format", "GR88"], &["GR88", "XR24"]);
    fails(&["--device", "no such device"], &["no such device"]);
    fails(&["--card", card, "--frames", "0"], &["--frames"]);
    fails(
        &["--card", card, "--png", "/proc/nowhere"],
        &["/proc/nowhere"],
    );
    fails(&["--hold", "long"], &["number of seconds"]);
    eventually("every dma-buf is gone", || dmabufs_named("scanout") == 0);
}

#[test]
fn a_display_without_writeback_shows_but_is_not_verified() {
    let _displays = displays();
    let display = without_writeback();
    let card = &display.node().display().to_string();
    run("scanout", &["--card", card, "--verify", "1"]).failed_with(&["writeback", "--verify"]);
    let folder = tempfile::tempdir().unwrap();
    let png = folder.path().to_str().unwrap();
    let arguments = ["--card", card, "--mode", "640x480", "--png", png];
    let json = shows(&arguments, 5, 3 * 640 * 480);
    assert_eq!(json["captured_from"], "buffer");
    let last = folder.path().join("frame-000004.png");
    png_is_frame(&last, Extent::new(640, 480), 4);
}

#[test]
fn a_card_with_nothing_connected_is_refused() {
    let _displays = displays();
    let display = VkmsDisplay::new();
    display.plug(0, false);
    let card = &display.node().display().to_string();
    run("scanout", &["--card", card]).failed_with(&[card, "no display is connected"]);
    let refused = run("scanout", &["--json", "--card", card]);
    refused.failed_as_json(&[card, "no display is connected"]);
}
