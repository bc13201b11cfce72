//! Binary semaphores that carry sync_files into and out of the queue.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ash::vk;
use dmashare::{Fence, FenceError, SyncFile};
use smallvec::SmallVec;

use crate::core::device_core::DeviceCore;
use crate::failure::Failure;

/// So many things may be kept before the queue is made to pass the points that were given up.
const CROWDED: usize = 32;

/// What must stay until the queue has reached a point.
#[derive(Debug)]
pub(crate) enum Held {
    /// A semaphore that was imported into and that the work waits for. The wait consumes the
    /// temporary payload, so it can be imported into again.
    Imported(vk::Semaphore),
    /// A semaphore whose signal was made for an export. It is not used again, though an export
    /// resets it: when the export overtakes the layers' own look at the queue, they take the
    /// semaphore for signalled.
    Exported(vk::Semaphore),
    /// A semaphore that work signals so that its fence can be exported, which was not done yet. When the
    /// point was reached, nobody needs it: what has signalled is told without a sync_file.
    Offered(vk::Semaphore),
    /// A fence of another timeline of the same `VkDevice`, whose semaphore the work waits for.
    Fence(Fence),
}

/// The semaphores of one queue.
#[derive(Debug)]
pub(crate) struct SemaphorePool {
    core: Arc<DeviceCore>,
    /// Free to be imported into.
    free: Mutex<Vec<vk::Semaphore>>,
    held: Mutex<VecDeque<(u64, Held)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is one push or pop, so a panic elsewhere leaves them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SemaphorePool {
    pub(crate) fn new(core: Arc<DeviceCore>) -> Self {
        Self {
            core,
            free: Mutex::default(),
            held: Mutex::default(),
        }
    }

    fn create(&self, exportable: bool) -> Result<vk::Semaphore, Failure> {
        let mut export = vk::ExportSemaphoreCreateInfo::default()
            .handle_types(vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD);
        let mut info = vk::SemaphoreCreateInfo::default();
        if exportable {
            info = info.push_next(&mut export);
        }
        // SAFETY: the device is alive; SYNC_FD is exported only where the device said that it can
        // (VUID-VkExportSemaphoreCreateInfo-handleTypes-01124).
        let result = unsafe { self.core.raw.create_semaphore(&info, None) };
        self.core.check("vkCreateSemaphore", result)
    }

    /// A semaphore, unsignalled, for a signal that will be exported as a sync_file.
    pub(crate) fn create_for_export(&self) -> Result<vk::Semaphore, Failure> {
        self.create(true)
    }

    /// The same, for the signal of work that will be submitted with `point`.
    pub(crate) fn prepare_export(self: &Arc<Self>, point: u64) -> Result<PreparedExport, Failure> {
        Ok(PreparedExport {
            semaphore: self.create_for_export()?,
            pool: self.clone(),
            point,
        })
    }

    /// Takes the semaphore that the work of `point` signals for an export, if there is one. It is the
    /// caller's to hold from here on.
    pub(crate) fn take_offered(&self, point: u64) -> Option<vk::Semaphore> {
        let mut held = lock(&self.held);
        let offered = |(of, item): &(u64, Held)| match item {
            Held::Offered(semaphore) if *of == point => Some(*semaphore),
            _ => None,
        };
        let (index, semaphore) = held
            .iter()
            .enumerate()
            .find_map(|(index, entry)| Some((index, offered(entry)?)))?;
        held.remove(index);
        Some(semaphore)
    }

    /// A semaphore that signals with `file`. It has a temporary payload, which one wait consumes.
    pub(crate) fn import(
        self: &Arc<Self>,
        file: &SyncFile,
    ) -> Result<ImportedSemaphore, FenceError> {
        let (true, Some(functions)) = (self.core.sync_fd.import, &self.core.functions.semaphore_fd)
        else {
            return Err(FenceError::NoSyncFile {
                producer: self.core.name.clone(),
            });
        };
        let fd = file.try_clone()?.into_fd();
        let free = lock(&self.free).pop();
        let semaphore = free
            .map_or_else(|| self.create(false), Ok)
            .map_err(|failure| failure.fence(&self.core.name))?;
        let imported = ImportedSemaphore {
            pool: self.clone(),
            semaphore,
        };
        let info = vk::ImportSemaphoreFdInfoKHR::default()
            .semaphore(semaphore)
            .flags(vk::SemaphoreImportFlags::TEMPORARY)
            .handle_type(vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD)
            .fd(fd.as_fd().as_raw_fd());
        // SAFETY: the semaphore is in no pending work: it is new, or its last work is over. The
        // descriptor is a sync_file, checked when `SyncFile` was made.
        let result = unsafe { functions.import_semaphore_fd(&info) };
        self.core
            .check("vkImportSemaphoreFdKHR", result)
            .map_err(|failure| failure.fence(&self.core.name))?;
        // The driver owns the descriptor from here on, because the import succeeded.
        let _ = fd.into_raw_fd();
        Ok(imported)
    }

    /// Keeps something until the queue has reached `point`.
    pub(crate) fn hold(&self, point: u64, held: Held) {
        lock(&self.held).push_back((point, held));
    }

    /// Whether much is kept for points after `submitted`: for work that was given up.
    pub(crate) fn is_crowded(&self, submitted: u64) -> bool {
        let held = lock(&self.held);
        held.len() >= CROWDED && held.iter().any(|(point, _)| *point > submitted)
    }

    /// Whether anything is kept.
    pub(crate) fn is_holding(&self) -> bool {
        !lock(&self.held).is_empty()
    }

    /// The queue has reached `reached`: what was kept for it is free again.
    pub(crate) fn recycle(&self, reached: u64) {
        let mut over = SmallVec::<[Held; 8]>::new();
        {
            let mut held = lock(&self.held);
            let mut index = 0;
            while let Some((point, _)) = held.get(index) {
                if *point > reached {
                    index += 1;
                } else if let Some((_, item)) = held.remove(index) {
                    over.push(item);
                }
            }
        }
        // Outside the lock: dropping a fence may drop the last handle of its timeline.
        for item in over {
            match item {
                Held::Imported(semaphore) => lock(&self.free).push(semaphore),
                Held::Exported(semaphore) | Held::Offered(semaphore) => self.destroy(semaphore),
                Held::Fence(fence) => drop(fence),
            }
        }
    }

    fn destroy(&self, semaphore: vk::Semaphore) {
        if self.core.may_destroy() {
            // SAFETY: no pending work has the semaphore: it is free, or its point was reached.
            unsafe { self.core.raw.destroy_semaphore(semaphore, None) };
        }
    }
}

impl Drop for SemaphorePool {
    fn drop(&mut self) {
        // The timeline has waited for its last point before it let go of the pool.
        self.recycle(u64::MAX);
        let free = std::mem::take(&mut *lock(&self.free));
        for semaphore in free {
            self.destroy(semaphore);
        }
    }
}

/// A semaphore that work is about to signal, so that its fence can be exported. Kept until the queue has
/// passed the work's point, whether that was submitted or given up.
#[derive(Debug)]
pub(crate) struct PreparedExport {
    pool: Arc<SemaphorePool>,
    semaphore: vk::Semaphore,
    point: u64,
}

impl PreparedExport {
    pub(crate) fn submit_info(&self) -> vk::SemaphoreSubmitInfo<'static> {
        vk::SemaphoreSubmitInfo::default()
            .semaphore(self.semaphore)
            .stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)
    }

    /// The work was submitted: whoever exports its fence may take the semaphore.
    pub(crate) fn offer(mut self) {
        let semaphore = std::mem::replace(&mut self.semaphore, vk::Semaphore::null());
        self.pool.hold(self.point, Held::Offered(semaphore));
    }
}

impl Drop for PreparedExport {
    fn drop(&mut self) {
        if self.semaphore != vk::Semaphore::null() {
            self.pool.hold(self.point, Held::Exported(self.semaphore));
        }
    }
}

/// A semaphore with the payload of a sync_file; goes back to the pool unless work waits for it.
#[derive(Debug)]
pub(crate) struct ImportedSemaphore {
    pool: Arc<SemaphorePool>,
    semaphore: vk::Semaphore,
}

impl ImportedSemaphore {
    pub(crate) fn raw(&self) -> vk::Semaphore {
        self.semaphore
    }

    /// The work up to `point` may wait for it: keeps it until then.
    pub(crate) fn hold_until(mut self, point: u64) {
        let semaphore = std::mem::replace(&mut self.semaphore, vk::Semaphore::null());
        self.pool.hold(point, Held::Imported(semaphore));
    }
}

impl Drop for ImportedSemaphore {
    fn drop(&mut self) {
        // An import that nobody waited for is replaced by the next one.
        if self.semaphore != vk::Semaphore::null() {
            lock(&self.pool.free).push(self.semaphore);
        }
    }
}
