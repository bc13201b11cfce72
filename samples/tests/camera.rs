//! The program `camera` with the kernel's own camera and codec (vivid, vicodec) and the lab's display.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Child;

use dmashare::{Extent, Fourcc};
use dmashare_lab_probe::VkmsDisplay;
use dmashare_v4l2::{V4l2Capture, V4l2Device};
use nix::sys::signal::Signal;
use serde_json::Value;
use support::loopback::path;
use support::{displays, dmabufs_named, end_by, eventually, interrupt, program, run, shown_buffer};

/// The screen of the lab's displays: every pixel of it is compared.
const SCREEN: u64 = 1024 * 768;

/// The node of the lab's camera, output or codec.
fn node(fits: fn(&V4l2Device) -> bool) -> String {
    path(fits).display().to_string()
}

fn shows(format: &str, more: &[&str]) -> Value {
    let arguments = [
        "--json", "--frames", "12", "--verify", "2", "--format", format,
    ];
    let arguments: Vec<&str> = arguments.iter().chain(more).copied().collect();
    let json = run("camera", &arguments).good_json();
    assert_eq!(json["frames"], 12, "{json}");
    assert_eq!(json["captured"], 6, "{json}");
    assert_eq!(json["pixels_checked"], 6 * SCREEN, "{json}");
    assert_eq!(json["copied_bytes"], 0, "{json}");
    assert_eq!(json["dmabufs_leaked"], 0, "{json}");
    // The test pattern moves, so frames that are shown again and again are found out.
    assert!(json["pattern_places"].as_u64().unwrap() >= 4, "{json}");
    // The kernel's own word: the camera's memory, and the display reads that.
    let dmabufs = json["dmabufs"].as_array().unwrap();
    assert_eq!(dmabufs.len(), 4, "{json}");
    for dmabuf in dmabufs {
        let exporter = dmabuf["exporter"].as_str().unwrap();
        assert!(exporter.contains("videobuf2"), "{json}");
        let attached = &dmabuf["attached"];
        assert_eq!(*attached, serde_json::json!(["display0"]), "{json}");
    }
    json
}

/// Starts the program, and waits until it has the camera's buffers.
fn start(arguments: &[&str]) -> Child {
    let child = program("camera").args(arguments).spawn().unwrap();
    let name = format!("camera {} frame", child.id());
    eventually("the camera's buffers", || dmabufs_named(&name) == 4);
    child
}

/// Demands that the program fails with a message that has all of these in it.
#[track_caller]
fn fails(arguments: &[&str], parts: &[&str]) {
    run("camera", arguments).failed_with(parts);
}

#[test]
fn the_cameras_own_buffers_are_on_an_overlay_under_a_drawn_layer() {
    let _guard = displays();
    let json = shows("NV12", &[]);
    let planes = json["planes"].as_str().unwrap();
    assert_eq!(planes.matches("(Overlay)").count(), 2, "{json}");
    assert_eq!(dmabufs_named("camera "), 0);
}

/// Of a display with one overlay, the primary plane shows the camera.
#[test]
fn one_overlay_is_enough() {
    let _guard = displays();
    let display = VkmsDisplay::new();
    let node = display.node().display().to_string();
    let arguments = ["--json", "--frames", "6", "--verify", "2", "--card", &node];
    let arguments = arguments.iter().chain(&["--mode", "640x480"]);
    let json = run("camera", &arguments.copied().collect::<Vec<_>>()).good_json();
    assert_eq!(json["pixels_checked"], 3 * 640 * 480, "{json}");
    assert!(
        json["planes"].as_str().unwrap().contains("(Primary)"),
        "{json}"
    );
}

#[test]
fn vulkan_and_the_display_read_the_same_buffers() {
    let _guard = displays();
    let json = shows("XR24", &[]);
    assert_eq!(json["vulkan_bytes"], 6 * 640 * 360 * 4, "{json}");
}

#[test]
fn an_encoder_reads_what_vulkan_has_drawn() {
    let _guard = displays();
    let arguments = ["--json", "--frames", "8", "--encode", "2"];
    let json = run("camera", &arguments).good_json();
    assert_eq!(json["encoded"], 4, "{json}");
    assert!(json["coded_bytes"].as_u64().unwrap() > 4 * 1000, "{json}");
    assert!(json["codec_psnr"].as_f64().unwrap() >= 45.0, "{json}");
    assert_eq!(json["copied_bytes"], 0, "{json}");
    assert_eq!(json["dmabufs_leaked"], 0, "{json}");
}

#[test]
fn a_sigint_ends_it_and_everything_is_closed() {
    let _guard = displays();
    interrupt(start(&["--json", "--frames", "100000"]));
}

#[test]
fn the_kernel_cleans_up_after_one_that_is_killed() {
    let _guard = displays();
    let child = start(&["--frames", "100000", "--encode", "1"]);
    end_by(Signal::SIGKILL, child);
    eventually("every dma-buf is gone", || dmabufs_named("camera ") == 0);
    run("camera", &["--json", "--frames", "2"]).good_json();
}

#[test]
fn the_cameras_controls_are_as_before() {
    let _guard = displays();
    let controls = || {
        let device = V4l2Device::find("camera", V4l2Device::is_camera).unwrap();
        // Test Pattern, OSD Text Mode, Horizontal Movement.
        [0, 1, 2].map(|id| device.control(0x00f0_f000 + id).unwrap())
    };
    let before = controls();
    assert_eq!(before, [0, 0, 3]);
    run("camera", &["--json", "--frames", "1"]).good_json();
    assert_eq!(controls(), before);
}

#[test]
fn what_is_no_camera_is_refused_by_name() {
    let _guard = displays();
    let missing = [
        "no camera",
        "/dev/video99",
        "cannot be opened",
        "No such file",
    ];
    fails(&["--camera", "/dev/video99"], &missing);
    fails(
        &["--camera", "/dev/null"],
        &["/dev/null", "is not a video device"],
    );
    let output = node(V4l2Device::is_output);
    fails(
        &["--camera", &output],
        &[&output, "a video output", "not a camera"],
    );
    let codec = node(V4l2Device::is_memory_to_memory);
    fails(&["--camera", &codec], &[&codec, "a codec", "not a camera"]);
    let camera = node(V4l2Device::is_camera);
    fails(
        &["--encode", "1", "--encoder", &camera],
        &["leave --encode out", "a camera", "not an encoder"],
    );
    let no_frames = [
        "--json",
        "--camera",
        &output,
        "--decoder",
        "/dev/null",
        "--frames",
        "0",
    ];
    fails(&no_frames, &["--frames"]);
    run("camera", &["--json", "--camera", "/dev/null"]).failed_as_json(&["is not a video device"]);
    assert_eq!(dmabufs_named("camera "), 0);
}

#[test]
fn frames_that_the_camera_has_not_are_refused() {
    let _guard = displays();
    let camera = node(V4l2Device::is_camera);
    fails(
        &["--format", "AB4H", "--camera", &camera],
        &[&camera, "has no AB4H", "NV12", "XR24"],
    );
    fails(&["--format", "AB4H"], &["no camera with AB4H", "a camera"]);
    fails(&["--format", "AR24"], &["alpha", "XR24"]);
    fails(
        &["--format", "RG16", "--verify", "1"],
        &["RG16", "leave --verify out"],
    );
    fails(
        &["--extent", "1280x720"],
        &["1280x720", "1024x768", "--mode"],
    );
    fails(
        &["--extent", "333x77"],
        &["333x77", "the nearest is 320x180"],
    );
    fails(&["--extent", "320x180", "--encode", "1"], &["640x360"]);
    assert_eq!(dmabufs_named("camera "), 0);
}

#[test]
fn a_camera_that_another_has_is_busy() {
    let _guard = displays();
    let extent = Extent::new(640, 360);
    let camera = V4l2Capture::open(None, Fourcc::NV12, extent).unwrap();
    let held = shown_buffer(&camera, extent, Fourcc::NV12);
    run("camera", &["--frames", "1"]).failed_with(&["VIDIOC_", "vivid", "busy"]);
    drop((held, camera));
    run("camera", &["--json", "--frames", "1"]).good_json();
    assert!(Path::new("/dev/video0").exists());
}
