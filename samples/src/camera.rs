//! The program `camera`: a camera's own buffers on a display, under a layer that Vulkan draws.
//!
//! ```text
//! camera ──VIDIOC_EXPBUF──▶ SharedBuffer ──▶ display, on a plane of its own
//!                                        ──▶ Vulkan, which reads it (--verify)
//! Vulkan ──export─────────▶ SharedBuffer ──▶ display, on the plane above
//!                                        ──▶ encoder ──▶ decoder ──▶ compared (--encode)
//! ```
//!
//! Each frame is one atomic commit. No pixel is copied to be shown or encoded.

mod buffers;
mod camera_options;
mod camera_report;
mod check;
mod coding;
mod pattern;
mod show;
mod stage;

use anyhow::{Context as _, Result, ensure};
use dmashare::{BufferDesc, Extent, Fourcc, Modifier, Usage};
use dmashare_lab_probe::read_bufinfo;
use dmashare_v4l2::V4l2Capture;
use dmashare_vk::{Device, Instance, InstanceOptions};

use crate::agreement;
use crate::drawn_buffer::DrawnBuffer;
use crate::frame_pixels::FramePixels;
use crate::interrupt::Interrupt;
use crate::leaks::Baseline;
use crate::painter::Painter;
use crate::program::Outcome;
use crate::retirement::wait_for_retirement;
use crate::run_report;
use crate::screen::Screen;
use buffers::{CameraFrame, vulkan_imports};
pub use camera_options::Options;
use camera_report::{DmabufReport, Report};
use check::Checks;
use coding::Coding;
use pattern::Pattern;
use show::Show;
use stage::Stage;

/// Of the camera: one on the screen, one that waits for its flip, two to be filled.
const CAMERA_BUFFERS: usize = 4;
/// Of the layer: one on the screen, one that waits for its flip, one that is drawn.
const LAYER_BUFFERS: usize = 3;
/// A format that display, encoder and picture all have.
const LAYER_FORMAT: Fourcc = Fourcc::ARGB8888;

/// Runs the program. Everything is closed before it returns, and the display shows again what it
/// showed before.
///
/// # Errors
/// No camera, display or device can be used, they have nothing in common, or one of them failed: the
/// message says which and what to do.
pub fn run(options: &Options) -> Result<Outcome> {
    run_report::run(options.json, |baseline| show(options, baseline))
}

fn show(options: &Options, baseline: &mut Baseline) -> Result<Report> {
    let interrupt = Interrupt::watch()?;
    let camera = V4l2Capture::open(options.camera.as_deref(), options.format, options.extent)
        .context("no camera can be used")?;
    ensure!(
        !options.format.info().is_some_and(|info| info.has_alpha),
        "a display would blend with the alpha of {}, which a camera does not capture: choose a --format \
         without alpha, such as XR24",
        options.format
    );
    ensure!(
        options.verify.is_none() || FramePixels::knows(options.format),
        "frames of {} cannot be compared: leave --verify out, or choose another --format",
        options.format
    );
    let card = agreement::open_card(&options.display)?;
    let (output, mode) =
        agreement::choose_output(&card, &options.display, options.mode.as_deref())?;
    let stage = Stage::choose(
        &output,
        mode.extent(),
        options.format,
        LAYER_FORMAT,
        options.extent,
    )?;
    let instance = Instance::new(&InstanceOptions::new("camera"))?;
    let physical = instance.select(&options.display.device)?;
    let device = Device::open(&physical)?;
    let prefix = format!("camera {} ", std::process::id());
    baseline.made_named(&prefix);
    let name = |part: &str| format!("{prefix}{part}");
    let mut coding = options
        .encode
        .map(|_| Coding::open(options, &name("decoded"), LAYER_FORMAT, options.extent))
        .transpose()?;
    let import = vulkan_imports(&physical, options.format, options.extent);
    let mut frames = (0..CAMERA_BUFFERS)
        .map(|index| {
            let importer = import.is_ok().then_some(&device);
            CameraFrame::new(name(&format!("frame {index}")), &camera, &card, importer)
        })
        .collect::<Result<Vec<_>>>()?;
    // The encoder takes linear buffers only.
    let drawn = |part: &str, extent: Extent, format: Fourcc, usage: Usage| {
        let desc = BufferDesc::new(name(part), extent, format, usage);
        DrawnBuffer::new(desc, &[Modifier::LINEAR], &device, &card)
            .with_context(|| format!("no buffer for the {part}"))
    };
    let layers = (0..LAYER_BUFFERS)
        .map(|index| {
            let usage = agreement::USAGE | Usage::ENCODE;
            let part = format!("layer {index}");
            let layer = drawn(&part, options.extent, LAYER_FORMAT, usage)?;
            let encoded = coding.as_ref().map(|coding| coding.attach(&layer.shared));
            Ok((layer, encoded.transpose()?))
        })
        .collect::<Result<Vec<_>>>()?;
    let background = stage.has_background.then(|| {
        let format = Fourcc::XRGB8888;
        let buffer = drawn("background", mode.extent(), format, agreement::USAGE)?;
        // The painter waits for its last frame when it is dropped.
        Painter::new(&device, format)?.draw(&buffer.image, 0)?;
        anyhow::Ok(buffer)
    });
    let background = background.transpose()?;
    let pattern = Pattern::set(camera.device()).context("the test pattern cannot be set")?;
    let mut checks = Checks::new(
        options,
        &name("capture"),
        &card,
        &output,
        mode.extent(),
        &device,
        pattern.is_some(),
    )?;
    for inode in coding.iter().flat_map(Coding::coded_inodes) {
        baseline.made(inode);
    }

    let mut screen = Screen::new(card.clone(), output.clone(), mode, interrupt);
    let mut painter = Painter::new(&device, LAYER_FORMAT)?;
    let (frames_shown, damaged) = {
        let mut show = Show {
            options,
            stage: &stage,
            camera: &camera,
            device: &device,
            screen: &mut screen,
            painter: &mut painter,
            frames: &mut frames,
            layers: &layers,
            background: background.as_ref(),
            checks: &mut checks,
            coding: coding.as_mut(),
            damaged: 0,
        };
        let shown = show.run()?;
        (shown, show.damaged)
    };
    // While the last frame is on screen and all buffers are attached.
    let dmabufs = kernel_list(&frames);
    let color = camera.format().color;
    let result = coding.as_ref().map(|coding| coding.result.clone());
    let report = Report {
        camera: camera.device().name().to_owned(),
        format: options.format.to_string(),
        extent: [options.extent.width, options.extent.height],
        color: format!("{:?} {:?}", color.matrix, color.range),
        device: physical.name().to_owned(),
        card: card.name().to_owned(),
        output: output.name().to_owned(),
        mode: mode.to_string(),
        planes: stage.planes(),
        frames: frames_shown.into(),
        flips: screen.flips,
        dropped: camera.dropped(),
        damaged,
        checks: checks.result.clone(),
        dmabufs,
        vulkan_import: match &import {
            Ok(()) => "the camera's own buffers".to_owned(),
            Err(reason) => format!("none of them: {reason}"),
        },
        coding: result.unwrap_or_default(),
        // Without the bytes that were read to be compared.
        copied_bytes: device
            .bytes_copied()
            .saturating_sub(checks.result.vulkan_bytes),
        interrupted: screen.is_interrupted(),
    };
    // In this order: the display lets go of the frames and shows again what it showed before; the codecs
    // and the camera are closed; then the device is idle and may destroy what it has.
    camera.stop()?;
    drop(pattern);
    drop((checks, painter, frames, layers, background, coding));
    drop((screen, output, card, camera));
    wait_for_retirement(&[&device]);
    Ok(report)
}

/// What the kernel knows of the camera's dma-bufs; nothing where its list can't be read.
fn kernel_list(frames: &[CameraFrame]) -> Vec<DmabufReport> {
    let list = read_bufinfo().unwrap_or_default();
    let ours = list.into_iter().filter(|entry| {
        let mut frames = frames.iter();
        frames.any(|frame| frame.inode() == entry.inode)
    });
    let reports = ours.map(|entry| DmabufReport {
        inode: entry.inode,
        exporter: entry.exporter,
        attached: entry.attached,
    });
    reports.collect()
}
