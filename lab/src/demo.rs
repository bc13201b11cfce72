//! `cargo lab demo`: the sample `scanout` in the lab, twice, and a report of what it found.
//!
//! The sample itself compares what the display showed (its writeback) with an independent
//! computation of the picture, and reads the kernel's list of dma-bufs. The demo runs it, checks
//! that its numbers are those of a working zero-copy path, and shows them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::progress::Progress;
use crate::run_command::{self, Caller, GuestOptions};
use crate::setup;
use crate::shown_progress::{Kept, ShownProgress};
use crate::workspace::Workspace;

/// A display mode to show.
#[derive(Debug, Clone, Copy)]
struct Mode {
    width: u64,
    height: u64,
    /// Every how many frames one is compared with what the display shows.
    verify: u64,
}

impl Mode {
    const fn new(width: u64, height: u64, verify: u64) -> Self {
        Self {
            width,
            height,
            verify,
        }
    }

    /// The fewest pixels that a run compares.
    const fn pixels(self) -> u64 {
        FRAMES.div_ceil(self.verify) * self.width * self.height
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Frames of each run.
const FRAMES: u64 = 300;
/// Modes shown, and which frames are compared: every first, every fifth.
const RUNS: [Mode; 2] = [Mode::new(1024, 768, 1), Mode::new(1920, 1080, 5)];
/// Buffers that the sample turns over.
const BUFFERS: usize = 3;
/// Time limit of one run.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// Arguments of `cargo lab demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Print one JSON object instead of a report
    #[arg(long)]
    json: bool,
}

/// A dma-buf as the kernel lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Buffer {
    inode: u64,
    attached: Vec<String>,
}

/// What one run of the sample says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Scanout {
    #[serde(default)]
    mode: String,
    /// Exit status of the run: also not 0 when the kernel complained.
    #[serde(default)]
    status: i32,
    device: String,
    format: String,
    modifier: String,
    frames: u64,
    flips: u64,
    missed: u64,
    bytes_copied: u64,
    pixels_checked: u64,
    pixel_errors: u64,
    buffers: Vec<Buffer>,
    png: Vec<PathBuf>,
}

/// Totals over all runs.
#[derive(Debug, Serialize)]
struct Demo {
    frames: u64,
    flips: u64,
    missed: u64,
    bytes_copied: u64,
    pixels_checked: u64,
    pixel_errors: u64,
    demo_errors: usize,
    errors: Vec<String>,
    buffers: Vec<Buffer>,
    png: Vec<PathBuf>,
    runs: Vec<Scanout>,
}

/// Runs the demo; returns 0 if everything was as it must be, else 1.
///
/// # Errors
/// When set-up or the build fails, or the sample prints no result.
pub(crate) fn run(arguments: &DemoArguments) -> Result<i32> {
    setup::ensure()?;
    let workspace = Workspace::find()?;
    let scanout = workspace
        .build("scanout", false)?
        .context("the workspace has no binary scanout")?;
    let mut errors = Vec::new();
    let mut runs = Vec::new();
    for mode in RUNS {
        let png = workspace.target.join("lab/demo").join(mode.to_string());
        if png.exists() {
            fs::remove_dir_all(&png).with_context(|| format!("cannot remove {}", png.display()))?;
        }
        fs::create_dir_all(&png).with_context(|| format!("cannot make {}", png.display()))?;
        let run = run_scanout(&workspace, &scanout, mode, &png)?;
        errors.extend(
            faults(&run, mode)
                .into_iter()
                .map(|fault| format!("{mode}: {fault}")),
        );
        runs.push(run);
    }
    let demo = total(runs, errors);
    if arguments.json {
        println!("{}", serde_json::to_string(&demo)?);
    } else {
        print_report(&demo);
    }
    Ok(i32::from(!demo.errors.is_empty()))
}

/// Runs the sample in a guest of its own; its progress goes to our standard error.
fn run_scanout(workspace: &Workspace, scanout: &Path, mode: Mode, png: &Path) -> Result<Scanout> {
    let mut command = vec![scanout.as_os_str().to_owned()];
    let frames = FRAMES.to_string();
    let size = mode.to_string();
    let every = mode.verify.to_string();
    let arguments = ["--frames", &frames, "--mode", &size, "--verify", &every];
    command.extend(arguments.map(Into::into));
    command.extend(["--png".into(), png.as_os_str().to_owned(), "--json".into()]);
    let options = GuestOptions {
        timeout: Some(TIME_LIMIT),
        env: vec![("DMASHARE_PROGRESS".to_owned(), "lines".to_owned())],
        ..GuestOptions::default()
    };
    let stdout = Kept::default();
    let which = match mode.verify {
        1 => "every frame".to_owned(),
        many => format!("one frame in {many}"),
    };
    let what = format!("{mode}, {which} compared with what the display shows");
    let stderr = ShownProgress {
        progress: Some(Progress::start(what, "frames", FRAMES)),
        line: Vec::new(),
    };
    let status = run_command::run_in_guest(
        workspace,
        options,
        command,
        Caller::Person,
        stdout.clone(),
        stderr,
    )?;
    let text = stdout.0.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().next_back().unwrap_or_default();
    let mut run: Scanout = serde_json::from_str(last).with_context(|| {
        format!("scanout at {mode} ended with status {status} and without a result: {last:?}")
    })?;
    run.mode = size;
    run.status = status;
    Ok(run)
}

/// Everything in a run that must not be.
fn faults(run: &Scanout, mode: Mode) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    must(
        run.status == 0,
        format!("scanout ended with status {}", run.status),
    );
    must(
        run.frames == FRAMES,
        format!("{} frames instead of {FRAMES}", run.frames),
    );
    must(
        run.flips == run.frames,
        format!("{} flips for {} frames", run.flips, run.frames),
    );
    must(
        run.bytes_copied == 0,
        format!("{} bytes were copied", run.bytes_copied),
    );
    must(
        run.pixels_checked >= mode.pixels(),
        format!(
            "{} pixels were checked, not {}",
            run.pixels_checked,
            mode.pixels()
        ),
    );
    must(
        run.pixel_errors == 0,
        format!("{} pixels were wrong", run.pixel_errors),
    );
    let attached = run
        .buffers
        .iter()
        .filter(|b| !b.attached.is_empty())
        .count();
    must(
        attached >= BUFFERS,
        format!("{attached} dma-bufs have a display attached, not {BUFFERS}"),
    );
    must(!run.png.is_empty(), "no PNG was written".to_owned());
    for png in &run.png {
        must(is_png(png), format!("{} is no PNG", png.display()));
    }
    faults
}

/// Whether the file begins as every PNG does.
fn is_png(path: &Path) -> bool {
    let mut start = [0; 8];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == *b"\x89PNG\r\n\x1a\n")
}

fn total(runs: Vec<Scanout>, errors: Vec<String>) -> Demo {
    let sum = |count: fn(&Scanout) -> u64| runs.iter().map(count).sum();
    Demo {
        frames: sum(|run| run.frames),
        flips: sum(|run| run.flips),
        missed: sum(|run| run.missed),
        bytes_copied: sum(|run| run.bytes_copied),
        pixels_checked: sum(|run| run.pixels_checked),
        pixel_errors: sum(|run| run.pixel_errors),
        demo_errors: errors.len(),
        errors,
        buffers: runs.iter().flat_map(|run| run.buffers.clone()).collect(),
        png: runs.iter().flat_map(|run| run.png.clone()).collect(),
        runs,
    }
}

/// `path` from the current folder when it is below it.
fn from_current_folder(path: &Path) -> &Path {
    std::env::current_dir()
        .ok()
        .and_then(|current| path.strip_prefix(current).ok())
        .unwrap_or(path)
}

fn print_report(demo: &Demo) {
    for run in &demo.runs {
        println!("{} on {}", run.mode, run.device);
        println!(
            "  format          {}, modifier {}",
            run.format, run.modifier
        );
        println!(
            "  frames          {}, flips {}, missed {} (refreshes that showed no new frame: a captured one takes several)",
            run.frames, run.flips, run.missed
        );
        println!("  bytes copied    {}", run.bytes_copied);
        println!(
            "  pixels checked  {}, wrong {}",
            run.pixels_checked, run.pixel_errors
        );
        for buffer in &run.buffers {
            println!(
                "  dma-buf         inode {}, attached: {}",
                buffer.inode,
                buffer.attached.join(", ")
            );
        }
        for png in &run.png {
            println!("  picture         {}", from_current_folder(png).display());
        }
    }
    if demo.errors.is_empty() {
        println!("The display showed what Vulkan drew, and no pixel was copied.");
    }
    for error in &demo.errors {
        println!("ERROR {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(png: &Path) -> Scanout {
        fs::write(png, b"\x89PNG\r\n\x1a\n").unwrap();
        let text = r#"{"device":"d","format":"XR24","modifier":"LINEAR","frames":300,"flips":300,
            "missed":1,"bytes_copied":0,"pixels_checked":235929600,"pixel_errors":0,"png":[],"buffers":[
            {"inode":1,"attached":["vkms"]},{"inode":2,"attached":["vkms"]},
            {"inode":3,"attached":["vkms"]}]}"#;
        let mut run: Scanout = serde_json::from_str(text).unwrap();
        run.png.push(png.to_owned());
        run
    }

    #[test]
    fn a_good_run_has_no_fault_and_each_fault_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let png = folder.path().join("p.png");
        let run = good(&png);
        assert_eq!(faults(&run, RUNS[0]), Vec::<String>::new());
        let spoil: [fn(&mut Scanout); 9] = [
            |run| run.status = 125,
            |run| run.frames = 299,
            |run| run.flips = 299,
            |run| run.bytes_copied = 1,
            |run| run.pixels_checked -= 1,
            |run| run.pixel_errors = 1,
            |run| run.buffers[1].attached.clear(),
            |run| run.png.clear(),
            |run| run.png.push("/nowhere.png".into()),
        ];
        for spoil in spoil {
            let mut bad = run.clone();
            spoil(&mut bad);
            assert!(!faults(&bad, RUNS[0]).is_empty(), "{bad:?}");
        }
    }

    #[test]
    fn one_frame_in_so_many_is_compared() {
        assert_eq!(RUNS[0].pixels(), 300 * 1024 * 768);
        assert_eq!(RUNS[1].pixels(), 60 * 1920 * 1080);
        assert_eq!(Mode::new(1, 1, 7).pixels(), 43);
    }

    #[test]
    fn paths_below_the_current_folder_are_short() {
        let current = std::env::current_dir().unwrap();
        assert_eq!(from_current_folder(&current.join("a/b")), Path::new("a/b"));
        assert_eq!(from_current_folder(Path::new("/a/b")), Path::new("/a/b"));
    }

    #[test]
    fn totals_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let run = good(&folder.path().join("p.png"));
        let demo = total(vec![run.clone(), run], Vec::new());
        assert_eq!((demo.frames, demo.missed, demo.buffers.len()), (600, 2, 6));
    }
}
