//! The program `camera`: a camera's own buffers on a display, under a layer that Vulkan draws.
//!
//! ```text
//! camera ──VIDIOC_EXPBUF──▶ SharedBuffer ──▶ display, on a plane of its own
//!                                        ──▶ Vulkan, which reads it (--verify)
//! Vulkan ──export─────────▶ SharedBuffer ──▶ display, on the plane above
//!                                        ──▶ encoder ──▶ decoder ──▶ compared (--encode)
//! ```
//!
//! Each frame is one atomic commit. Nobody copies a pixel to show or to encode it.

mod buffers;
mod check;
mod coding;
mod options;
mod pattern;
mod report;
mod show;
mod stage;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dmashare::{BufferDesc, Fourcc, Mapping, Modifier, SharedBuffer};
use dmashare_drm::Card;
use dmashare_lab_probe::read_bufinfo;
use dmashare_vk::{Device, Instance, InstanceOptions};

pub use options::Options;
pub use report::{DmabufReport, Report};

use crate::agreement;
use crate::frame_pixels::FramePixels;
use crate::interrupt::{self, Interrupt};
use crate::leaks::Baseline;
use crate::painter::Painter;
use crate::program::Outcome;
use crate::screen::Screen;
use crate::v4l2::V4l2Capture;
use buffers::{CameraFrame, LayerFrame, vulkan_imports};
use check::Checks;
use coding::{Coding, CodingResult};
use pattern::Pattern;
use show::Show;
use stage::Stage;

/// Of the camera: one on the screen, one that waits for its flip, two to be filled.
const CAMERA_BUFFERS: usize = 4;
/// Of the layer: one on the screen, one that waits for its flip, one that is drawn.
const LAYER_BUFFERS: usize = 3;
/// What display, encoder and picture all have.
const LAYER_FORMAT: Fourcc = Fourcc::ARGB8888;

/// How long destruction of what was retired is waited for at the end.
const LAST_RETIREMENT: Duration = Duration::from_secs(5);

/// Runs the program. Everything is closed before it returns, and the display shows again what it
/// showed before.
///
/// # Errors
/// No camera, display or device can be used, they have nothing in common, or one of them failed: the
/// message says which and what to do.
pub fn run(options: &Options) -> Result<Outcome> {
    let mut baseline = Baseline::take().context("the open files cannot be counted")?;
    let mut report = show(options, &mut baseline)?;
    let leaks = baseline
        .compare()
        .context("the open files cannot be counted")?;
    report.fds_leaked = leaks.fds_leaked;
    report.dmabufs_leaked = leaks.dmabufs_leaked;
    report.files_left = leaks.files;
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
    let camera = V4l2Capture::open(options.camera.as_deref(), options.format, options.extent)
        .context("no camera can be used")?;
    ensure!(
        !options.format.info().is_some_and(|info| info.has_alpha),
        "the alpha of {} is whatever the camera's driver writes there, and a display would blend with it: \
         choose a --format without alpha, such as XR24",
        options.format
    );
    ensure!(
        options.verify.is_none() || FramePixels::knows(options.format),
        "frames of {} cannot be compared: leave --verify out, or choose another --format",
        options.format
    );
    let card = agreement::open_card(options.card.as_deref())?;
    let (output, mode) =
        agreement::choose_output(&card, options.output.as_deref(), options.mode.as_deref())?;
    let stage = Stage::choose(
        &output,
        mode.extent(),
        options.format,
        LAYER_FORMAT,
        options.extent,
    )?;
    let instance = Instance::new(&InstanceOptions::new("camera"))?;
    let physical = instance.select(&options.device)?;
    let device = Device::open(&physical)?;
    let name = |part: &str| format!("camera {} {part}", std::process::id());
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
    let layers = (0..LAYER_BUFFERS)
        .map(|index| {
            LayerFrame::new(
                name(&format!("layer {index}")),
                options.extent,
                LAYER_FORMAT,
                &device,
                &card,
                coding.as_ref(),
            )
        })
        .collect::<Result<Vec<_>>>()?;
    let background = stage.has_background.then(|| {
        let desc = BufferDesc::new(
            name("background"),
            mode.extent(),
            Fourcc::XRGB8888,
            agreement::USAGE,
        );
        Background::draw(desc, &device, &card)
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
    let inodes = frames.iter().map(CameraFrame::inode);
    let inodes = inodes.chain(layers.iter().map(LayerFrame::inode));
    let inodes = inodes.chain(background.iter().map(Background::inode));
    let inodes = inodes.chain(coding.iter().flat_map(Coding::inodes));
    for inode in inodes.chain(checks.inode()) {
        baseline.made(inode);
    }

    let mut screen = Screen::new(card.clone(), output.clone(), mode, interrupt);
    let mut painter = Painter::new(&device, LAYER_FORMAT)?;
    let shown = {
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
    let result = coding
        .as_ref()
        .map_or_else(CodingResult::default, |coding| {
            CodingResult::clone(&coding.result)
        });
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
        frames: shown.0.into(),
        flips: screen.flips,
        dropped: camera.dropped(),
        damaged: shown.1,
        captured: checks.captured,
        pixels_checked: checks.pixels_checked,
        pixel_errors: checks.pixel_errors,
        first_pixel_error: checks.first_pixel_error.clone(),
        pattern_errors: pattern
            .as_ref()
            .filter(|_| checks.captured > 0)
            .map(|_| checks.pattern_errors),
        pattern_places: checks.pattern_places.len(),
        dmabufs,
        vulkan_import: match &import {
            Ok(()) => "the camera's own buffers".to_owned(),
            Err(reason) => format!("none of them: {reason}"),
        },
        vulkan_bytes: checks.vulkan_bytes,
        vulkan_errors: checks.vulkan_errors,
        encoded: result.frames,
        coded_bytes: result.bytes,
        codec_errors: result.errors,
        first_codec_error: result.first_error,
        codec_worst: result.worst,
        codec_psnr: result.least_psnr,
        // What was read in order to be compared is not for showing.
        copied_bytes: device.bytes_copied().saturating_sub(checks.vulkan_bytes),
        interrupted: screen.is_interrupted(),
        fds_leaked: 0,
        files_left: Vec::new(),
        dmabufs_leaked: None,
    };
    // In this order: the display lets go of the frames and shows again what it showed before; the codecs
    // and the camera are closed; then the device is idle and may destroy what it has.
    camera.stop()?;
    drop(pattern);
    drop((checks, painter, frames, layers, background, coding));
    drop((screen, output, card, camera));
    let deadline = Instant::now() + LAST_RETIREMENT;
    while device.retired() > 0 && Instant::now() < deadline {
        device.dispatch();
        std::thread::sleep(Duration::from_millis(1));
    }
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

/// A still picture on the primary plane, drawn once.
#[derive(Debug)]
struct Background {
    shared: SharedBuffer,
    shown: Mapping<Card>,
}

impl Background {
    fn draw(desc: BufferDesc, device: &Device, card: &Card) -> Result<Self> {
        let format = desc.format;
        let shared = SharedBuffer::new(device, desc, &[Modifier::LINEAR])
            .context("no buffer can be allocated and exported for the background")?;
        let image = shared.attach(device)?.map()?;
        // The painter waits for its last frame when it is dropped.
        Painter::new(device, format)?.draw(&image, 0)?;
        let shown = shared.attach(card)?.map()?;
        Ok(Self { shared, shown })
    }

    fn inode(&self) -> u64 {
        self.shared.backing().dmabuf().id().inode()
    }
}
