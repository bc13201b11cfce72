//! The first release of a new image, out of layout `UNDEFINED`, to all other devices.

use std::sync::Arc;

use ash::vk;
use dmashare::{ExportError, Fence, FenceStatus, Timeline};

use crate::core::barrier::{Side, release_image};
use crate::core::commands::OneTimeCommands;
use crate::core::device_core::DeviceCore;
use crate::device::Device;
use crate::device::retired::{InFlight, Retired};
use crate::failure::Failure;
use crate::image::shared_image::SharedImage;
use crate::queue::submit_failure::SubmitFailure;

impl Device {
    /// Transitions an image exported by this device out of layout `UNDEFINED` and releases it, so
    /// that the first acquire, on any device, finds the same state as every later one. Does not
    /// wait: every caller gets the fence until the work is over. The work keeps the image alive.
    pub(crate) fn release_first(
        &self,
        image: &Arc<SharedImage>,
    ) -> Result<Option<Fence>, ExportError> {
        let timeline = self.timeline();
        let point = match image.first_release.point() {
            Some(point) => point,
            None => self
                .submit_first_release(image)
                .map_err(|failure| failure.export(&self.core().name))?,
        };
        match timeline.status(point) {
            FenceStatus::Signalled => {
                image.first_release.set_over();
                Ok(None)
            }
            _ => Ok(Some(timeline.fence(point))),
        }
    }

    fn submit_first_release(&self, image: &Arc<SharedImage>) -> Result<u64, SubmitFailure> {
        let timeline = self.timeline();
        // The queue's lock decides between threads that arrive at the same time. It is the only
        // lock taken here, so a thread that already holds it gets an error and waits for nothing.
        let queue = timeline.lock_queue()?;
        if let Some(point) = image.first_release.point() {
            return Ok(point);
        }
        let commands = self.commands().begin()?;
        record(self.core(), image, &commands)?;
        let flight = InFlight::new(commands, self.commands(), [image.clone()]);
        let buffers: Vec<_> = flight.commands().into_iter().collect();
        let submitted = timeline.submit_locked(&queue, &buffers);
        if let Ok(point) = submitted {
            image.first_release.set_submitted(point);
        }
        // Retiring may drop the last handle of the device, and that waits for the queue.
        drop(queue);
        let after = submitted.iter().map(|point| timeline.fence(*point));
        self.retire_object(Retired::InFlight(flight), after.collect());
        Ok(submitted?)
    }
}

fn record(
    core: &DeviceCore,
    image: &SharedImage,
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
