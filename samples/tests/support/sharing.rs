//! The program `share`, between two devices of one process or between two processes.

use super::run;

/// A format of every kind that is drawn.
pub const FORMATS: [&str; 10] = [
    "AR24", "XB24", "AB24", "RG16", "AR30", "AB30", "AB48", "AB4H", "R8", "GR88",
];

/// Runs `share` and demands that every pixel was right, both ways.
#[track_caller]
pub fn shares(format: &str, extent: &str, frames: u64, process: bool) {
    let count = frames.to_string();
    let mut arguments = vec![
        "--json", "--format", format, "--extent", extent, "--frames", &count,
    ];
    arguments.extend(process.then_some("--process"));
    let json = run("share", &arguments).good_json();
    let (width, height) = extent.split_once('x').unwrap();
    let pixels = width.parse::<u64>().unwrap() * height.parse::<u64>().unwrap();
    assert_eq!(json["pixels_checked"], 2 * frames * pixels, "{json}");
    assert_eq!(json["frames"], frames, "{json}");
    assert_eq!(json["process"], process, "{json}");
    assert_eq!(json["bytes_copied"], 0, "{json}");
    assert_eq!(json["dmabufs_leaked"], 0, "{json}");
    assert_eq!(json["files_left"].as_array().unwrap().len(), 0, "{json}");
    if process {
        assert_eq!(
            json["fences_sent"], frames,
            "no sync_file was passed: {json}"
        );
    }
}
