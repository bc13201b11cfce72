//! A new image leaves layout `UNDEFINED`, once, and is released to everyone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ash::vk;
use dmashare::{ExportError, Fence, FenceStatus, Timeline};

use crate::core::barrier::{Side, release_image};
use crate::core::commands::OneTimeCommands;
use crate::core::device_core::DeviceCore;
use crate::device::Device;
use crate::device::retired::{InFlight, Retired};
use crate::error::Failure;
use crate::image::ImageInner;
use crate::queue::submit_failure::SubmitFailure;

/// No timeline has this point.
const OWED: u64 = u64::MAX;

/// How far an image's first release is: owed, at a point of its exporter's timeline, or over (0, which
/// every timeline has reached).
#[derive(Debug, Default)]
pub(crate) struct FirstRelease(AtomicU64);

impl FirstRelease {
    /// The image is new, and nobody has used it. Of an imported one nothing is owed: its content is
    /// others'.
    pub(crate) fn owed() -> Self {
        Self(AtomicU64::new(OWED))
    }

    fn point(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Device {
    /// Takes an image that this device has exported out of layout `UNDEFINED` and releases it to
    /// everyone, so that the first acquire, whoever does it, finds what every later one finds. Does
    /// not wait: until the work is over, every caller gets its fence. The work keeps the image.
    pub(crate) fn release_first(
        &self,
        image: &Arc<ImageInner>,
    ) -> Result<Option<Fence>, ExportError> {
        let timeline = self.timeline();
        let mut point = image.first_release.point();
        if point == OWED {
            let submitted = self.submit_first_release(image);
            point = submitted.map_err(|failure| failure.export(&self.core().name))?;
        }
        match timeline.status(point) {
            FenceStatus::Signalled => {
                image.first_release.0.store(0, Ordering::Release);
                Ok(None)
            }
            _ => Ok(Some(timeline.fence(point))),
        }
    }

    fn submit_first_release(&self, image: &Arc<ImageInner>) -> Result<u64, SubmitFailure> {
        let timeline = self.timeline();
        // The queue's lock decides among threads that come at the same time: it is the only one here,
        // so a thread that has it already is told so and waits for nobody.
        let queue = timeline.lock_queue()?;
        let point = image.first_release.point();
        if point != OWED {
            return Ok(point);
        }
        let commands = self.commands().begin()?;
        record(self.core(), image, &commands)?;
        let flight = InFlight::new(commands, self.commands(), [image.clone()]);
        let buffers: Vec<_> = flight.commands().into_iter().collect();
        let submitted = timeline.submit_locked(&queue, &buffers);
        if let Ok(point) = submitted {
            image.first_release.0.store(point, Ordering::Release);
        }
        // What retires may drop the last handle of the device, which waits for the queue.
        drop(queue);
        let after = submitted.iter().map(|point| timeline.fence(*point));
        self.retire_object(Retired::InFlight(flight), after.collect());
        Ok(submitted?)
    }
}

fn record(
    core: &DeviceCore,
    image: &ImageInner,
    commands: &OneTimeCommands,
) -> Result<(), Failure> {
    let own = Side {
        family: core.queue_family,
        stage: vk::PipelineStageFlags2::NONE,
        access: vk::AccessFlags2::NONE,
    };
    commands.image_barriers(&[release_image(
        image.raw,
        core.foreign_family(),
        own,
        vk::ImageLayout::UNDEFINED,
    )]);
    commands.finish()
}
