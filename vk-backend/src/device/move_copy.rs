//! The copy of a move: on the device's queue, after the fences of all previous users.

use std::sync::Arc;

use ash::vk;
use dmashare::{Copied, ExportError, Fence, FenceSet, FenceUsage, SubmitError};
use smallvec::SmallVec;

use crate::device::Device;
use crate::device::retired::{InFlight, Retired};
use crate::failure::Failure;
use crate::image::Image;
use crate::image::copy_image::CopyPair;
use crate::image::shared_image::SharedImage;
use crate::queue::foreign_fence::{Resolved, Waits, hold_used};
use crate::queue::submit_failure::SubmitFailure;
use crate::queue::timeline::QueueTimeline;

/// Copies an image's content to another of the same format and extent on this device, once `after`
/// is over. Refuses any other pair of images. Does nothing while a fence is pending that the queue cannot
/// wait for.
pub(crate) fn copy(
    device: &Device,
    from: Arc<SharedImage>,
    to: Arc<SharedImage>,
    after: &FenceSet,
    buffer: &str,
) -> Result<Copied, ExportError> {
    let core = device.core();
    let (source, target) = (Image { inner: from }, Image { inner: to });
    let pair = CopyPair::new(core, &source, &target).map_err(|error| ExportError::Device {
        exporter: core.name.clone(),
        operation: "vkCmdCopyImage",
        source: error.into(),
    })?;
    let Some(resolved) =
        resolve(device.timeline(), after, buffer).map_err(|failure| failure.export(&core.name))?
    else {
        return Ok(Copied::NotYet);
    };
    let failed = |failure: Failure| failure.export(&core.name);
    let commands = device.commands().begin().map_err(failed)?;
    pair.record(&commands);
    commands.finish().map_err(failed)?;
    let flight = InFlight::new(commands, device.commands(), [source.inner, target.inner]);
    match submit(device.timeline(), &flight, resolved, after, buffer) {
        Ok(Some(fence)) => {
            let over = [fence.clone()].into_iter().collect();
            device.retire_object(Retired::InFlight(flight), over);
            Ok(Copied::By(fence))
        }
        Ok(None) => Ok(Copied::NotYet),
        Err(failure) => {
            // A lost device may still work on it; otherwise it is dropped at once.
            device.retire_object(Retired::InFlight(flight), FenceSet::new());
            Err(failure.export(&core.name))
        }
    }
}

/// Converts the fences of other devices to semaphores. That may block in their drivers, so nothing
/// is locked here. `None` if a pending one cannot be converted.
fn resolve(
    timeline: &QueueTimeline,
    after: &FenceSet,
    buffer: &str,
) -> Result<Option<SmallVec<[Resolved; 4]>>, SubmitFailure> {
    let mut waits = Waits::new(timeline, &[]);
    for fence in after.pending() {
        waits.add(fence, FenceUsage::Bookkeep, buffer)?;
    }
    let mut unresolved = waits.take_unresolved();
    // Those that most likely cannot be converted come first, so that no other conversion is wasted.
    unresolved.sort_by_key(|fence| match fence.fence() {
        Fence::SyncFile(_) => 2,
        fence if fence.point_on::<QueueTimeline>().is_some() => 1,
        _ => 0,
    });
    let mut resolved = SmallVec::new();
    for unresolved in unresolved {
        let fence = unresolved.fence().clone();
        match unresolved.resolve(timeline.pool()) {
            Ok(semaphore) => resolved.extend(semaphore),
            // A failed fence blocks no one.
            Err(_) if fence.status().is_over() => {}
            Err(SubmitError::NotReady { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(resolved))
}

/// Submits the commands after the fences; `None` if one of them is pending and is no semaphore.
fn submit(
    timeline: &Arc<QueueTimeline>,
    flight: &InFlight,
    resolved: SmallVec<[Resolved; 4]>,
    after: &FenceSet,
    buffer: &str,
) -> Result<Option<Fence>, SubmitFailure> {
    let commands: SmallVec<[vk::CommandBufferSubmitInfo<'_>; 1]> = flight
        .commands()
        .map(|commands| vk::CommandBufferSubmitInfo::default().command_buffer(commands))
        .into_iter()
        .collect();
    let queue = timeline.lock_queue()?;
    let mut waits = Waits::new(timeline, &resolved);
    for fence in after.pending() {
        waits.add(fence, FenceUsage::Bookkeep, buffer)?;
    }
    if !waits.take_unresolved().is_empty() {
        return Ok(None);
    }
    let point = timeline.next_point(&queue);
    let (infos, used) = waits.finish(point);
    hold_used(timeline, resolved, &used, point);
    let signals = [timeline.submit_info(point)];
    let submit = vk::SubmitInfo2::default()
        .wait_semaphore_infos(&infos)
        .command_buffer_infos(&commands)
        .signal_semaphore_infos(&signals);
    timeline.queue_submit(&queue, &submit)?;
    timeline.submitted(point);
    Ok(Some(timeline.fence(point)))
}
