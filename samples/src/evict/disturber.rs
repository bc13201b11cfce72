//! A thread that does at random what the contract allows at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use dmashare::{AccessConstraint, Placement, Placements, Residency, SharedBuffer};
use dmashare_vk::Device;

use crate::evict::patience::is_passing;
use crate::evict::random::Random;

/// What the thread works on.
pub(super) struct Targets {
    pub(super) buffers: Vec<SharedBuffer>,
    pub(super) device: Device,
    pub(super) residency: Residency,
    pub(super) faults: bool,
    pub(super) seed: u64,
}

/// What the thread has done.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(super) struct Disturbances {
    /// Operations that were done.
    pub(super) done: u64,
    /// Operations that were refused for a reason that users have to live with.
    pub(super) refused: u64,
    /// The first that was refused for another reason.
    pub(super) error: Option<String>,
}

/// The thread, until it is stopped.
#[derive(Debug)]
pub(super) struct Disturber {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Disturbances>,
}

impl Disturber {
    pub(super) fn start(targets: Targets) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        Self {
            stop,
            thread: std::thread::spawn(move || disturb(targets, &stopped)),
        }
    }

    /// Ends the thread, which lets go of everything.
    pub(super) fn stop(self) -> Result<Disturbances> {
        self.stop.store(true, Ordering::Release);
        let ended = self.thread.join();
        ended.map_err(|_| anyhow!("the disturbing thread panicked"))
    }
}

fn disturb(targets: Targets, stop: &AtomicBool) -> Disturbances {
    let mut random = Random::new(targets.seed ^ 0xd157);
    let mut disturbances = Disturbances::default();
    while !stop.load(Ordering::Acquire) {
        let result = one(&targets, &mut random);
        targets.device.dispatch();
        targets.residency.dispatch();
        match result {
            Ok(()) => disturbances.done += 1,
            Err(error) if is_passing(&error, targets.faults) => disturbances.refused += 1,
            Err(error) => {
                let text = crate::program::message(&error);
                disturbances.error.get_or_insert(text);
            }
        }
        std::thread::sleep(Duration::from_micros(random.below(3000) as u64));
    }
    disturbances
}

/// One random operation.
fn one(targets: &Targets, random: &mut Random) -> Result<()> {
    let buffer = &targets.buffers[random.below(targets.buffers.len())];
    let device = &targets.device;
    let pause = Duration::from_micros(random.below(5000) as u64);
    match random.below(6) {
        0 => {
            // Pinned where it is.
            let attachment = buffer.attach_dynamic(device, Arc::new(AtomicBool::new(false)))?;
            let _pin = attachment.pin("disturber")?;
            std::thread::sleep(pause);
        }
        1 => {
            // Attached without a callback.
            let attachment = buffer.attach(device)?;
            std::thread::sleep(pause);
            drop(attachment.map()?);
        }
        2 => {
            // Mapped, and kept for a while after it has gone stale.
            let told = Arc::new(AtomicU64::new(0));
            let counted = told.clone();
            let attachment =
                buffer.attach_dynamic(device, move |_: &dmashare::InvalidationContext<'_>| {
                    counted.fetch_add(1, Ordering::Relaxed);
                })?;
            let mapping = attachment.map()?;
            std::thread::sleep(pause);
            if mapping.is_stale() {
                // The callbacks run while the move goes on.
                let begun = Instant::now();
                while told.load(Ordering::Relaxed) == 0 {
                    anyhow::ensure!(
                        begun.elapsed() < Duration::from_secs(5),
                        "'{}' moved without a word",
                        buffer.desc().name
                    );
                    std::thread::yield_now();
                }
            }
        }
        3 => {
            let bytes = buffer.backing().bytes() * (1 + random.below(3) as u64);
            targets.residency.trim(Placement::Device, bytes);
        }
        4 => {
            let places = [
                Placements::HOST | Placements::SHMEM,
                Placements::DEVICE,
                Placements::DEVICE,
            ];
            let place = places[random.below(places.len())];
            buffer.move_to(&AccessConstraint::placements(place))?;
        }
        _ => drop(buffer.export("disturber's client")?),
    }
    Ok(())
}
