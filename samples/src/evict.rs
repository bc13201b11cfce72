//! The program `evict`: more buffers than there is room for, used by two devices and a display while
//! they move.

mod disturber;
mod evict_options;
mod evict_report;
mod faults;
mod frames;
mod patience;
mod random;
mod slot;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dmashare::{
    AccessConstraint, BufferDesc, Placement, Placements, Priority, Residency, RuntimeReport, Usage,
};
use dmashare_drm::{Card, Mode, Output};
use dmashare_vk::{Device, Instance, InstanceOptions, MovableImages};

use crate::agreement;
use crate::capture_target::CaptureTarget;
use crate::interrupt::Interrupt;
use crate::leaks::Baseline;
use crate::painter::Painter;
use crate::pixel_format::PixelFormat;
use crate::program::Outcome;
use crate::retirement::wait_for_retirement;
use crate::run_report;
use crate::screen::Screen;
use disturber::{Disturber, Targets};
pub use evict_options::Options;
use evict_report::Report;
use faults::{Faults, FaultyImages};
use patience::Patience;
use random::Random;
use slot::Slot;

/// How long a buffer that came back stays: short, so that a working set that is larger than the
/// budget moves on every frame, which is what this program is for.
const HOLD: Duration = Duration::ZERO;

/// Runs the program. Everything is closed before it returns, and the display shows again what it
/// showed before.
///
/// # Errors
/// No display or no device can be used, they have nothing in common, or one of them failed: the
/// message says which and what to do.
pub fn run(options: &Options) -> Result<Outcome> {
    run_report::run(options.json, |baseline| evict(options, baseline))
}

/// Everything that takes part.
struct Stage {
    first: Device,
    second: Device,
    painter: Painter,
    screen: Screen,
    capture: Option<CaptureTarget>,
    residency: Residency,
    slots: Vec<Slot>,
    format: &'static PixelFormat,
    patience: Patience,
    faults: Arc<Faults>,
    random: Random,
    report: Report,
}

fn evict(options: &Options, baseline: &mut Baseline) -> Result<Report> {
    let interrupt = Interrupt::watch()?;
    let card = agreement::open_card(&options.display)?;
    let (output, mode) = choose_output(&card, options)?;
    let instance = Instance::new(&InstanceOptions::new("evict"))?;
    let physical = instance.select(&options.display.device)?;
    let extent = mode.extent();
    let first = Device::open(&physical)?;
    let (format, modifiers) = agreement::choose_format(&first, &card, &output, extent, None)?;
    let faults = Faults::new(options.faults, options.seed);
    let plain = Device::open(&physical)?;
    let second = match options.faults {
        0 => plain,
        _ => faults::faulty(&plain, &faults)?,
    };
    let armed = Arc::new(AtomicU32::new(0));
    let images = FaultyImages {
        images: MovableImages::open(&first),
        faults: faults.clone(),
        armed: armed.clone(),
    };

    let name = format!("evict {} ", std::process::id());
    baseline.made_named(&name);
    let residency = Residency::new();
    residency.set_hold(HOLD);
    let mut wanted = AccessConstraint::default();
    wanted.placements = Placements::DEVICE;
    wanted.modifiers = Some(modifiers);
    let told = Arc::new(AtomicU64::new(0));
    let mut slots = Vec::new();
    for index in 0..options.buffers {
        let usage = Usage::RENDER | Usage::SCANOUT | Usage::TRANSFER_SOURCE;
        let desc = BufferDesc::new(format!("{name}{index}"), extent, format.fourcc(), usage);
        let buffer = residency
            .create(&images, desc, &wanted, Priority(1))
            .with_context(|| format!("buffer {index} cannot be made"))?;
        if index == 0 {
            // The size of one is known now.
            let budget = buffer.backing().bytes() * u64::from(options.budget);
            residency.set_budget(Placement::Device, budget);
        }
        slots.push(Slot::new(buffer, &first, &second, &card, &told)?);
    }
    let capture = match options.verify {
        0 => None,
        _ => {
            let capture_format = agreement::choose_capture_format(&output, format)?;
            let name = format!("{name}capture");
            Some(CaptureTarget::new(&card, name, extent, capture_format)?)
        }
    };
    armed.store(1, Ordering::Release);
    let disturber = options.disturb.then(|| {
        Disturber::start(Targets {
            buffers: slots.iter().map(|slot| slot.shared.clone()).collect(),
            device: second.clone(),
            residency: residency.clone(),
            faults: options.faults > 0,
            seed: options.seed,
        })
    });

    let mut stage = Stage {
        painter: Painter::new(&first, format.fourcc())?,
        screen: Screen::new(card.clone(), output.clone(), mode, interrupt),
        first,
        second,
        capture,
        residency,
        slots,
        format,
        patience: Patience::default(),
        faults,
        random: Random::new(options.seed),
        report: Report {
            device: physical.name().to_owned(),
            card: card.name().to_owned(),
            output: output.name().to_owned(),
            format: format.fourcc().to_string(),
            extent: [extent.width, extent.height],
            buffers: options.buffers,
            budget: options.budget,
            ..Report::default()
        },
    };
    let begun = Instant::now();
    let played = stage.play(options);
    stage.report.seconds = begun.elapsed().as_secs_f64();
    armed.store(0, Ordering::Release);
    let disturbances = disturber.map(Disturber::stop).transpose()?;
    played.inspect_err(|_| tracing::error!("{}", RuntimeReport::new()))?;
    let disturbed = disturbances.as_ref();
    let error = disturbed.and_then(|disturbances| disturbances.error.as_ref());
    stage.report.disturb_errors = error.is_some().into();
    stage.report.disturbances = disturbances;
    stage.check_all(options)?;
    stage.report.told = told.load(Ordering::Relaxed);
    stage.report.bytes_moved = images.images.bytes_moved();
    drop(images);
    stage.close(card)
}

/// The output and mode that were asked for; 1024x768 if none was and there is that.
fn choose_output(card: &Card, options: &Options) -> Result<(Output, Mode)> {
    let choose = |mode| agreement::choose_output(card, &options.display, mode);
    match options.mode.as_deref() {
        Some(mode) => choose(Some(mode)),
        None => choose(Some("1024x768")).or_else(|_| choose(None)),
    }
}

impl Stage {
    /// Closes everything, and counts what should be 0 by then.
    fn close(self, card: Card) -> Result<Report> {
        let Self {
            first,
            second,
            painter,
            screen,
            capture,
            residency,
            slots,
            patience,
            faults,
            mut report,
            ..
        } = self;
        let statistics = residency.statistics();
        report.moves = statistics.moves();
        report.evictions = statistics.evictions;
        report.restores = statistics.restores;
        report.used_away = statistics.used_away;
        report.stalled_seconds = statistics.stalled.as_secs_f64();
        report.used_bytes = residency.used(Placement::Device);
        report.budget_bytes = residency.limit(Placement::Device).unwrap_or(0);
        report.budget_errors = u64::from(report.used_bytes > report.budget_bytes);
        report.stale = patience.stale;
        report.tried_again = patience.failed;
        report.faults = faults.injected.load(Ordering::Relaxed);
        report.flips = screen.flips;
        report.flip_errors = match report.interrupted {
            true => 0,
            false => screen.flips.abs_diff(u64::from(report.frames)),
        };
        // In this order: the display lets go, and shows again what it showed before.
        drop((screen, capture));
        let buffers: Vec<_> = slots.iter().map(|slot| slot.shared.clone()).collect();
        drop(slots);
        drop(card);
        report.pins_left = buffers.iter().map(|buffer| buffer.pins() as u64).sum();
        report.attachments_left = buffers
            .iter()
            .map(|buffer| buffer.attachments().len() as u64)
            .sum();
        drop((buffers, residency, painter));
        wait_for_retirement(&[&first, &second]);
        faults::forget();
        Ok(report)
    }
}
