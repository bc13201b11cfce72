//! The program `evict`: more buffers than there is room for, used by two devices and a display while
//! they move.

mod disturber;
mod faults;
mod options;
mod patience;
mod random;
mod report;
mod slot;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dmashare::{
    AccessConstraint, BufferDesc, MoveError, Placement, Placements, Priority, Residency,
    RuntimeReport, Usage,
};
use dmashare_drm::Card;
use dmashare_vk::{Device, Instance, InstanceOptions, MovableImages};

pub use disturber::Disturbances;
pub use options::Options;
pub use report::Report;

use crate::agreement;
use crate::capture_target::CaptureTarget;
use crate::interrupt::{self, Interrupt};
use crate::leaks::Baseline;
use crate::painter::Painter;
use crate::picture::Picture;
use crate::pixel_format::PixelFormat;
use crate::program::Outcome;
use crate::progress::Progress;
use crate::screen::Screen;
use disturber::{Disturber, Targets};
use faults::{Faults, FaultyImages};
use patience::Patience;
use random::Random;
use slot::{Slot, hash_of, hash_of_picture};

/// How long destruction of what was retired is waited for at the end.
const LAST_RETIREMENT: Duration = Duration::from_secs(5);

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
    let mut baseline = Baseline::take().context("the open files cannot be counted")?;
    let mut report = evict(options, &mut baseline)?;
    let leaks = baseline
        .compare()
        .context("the open files cannot be counted")?;
    report.fds_leaked = leaks.fds_leaked;
    report.files_left = leaks.files;
    report.dmabufs_leaked = leaks.dmabufs_leaked;
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
    let card = agreement::open_card(options.card.as_deref())?;
    let (output, mode) = choose_output(&card, options)?;
    let instance = Instance::new(&InstanceOptions::new("evict"))?;
    let physical = instance.select(&options.device)?;
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
            // What one takes is known now.
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
    stage.report.disturb_errors = disturbances
        .as_ref()
        .map_or(0, |disturbances| u64::from(disturbances.error.is_some()));
    stage.report.disturbances = disturbances;
    stage.check_all(options)?;
    stage.report.told = told.load(Ordering::Relaxed);
    stage.report.bytes_moved = images.images.bytes_moved();
    drop(images);
    stage.close(card)
}

/// The output and mode that were asked for; 1024x768 if none was and there is that.
fn choose_output(
    card: &Card,
    options: &Options,
) -> Result<(dmashare_drm::Output, dmashare_drm::Mode)> {
    let name = options.output.as_deref();
    if let Some(mode) = options.mode.as_deref() {
        return agreement::choose_output(card, name, Some(mode));
    }
    agreement::choose_output(card, name, Some("1024x768"))
        .or_else(|_| agreement::choose_output(card, name, None))
}

impl Stage {
    /// The frames. In each, the next buffer is drawn and shown, the one on screen refuses to move,
    /// and some others are read back.
    fn play(&mut self, options: &Options) -> Result<()> {
        let mut progress = Progress::new(u64::from(options.frames), "frames");
        let count = self.slots.len();
        let faults = options.faults > 0;
        for frame in 0..options.frames {
            if self.screen.is_interrupted() {
                self.report.interrupted = true;
                break;
            }
            let index = frame as usize % count;
            self.draw_and_show(index, frame, options, faults)?;
            self.try_to_evict(index)?;
            for read in 0..options.reads {
                let index = self.random.below(count);
                self.read_back(index, read % 2 == 1, faults)?;
            }
            self.first.dispatch();
            self.second.dispatch();
            self.residency.dispatch();
            self.report.frames += 1;
            progress.step();
        }
        self.screen.wait_for_flip()
    }

    fn draw_and_show(
        &mut self,
        index: usize,
        frame: u32,
        options: &Options,
        faults: bool,
    ) -> Result<()> {
        let slot = &mut self.slots[index];
        let name = slot.shared.desc().name.clone();
        let painter = &mut self.painter;
        let fence = self
            .patience
            .again(&format!("drawing '{name}'"), faults, || {
                painter.draw(&slot.on_first.map()?, frame)
            })?;
        let hash = hash_of_picture(slot.shared.desc().extent, frame, self.format);
        slot.content = Some((frame, hash));
        let generation = slot.shared.backing().generation().as_u64();
        let has_moved = slot.shown != Some(generation);
        let captured = match &mut self.capture {
            Some(target) if frame.is_multiple_of(options.verify) || has_moved => Some(target),
            _ => None,
        };
        let screen = &mut self.screen;
        let commit = self
            .patience
            .again(&format!("showing '{name}'"), faults, || {
                let framebuffer = slot.on_card.map()?;
                screen.show(
                    &framebuffer,
                    &fence,
                    captured.as_deref().map(CaptureTarget::mapping),
                )
            })?;
        slot.shown = Some(slot.shared.backing().generation().as_u64());
        if let Some(target) = captured {
            self.report.captures_expected += 1;
            screen
                .wait_for_capture(commit)
                .with_context(|| format!("frame {frame} was not captured"))?;
            let picture = Picture::new(slot.shared.desc().extent, frame);
            let comparison = target.read(frame)?.compare(&picture, self.format);
            self.report.captured += 1;
            self.report.comparison(&comparison);
        }
        Ok(())
    }

    /// What is on the screen does not move, and the refusal says why.
    fn try_to_evict(&mut self, index: usize) -> Result<()> {
        let shared = &self.slots[index].shared;
        let generation = shared.backing().generation();
        let away = AccessConstraint::placements(Placements::HOST | Placements::SHMEM);
        match shared.move_to(&away) {
            Err(MoveError::Pinned { pins, .. }) => {
                let scanout = format!("scanout {}", self.report.output);
                if pins.iter().any(|pin| *pin.label == *scanout) {
                    self.report.refused += 1;
                } else {
                    self.report.pin_errors += 1;
                }
            }
            // It may be in host memory already.
            Ok(moved) if moved.fence().is_none() => {}
            _ => self.report.pin_errors += 1,
        }
        if shared.backing().generation() != generation {
            self.report.pin_errors += 1;
        }
        Ok(())
    }

    /// Reads a buffer with one of the devices and compares its hash.
    fn read_back(&mut self, index: usize, by_second: bool, faults: bool) -> Result<()> {
        let slot = &self.slots[index];
        let Some((frame, expected)) = slot.content else {
            return Ok(());
        };
        let (device, attachment) = match by_second {
            false => (&self.first, &slot.on_first),
            true => (&self.second, &slot.on_second),
        };
        let name = &slot.shared.desc().name;
        let rows = self
            .patience
            .again(&format!("reading '{name}'"), faults, || {
                Ok(device.transfer().download(&attachment.map()?)?)
            })?;
        self.report.hashes_checked += 1;
        if hash_of(&rows, self.format) != expected {
            self.report.hash_errors += 1;
            let generation = slot.shared.backing().generation().as_u64();
            self.report.first_hash_error.get_or_insert_with(|| {
                format!(
                    "'{name}', frame {frame}, generation {generation}, second device: {by_second}"
                )
            });
        }
        Ok(())
    }

    /// Every buffer, by both devices.
    fn check_all(&mut self, options: &Options) -> Result<()> {
        let mut progress = Progress::new(self.slots.len() as u64, "buffers compared");
        for index in 0..self.slots.len() {
            for by_second in [false, true] {
                self.read_back(index, by_second, options.faults > 0)?;
            }
            self.first.dispatch();
            self.second.dispatch();
            self.residency.dispatch();
            progress.step();
        }
        Ok(())
    }

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
        let deadline = Instant::now() + LAST_RETIREMENT;
        while first.retired() + second.retired() > 0 && Instant::now() < deadline {
            first.dispatch();
            second.dispatch();
            std::thread::sleep(Duration::from_millis(1));
        }
        faults::forget();
        Ok(report)
    }
}
