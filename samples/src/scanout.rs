//! The program `scanout`: three buffers, drawn by Vulkan, shown by a display, in turn.

mod captures;
mod kernel_list;
mod scanout_options;
mod scanout_report;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dmashare::BufferDesc;
use dmashare_lab_probe::{BUFINFO, read_bufinfo};
use dmashare_vk::{Device, Instance, InstanceOptions};

use crate::agreement;
use crate::drawn_buffer::{DrawnBuffer, is_free};
use crate::interrupt::Interrupt;
use crate::leaks::Baseline;
use crate::painter::Painter;
use crate::program::Outcome;
use crate::progress::Progress;
use crate::retirement::wait_for_retirement;
use crate::run_report;
use crate::screen::Screen;
use captures::Captures;
use kernel_list::KernelList;
pub use scanout_options::Options;
use scanout_report::Report;

/// One buffer is on screen, one waits for its flip, one is drawn.
const BUFFERS: usize = 3;

/// How long one frame may take to be drawn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the program. Everything is closed before it returns, and the display shows again what it
/// showed before.
///
/// # Errors
/// No display or no device can be used, they have nothing in common, or one of them failed: the
/// message says which and what to do.
pub fn run(options: &Options) -> Result<Outcome> {
    run_report::run(options.json, |baseline| show(options, baseline))
}

fn show(options: &Options, baseline: &mut Baseline) -> Result<Report> {
    let interrupt = Interrupt::watch()?;
    if options.verify.is_some() {
        read_bufinfo().with_context(|| {
            format!("--verify needs {BUFINFO}, which only root may read, with debugfs mounted")
        })?;
    }
    let card = agreement::open_card(&options.display)?;
    let (output, mode) =
        agreement::choose_output(&card, &options.display, options.mode.as_deref())?;
    let instance = Instance::new(&InstanceOptions::new("scanout"))?;
    let physical = instance.select(&options.display.device)?;
    let extent = mode.extent();
    let device = Device::open(&physical)?;
    let (format, modifiers) =
        agreement::choose_format(&device, &card, &output, extent, options.format)?;
    let capture_format = match (options.verify, &options.png, output.has_writeback()) {
        (None, None, _) | (None, Some(_), false) => None,
        _ => Some(agreement::choose_capture_format(&output, format)?),
    };

    let mut painter = Painter::new(&device, format.fourcc())?;
    let name = format!("scanout {} ", std::process::id());
    baseline.made_named(&name);
    let buffers = (0..BUFFERS)
        .map(|index| {
            let name = format!("{name}frame {index}");
            let desc = BufferDesc::new(name, extent, format.fourcc(), agreement::USAGE);
            DrawnBuffer::new(desc, &modifiers, &device, &card)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut captures = Captures::new(options, &name, &card, extent, format, capture_format)?;

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
        comparison: captures.comparison.clone(),
        buffers: list.buffers,
        bufinfo_errors: list.errors.len(),
        bufinfo_messages: list.errors.into_iter().chain(list.unreadable).collect(),
        png: captures.png.clone(),
        atomic_ioctls: card.statistics().atomic_ioctls,
        hotplugs: screen.hotplugs,
        interrupted: screen.is_interrupted(),
        ..Report::default()
    }
    .count_missing();
    // In this order: the display lets go of the frames and shows again what it showed before; then
    // the device is idle and may destroy them.
    drop((captures, painter, buffers));
    drop((screen, output, card));
    wait_for_retirement(&[&device]);
    Ok(report)
}

/// The loop as an application would have it: take a free buffer, draw, show, and let both devices
/// clean up. Returns how many frames were shown.
fn animate(
    frames: u32,
    screen: &mut Screen,
    device: &Device,
    painter: &mut Painter,
    buffers: &[DrawnBuffer],
    captures: &mut Captures,
) -> Result<u32> {
    let mut progress = Progress::new(u64::from(frames), "frames");
    let mut shown = 0;
    while shown < frames && !screen.is_interrupted() {
        let Some(buffer) = buffers.iter().find(|buffer| is_free(&buffer.shared)) else {
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
            fence.wait(PATIENCE)?;
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
