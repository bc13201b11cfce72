//! The program `scanout`: three buffers, drawn by Vulkan, shown by a display, in turn.

mod captures;
mod frame_buffer;
mod kernel_list;
mod options;
mod report;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dmashare_vk::{Device, Instance, InstanceOptions};

pub use kernel_list::BufferReport;
pub use options::Options;
pub use report::{Report, Verdict};

use crate::agreement;
use crate::interrupt::{self, Interrupt};
use crate::leaks::Baseline;
use crate::painter::Painter;
use crate::program::Outcome;
use crate::progress::Progress;
use crate::screen::Screen;
use captures::Captures;
use dmashare_lab_probe::{BUFINFO, read_bufinfo};
use frame_buffer::FrameBuffer;
use kernel_list::KernelList;

/// One buffer is on screen, one waits for its flip, one is drawn.
const BUFFERS: usize = 3;

/// How long destruction of what was retired is waited for at the end.
const LAST_RETIREMENT: Duration = Duration::from_secs(5);

/// Runs the program. Everything is closed before it returns, and the display shows again what it
/// showed before.
///
/// # Errors
/// No display or no device can be used, they have nothing in common, or one of them failed: the
/// message says which and what to do.
pub fn run(options: &Options) -> Result<Outcome> {
    let mut baseline = Baseline::take().context("the open files cannot be counted")?;
    let mut report = show(options, &mut baseline)?;
    let leaks = baseline
        .compare()
        .context("the open files cannot be counted")?;
    report.fds_leaked = leaks.fds_leaked;
    report.dmabufs_leaked = leaks.dmabufs_leaked;
    report.files_left.extend(leaks.files);
    Ok(Outcome {
        output: match options.json {
            true => report.to_json()?,
            false => report.to_text(),
        },
        status: match (report.is_good(), report.interrupted) {
            (false, _) => 1,
            (true, true) => interrupt::EXIT_STATUS,
            (true, false) => 0,
        },
    })
}

fn show(options: &Options, baseline: &mut Baseline) -> Result<Report> {
    let interrupt = Interrupt::watch()?;
    if options.verify.is_some() {
        read_bufinfo().with_context(|| {
            format!(
                "--verify needs {}, which only root may read, with debugfs mounted",
                BUFINFO
            )
        })?;
    }
    let card = agreement::open_card(options.card.as_deref())?;
    let (output, mode) =
        agreement::choose_output(&card, options.output.as_deref(), options.mode.as_deref())?;
    let instance = Instance::new(&InstanceOptions::new("scanout"))?;
    let physical = instance.select(&options.device)?;
    let extent = mode.extent();
    let device = Device::open(&physical)?;
    let (format, modifiers) =
        agreement::choose_format(&device, &card, &output, extent, options.format)?;
    let capture_format = match (options.verify, &options.png, output.has_writeback()) {
        (None, None, _) | (None, Some(_), false) => None,
        _ => Some(agreement::choose_capture_format(&output, format)?),
    };

    let mut painter = Painter::new(&device, format.fourcc())?;
    let buffers = (0..BUFFERS)
        .map(|index| {
            let name = format!("scanout {} frame {index}", std::process::id());
            FrameBuffer::new(name, extent, format.fourcc(), &modifiers, &device, &card)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut captures = Captures::new(options, &card, extent, format, capture_format)?;
    for inode in buffers
        .iter()
        .map(FrameBuffer::inode)
        .chain(captures.inode())
    {
        baseline.made(inode);
    }

    let mut screen = Screen::new(card.clone(), output.clone(), mode, interrupt);
    let begun = Instant::now();
    let frames = animate(
        options.frames,
        &mut screen,
        &device,
        &mut painter,
        &buffers,
        &mut captures,
    )?;
    let seconds = begun.elapsed().as_secs_f64();
    // While the last frame is on screen and all buffers are attached.
    let list = KernelList::read(&buffers, card.path());
    if let Some(hold) = options.hold {
        hold_last_frame(&mut screen, hold)?;
    }
    let bytes_copied = device.bytes_copied();
    let modifier = buffers[0].shared.backing().dmabuf().layout().modifier();
    let report = Report {
        device: physical.name().to_owned(),
        card: card.name().to_owned(),
        output: output.name().to_owned(),
        format: format.fourcc().to_string(),
        modifier: modifier.to_string(),
        extent: [extent.width, extent.height],
        mode: mode.to_string(),
        frames,
        flips: screen.flips,
        missed: screen.missed,
        seconds,
        bytes_copied,
        captured: captures.captured,
        captures_expected: captures.expected(),
        captured_from: captures.source(),
        pixels_checked: captures.comparison.pixels_checked,
        pixel_errors: captures.comparison.pixel_errors,
        first_pixel_error: captures
            .comparison
            .first_error
            .as_ref()
            .map(ToString::to_string),
        buffers: list.buffers,
        bufinfo_errors: list.errors.len(),
        bufinfo_messages: list.errors.into_iter().chain(list.unreadable).collect(),
        png: captures.png.clone(),
        atomic_ioctls: card.statistics().atomic_ioctls,
        hotplugs: screen.hotplugs,
        interrupted: screen.is_interrupted(),
        fds_leaked: 0,
        files_left: Vec::new(),
        dmabufs_leaked: None,
    };
    // In this order: the display lets go of the frames and shows again what it showed before; then
    // the device is idle and may destroy them.
    drop((captures, painter, buffers));
    drop((screen, output, card));
    let deadline = Instant::now() + LAST_RETIREMENT;
    while device.retired() > 0 && Instant::now() < deadline {
        device.dispatch();
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(report)
}

/// The loop as an application would have it: take a buffer that nobody uses, draw, show, and let
/// both devices clean up. Returns how many frames were shown.
fn animate(
    frames: u32,
    screen: &mut Screen,
    device: &Device,
    painter: &mut Painter,
    buffers: &[FrameBuffer],
    captures: &mut Captures,
) -> Result<u32> {
    let mut progress = Progress::new(u64::from(frames), "frames");
    let mut shown = 0;
    while shown < frames && !screen.is_interrupted() {
        let Some(buffer) = buffers.iter().find(|buffer| buffer.is_free()) else {
            screen.wait_for_event("no free buffer")?;
            continue;
        };
        let fence = painter.draw(&buffer.image, shown)?;
        captures.finish(screen)?;
        let target = captures.target_for(shown);
        let commit = screen.show(&buffer.framebuffer, &fence, target)?;
        if target.is_some() {
            captures.begun(commit, shown);
        } else if captures.wants(shown) {
            fence.wait(LAST_RETIREMENT)?;
            captures.read_buffer(shown, buffer)?;
        }
        device.dispatch();
        shown += 1;
        progress.step();
    }
    captures.finish(screen)?;
    screen.wait_for_flip()?;
    Ok(shown)
}

fn hold_last_frame(screen: &mut Screen, hold: Duration) -> Result<()> {
    let begun = Instant::now();
    while !screen.is_interrupted() {
        let left = hold.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break;
        }
        screen.dispatch(left.min(Duration::from_millis(100)))?;
    }
    Ok(())
}
