//! Fences by the library.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use ash::vk;
use dmashare::{Fence, FenceError, FenceStatus, SyncFile};
use dmashare_vk::Device;

use super::handoff::PATIENCE;
use crate::floor::{
    Exported, Semaphore, Signaller, SoftwareSync, Vulkan, signalled_fence, to_merge,
};
use crate::{Machine, Operation, Size};

/// The fence of a submission becomes a sync_file.
#[derive(Debug)]
pub struct FenceCreate {
    device: Device,
    fence: Fence,
}

impl FenceCreate {
    /// # Errors
    /// When the library refuses the device.
    pub fn open(machine: &Machine) -> Result<Self> {
        let device = Machine::adopt(machine.exporter())?;
        let fence = submit(&device)?;
        fence.wait(PATIENCE)?;
        Ok(Self { device, fence })
    }
}

/// Submits nothing.
fn submit(device: &Device) -> Result<Fence> {
    let submission = device.submission([])?;
    // SAFETY: there are no command buffers.
    Ok(unsafe { submission.submit(&[]) }?)
}

impl Operation for FenceCreate {
    fn run(&mut self) -> Result<()> {
        match self.fence.export_sync_file() {
            Ok(file) => drop(file),
            // A driver's answer to what has signalled.
            Err(FenceError::NoSyncFile { .. }) if self.fence.status().is_over() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        Ok(submit(&self.device)?.wait(PATIENCE)?)
    }
}

/// Sync_files are merged.
#[derive(Debug)]
pub struct FenceMerge {
    files: Vec<SyncFile>,
    _timelines: Vec<SoftwareSync>,
}

impl FenceMerge {
    /// # Errors
    /// When there are no sync_files to be had.
    pub fn open(machine: &Machine, count: u32) -> Result<Self> {
        let (files, timelines) = to_merge(machine, count)?;
        let files = files.into_iter().map(SyncFile::new);
        Ok(Self {
            files: files.collect::<Result<_, _>>()?,
            _timelines: timelines,
        })
    }
}

impl Operation for FenceMerge {
    fn run(&mut self) -> Result<()> {
        let merged = SyncFile::merge_all(&self.files)?;
        merged.context("there was nothing to merge").map(drop)
    }
}

/// A fence that has signalled, and of which the library does not know that yet, is waited for.
#[derive(Debug)]
pub struct FenceWait {
    exported: Exported,
    fences: Vec<Fence>,
    waited_for: usize,
}

impl FenceWait {
    /// # Errors
    /// When there is no device that has a dma-buf.
    pub fn open(machine: &Machine) -> Result<Self> {
        Ok(Self {
            exported: machine.floor_exporter(Size::COMMON[0])?.export()?,
            fences: Vec::new(),
            waited_for: 0,
        })
    }
}

impl Operation for FenceWait {
    /// A fence for each run: whoever has seen one signal need not ask again.
    fn prepare(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            let file = SyncFile::from_kernel(signalled_fence(self.exported.fd.as_fd())?);
            self.fences.push(file.into());
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let fence = self.fences.get(self.waited_for);
        fence.context("no fence was prepared")?.wait(PATIENCE)?;
        self.waited_for += 1;
        Ok(())
    }

    /// Closing them is not waiting.
    fn settle(&mut self) -> Result<()> {
        self.fences.clear();
        self.waited_for = 0;
        Ok(())
    }
}

/// A fence that another thread signals is waited for.
#[derive(Debug)]
pub struct FenceWaitPending {
    signaller: Signaller,
    fences: VecDeque<Fence>,
}

impl FenceWaitPending {
    /// # Errors
    /// When no thread can be started.
    pub fn new(sync: SoftwareSync) -> Result<Self> {
        Ok(Self {
            signaller: Signaller::start(sync)?,
            fences: VecDeque::new(),
        })
    }
}

impl Operation for FenceWaitPending {
    fn prepare(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            let file = SyncFile::new(self.signaller.fence()?)?;
            ensure!(file.status()? == FenceStatus::Pending, "it is over already");
            self.fences.push_back(file.into());
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let fence = self.fences.pop_front().context("no fence was prepared")?;
        self.signaller.ask()?;
        Ok(fence.wait(PATIENCE)?)
    }
}

/// A fence of one device becomes a semaphore of the other, which waits for it.
#[derive(Debug)]
pub struct FenceConvert {
    writer: Device,
    reader: Device,
    received: Semaphore,
    vulkan: Arc<Vulkan>,
}

impl FenceConvert {
    /// # Errors
    /// When the library refuses a device.
    pub fn open(machine: &Machine) -> Result<Self> {
        Ok(Self {
            writer: Machine::adopt(machine.exporter())?,
            reader: Machine::adopt(machine.importer())?,
            received: Semaphore::for_import(machine.importer())?,
            vulkan: machine.importer().clone(),
        })
    }
}

impl Operation for FenceConvert {
    fn run(&mut self) -> Result<()> {
        let written = submit(&self.writer)?;
        // SAFETY: of the reader's VkDevice; the last work that waited for it is over.
        unsafe {
            self.reader
                .import_into_semaphore(self.received.raw(), &written)
        }?;
        let submission = self.reader.submission([])?;
        let waits = [vk::SemaphoreSubmitInfo::default()
            .semaphore(self.received.raw())
            .stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)];
        let submit = [vk::SubmitInfo2::default()
            .wait_semaphore_infos(&waits)
            .signal_semaphore_infos(submission.signals())];
        let device = self.vulkan.device();
        // SAFETY: the submission holds the queue; the semaphores are of this device.
        unsafe { device.queue_submit2(submission.queue(), &submit, vk::Fence::null()) }?;
        // SAFETY: the work was submitted just now, with the signals; the submission has no waits.
        Ok(unsafe { submission.commit() }.wait(PATIENCE)?)
    }
}
