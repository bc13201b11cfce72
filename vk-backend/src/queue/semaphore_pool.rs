//! Binary semaphores that carry sync_files into and out of the queue.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ash::vk;
use dmashare::{Fence, FenceError, SyncFile};
use smallvec::SmallVec;

use crate::core::device_core::DeviceCore;
use crate::failure::Failure;

/// How many entries may be held before the queue is made to pass points that were given up.
const CROWDED: usize = 32;

/// Something to keep until the queue has reached a point.
#[derive(Debug)]
pub(crate) enum Held {
    /// An imported semaphore that the work waits for. The wait consumes the temporary payload, so
    /// the semaphore can be reused for another import.
    Imported(vk::Semaphore),
    /// A semaphore signalled for an export. An export resets it, but it is not reused: if the
    /// export overtakes the validation layers' own view of the queue, they take the semaphore for
    /// signalled.
    Exported(vk::Semaphore),
    /// A semaphore that work signals so that its fence can be exported, but which was not exported
    /// yet. Once the point is reached it is not needed: a signalled fence needs no sync_file.
    Offered(vk::Semaphore),
    /// A fence of another timeline of the same `VkDevice`, whose semaphore the work waits for.
    Fence(Fence),
}

/// The semaphores of one queue.
#[derive(Debug)]
pub(crate) struct SemaphorePool {
    core: Arc<DeviceCore>,
    /// Free for imports.
    free: Mutex<Vec<vk::Semaphore>>,
    held: Mutex<VecDeque<(u64, Held)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is one push or pop, so a panic elsewhere leaves them
    // consistent.
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
        // SAFETY: the device is alive; SYNC_FD is exported only if the device reports support for
        // it (VUID-VkExportSemaphoreCreateInfo-handleTypes-01124).
        let result = unsafe { self.core.raw.create_semaphore(&info, None) };
        self.core.check("vkCreateSemaphore", result)
    }

    /// Creates an unsignalled semaphore, for a signal that will be exported as a sync_file.
    pub(crate) fn create_for_export(&self) -> Result<vk::Semaphore, Failure> {
        self.create(true)
    }

    /// Creates one for the signal of work that will be submitted with `point`.
    pub(crate) fn prepare_export(self: &Arc<Self>, point: u64) -> Result<PreparedExport, Failure> {
        Ok(PreparedExport {
            semaphore: self.create_for_export()?,
            pool: self.clone(),
            point,
        })
    }

    /// Takes the semaphore that the work of `point` signals for an export, if there is one. The
    /// caller must hold it from then on.
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

    /// Imports `file` into a semaphore. The payload is temporary: one wait consumes it.
    pub(crate) fn import(
        self: &Arc<Self>,
        file: &SyncFile,
    ) -> Result<ImportedSemaphore, FenceError> {
        file.check()?;
        self.import_checked(file)
    }

    /// The same for a file that is known to be a sync_file.
    pub(crate) fn import_checked(
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
        // SAFETY: no pending work uses the semaphore: it is new, or its last work is over. The
        // descriptor is a sync_file, as the caller has checked.
        let result = unsafe { functions.import_semaphore_fd(&info) };
        self.core
            .check("vkImportSemaphoreFdKHR", result)
            .map_err(|failure| failure.fence(&self.core.name))?;
        // The import succeeded, so the driver owns the descriptor now.
        let _ = fd.into_raw_fd();
        Ok(imported)
    }

    /// Keeps something until the queue has reached `point`.
    pub(crate) fn hold(&self, point: u64, held: Held) {
        lock(&self.held).push_back((point, held));
    }

    /// Whether many entries are held, some for points after `submitted`, whose work was given up.
    pub(crate) fn is_crowded(&self, submitted: u64) -> bool {
        let held = lock(&self.held);
        held.len() >= CROWDED && held.iter().any(|(point, _)| *point > submitted)
    }

    /// Whether anything is held.
    pub(crate) fn is_holding(&self) -> bool {
        !lock(&self.held).is_empty()
    }

    /// Frees what was held for points up to `reached`.
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
            // SAFETY: no pending work uses the semaphore: it is free, or its point was reached.
            unsafe { self.core.raw.destroy_semaphore(semaphore, None) };
        }
    }
}

impl Drop for SemaphorePool {
    fn drop(&mut self) {
        // The timeline has waited for its last point before it dropped the pool.
        self.recycle(u64::MAX);
        let free = std::mem::take(&mut *lock(&self.free));
        for semaphore in free {
            self.destroy(semaphore);
        }
    }
}

/// A semaphore that work is about to signal, so that its fence can be exported. It is held until
/// the queue has passed the work's point, whether the work was submitted or given up.
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

    /// Offers the semaphore to exports of the fence, after the work was submitted.
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

/// A semaphore with the payload of a sync_file; it returns to the pool unless work waits for it.
#[derive(Debug)]
pub(crate) struct ImportedSemaphore {
    pool: Arc<SemaphorePool>,
    semaphore: vk::Semaphore,
}

impl ImportedSemaphore {
    pub(crate) fn raw(&self) -> vk::Semaphore {
        self.semaphore
    }

    /// Holds it until `point`: work up to there may wait for it.
    pub(crate) fn hold_until(mut self, point: u64) {
        let semaphore = std::mem::replace(&mut self.semaphore, vk::Semaphore::null());
        self.pool.hold(point, Held::Imported(semaphore));
    }
}

impl Drop for ImportedSemaphore {
    fn drop(&mut self) {
        // A payload without a wait is replaced by the next import.
        if self.semaphore != vk::Semaphore::null() {
            lock(&self.pool.free).push(self.semaphore);
        }
    }
}
