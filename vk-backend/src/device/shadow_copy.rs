//! The device's queue as the engine that copies buffers to their shadows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ash::vk;
use dmashare::route::{Copier, CopyEngine, check_alike};
use dmashare::{
    Access, AttachmentId, CopyError, Damage, DynamicAttachment, SharedBuffer, SubmitError, Usage,
};

use crate::device::Device;
use crate::device::retired::{InFlight, Retired};
use crate::failure::Failure;
use crate::image::copy_image::{self, CopyPair};

/// How long a copy waits on the CPU for fences that the queue cannot wait for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Copies are `vkCmdCopyImage` of the damaged parts on the device's queue, after the fences of all
/// users of the two buffers. They are queued and not waited for. Only for a fence that the device
/// cannot wait for (a software fence, such as a display's or a CPU copy's) does the calling thread
/// wait, five seconds at most. The buffer needs the usage `TRANSFER_SOURCE`.
impl CopyEngine for Device {
    fn name(&self) -> &str {
        &self.core().name
    }

    fn shadow_usage(&self) -> Usage {
        Usage::TRANSFER_DESTINATION
    }

    fn connect(
        &self,
        source: &SharedBuffer,
        shadow: &SharedBuffer,
    ) -> Result<Box<dyn Copier>, CopyError> {
        check_alike(source, shadow)?;
        let usage = Usage::TRANSFER_SOURCE;
        if !source.desc().usage.contains(usage) {
            return Err(CopyError::Usage {
                buffer: source.desc().name.clone(),
                usage,
            });
        }
        // A mapping carries its generation, so no callback is needed.
        let attach =
            |buffer: &SharedBuffer| buffer.attach_dynamic(self, Arc::new(AtomicBool::new(false)));
        let connected = Connected {
            source: attach(source)?,
            shadow: attach(shadow)?,
            buffers: (source.clone(), shadow.clone()),
            device: self.clone(),
        };
        // Try both imports now, to fail early.
        drop((connected.source.map()?, connected.shadow.map()?));
        Ok(Box::new(connected))
    }
}

struct Connected {
    source: DynamicAttachment<Device>,
    shadow: DynamicAttachment<Device>,
    buffers: (SharedBuffer, SharedBuffer),
    device: Device,
}

impl Connected {
    fn failed(&self, failure: Failure) -> CopyError {
        CopyError::Device {
            device: self.device.core().name.clone(),
            operation: failure.operation,
            source: failure.source.into(),
        }
    }

    /// Submits one copy of the buffers in their current memory.
    fn submit(&self, damage: &Damage) -> Result<u64, CopyError> {
        let core = self.device.core();
        let (from, to) = (self.source.map()?, self.shadow.map()?);
        let (source, target) = (from.object(), to.object());
        let pair = CopyPair::new(core, source, target).map_err(|error| CopyError::Device {
            device: core.name.clone(),
            operation: "vkCmdCopyImage",
            source: error.into(),
        })?;
        let bytes = copy_image::damaged_bytes(source.format(), source.extent(), damage);
        let commands = self
            .device
            .commands()
            .begin()
            .map_err(|it| self.failed(it))?;
        pair.record_damage(&commands, damage);
        commands.finish().map_err(|it| self.failed(it))?;
        let images = [source.inner.clone(), target.inner.clone()];
        let flight = InFlight::new(commands, self.device.commands(), images);
        let infos: Vec<_> = flight
            .commands()
            .map(|commands| vk::CommandBufferSubmitInfo::default().command_buffer(commands))
            .into_iter()
            .collect();
        let submission = self.device.submission([from.read(), to.write()])?;
        // SAFETY: the command buffer is executable and of this device's queue family; it and the images
        // stay with `flight` until the fence is over.
        let submitted = unsafe { submission.submit(&infos) };
        // A lost device may still work on it, so it is retired even if the submit failed.
        let after = submitted.iter().cloned().collect();
        self.device.retire_object(Retired::InFlight(flight), after);
        submitted?;
        core.bytes_copied.fetch_add(bytes, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl Copier for Connected {
    fn copy(&self, damage: &Damage) -> Result<u64, CopyError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = || deadline.saturating_duration_since(Instant::now());
            match self.submit(damage) {
                Err(CopyError::Submit(SubmitError::NotReady { .. })) if !left().is_zero() => {
                    self.buffers.0.wait_ready(Access::Read, left())?;
                    self.buffers.1.wait_ready(Access::Write, left())?;
                }
                // The buffer moved between the mapping and the submission.
                Err(CopyError::Submit(SubmitError::Stale { .. })) if !left().is_zero() => {}
                copied => return copied,
            }
        }
    }

    fn writer(&self) -> AttachmentId {
        self.shadow.id()
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").finish_non_exhaustive()
    }
}
