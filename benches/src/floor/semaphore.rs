//! A binary semaphore that goes out of a device and into another as a sync_file.

use std::fmt;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use anyhow::{Context, Result};
use ash::vk;

use super::{Submitter, Vulkan};

const SYNC_FD: vk::ExternalSemaphoreHandleTypeFlags = vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD;

/// A binary semaphore. It is destroyed when it is dropped, after the device's queue has come to rest.
pub struct Semaphore {
    vulkan: Arc<Vulkan>,
    semaphore: vk::Semaphore,
}

impl Semaphore {
    /// A semaphore that can be exported.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn for_export(vulkan: &Arc<Vulkan>) -> Result<Self> {
        let mut export = vk::ExportSemaphoreCreateInfo::default().handle_types(SYNC_FD);
        Self::new(
            vulkan,
            &vk::SemaphoreCreateInfo::default().push_next(&mut export),
        )
    }

    /// A semaphore that can be imported into.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn for_import(vulkan: &Arc<Vulkan>) -> Result<Self> {
        Self::new(vulkan, &vk::SemaphoreCreateInfo::default())
    }

    fn new(vulkan: &Arc<Vulkan>, create: &vk::SemaphoreCreateInfo<'_>) -> Result<Self> {
        Ok(Self {
            // SAFETY: every device here was made with the extension for SYNC_FD.
            semaphore: unsafe { vulkan.device.create_semaphore(create, None) }?,
            vulkan: vulkan.clone(),
        })
    }

    /// The semaphore.
    pub fn raw(&self) -> vk::Semaphore {
        self.semaphore
    }

    /// Its payload as a sync_file (vkGetSemaphoreFdKHR), after its signal was submitted; `None` if it
    /// has signalled. The semaphore is as before its signal then.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn export(&self) -> Result<Option<OwnedFd>> {
        let get = vk::SemaphoreGetFdInfoKHR::default()
            .semaphore(self.semaphore)
            .handle_type(SYNC_FD);
        // SAFETY: the semaphore was made to be exported as this type.
        let fd = unsafe { self.vulkan.semaphore_fd.get_semaphore_fd(&get) }
            .context("vkGetSemaphoreFdKHR")?;
        if fd < 0 {
            return Ok(None);
        }
        // SAFETY: the driver has just made the descriptor, owned by its caller.
        Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// What work must wait for so that it begins after `file` has signalled: this semaphore, or nothing
    /// if there is nothing to wait for.
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub fn wait_for(&self, file: Option<OwnedFd>) -> Result<Option<&Self>> {
        if file.is_none() {
            return Ok(None);
        }
        self.import(file)?;
        Ok(Some(self))
    }

    /// Has it signal with a sync_file (`None`: at once) until one wait has used that up.
    ///
    /// # Errors
    /// When Vulkan refuses; the descriptor is closed.
    pub fn import(&self, file: Option<OwnedFd>) -> Result<()> {
        let import = vk::ImportSemaphoreFdInfoKHR::default()
            .semaphore(self.semaphore)
            .flags(vk::SemaphoreImportFlags::TEMPORARY)
            .handle_type(SYNC_FD)
            .fd(file.as_ref().map_or(-1, AsRawFd::as_raw_fd));
        // SAFETY: nothing pending uses the semaphore: whoever waited with it last has waited for that
        // work. The descriptor is a sync_file's or -1, and given up below.
        unsafe { self.vulkan.semaphore_fd.import_semaphore_fd(&import) }
            .context("vkImportSemaphoreFdKHR")?;
        let _owned_by_the_driver = file.map(IntoRawFd::into_raw_fd);
        Ok(())
    }
}

/// What the work of a queue signals for others, who are not told if it is done before they are.
///
/// A semaphore that was signalled and not exported has to be waited for before its next signal. The
/// next work does that, which costs nothing: it comes later on the same queue anyway.
#[derive(Debug)]
pub struct Signal {
    semaphores: [Semaphore; 2],
    /// The one that was signalled last.
    last: usize,
    is_left_over: bool,
}

impl Signal {
    /// Nothing was signalled.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn new(vulkan: &Arc<Vulkan>) -> Result<Self> {
        Ok(Self {
            semaphores: [
                Semaphore::for_export(vulkan)?,
                Semaphore::for_export(vulkan)?,
            ],
            last: 0,
            is_left_over: false,
        })
    }

    /// What the next work waits for and what it signals.
    pub fn begin(&mut self) -> (Option<&Semaphore>, &Semaphore) {
        let left_over = self.is_left_over.then_some(self.last);
        self.last = 1 - self.last;
        self.is_left_over = true;
        let left_over = left_over.map(|index| &self.semaphores[index]);
        (left_over, &self.semaphores[self.last])
    }

    /// The signal as a sync_file, as [`Semaphore::export`].
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn export(&mut self) -> Result<Option<OwnedFd>> {
        self.is_left_over = false;
        self.semaphores[self.last].export()
    }

    /// The same, or `None` without asking for one if all the queue's work is done.
    ///
    /// # Errors
    /// When Vulkan refuses.
    pub fn export_unless_done(&mut self, submitter: &Submitter) -> Result<Option<OwnedFd>> {
        if submitter.is_done()? {
            return Ok(None);
        }
        self.export()
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        self.vulkan.rest();
        // SAFETY: the queue is at rest, so no work uses it.
        unsafe { self.vulkan.device.destroy_semaphore(self.semaphore, None) };
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("semaphore", &self.semaphore)
            .finish_non_exhaustive()
    }
}
