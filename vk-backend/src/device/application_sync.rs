//! Conversion between the application's own semaphores and fences and the fences of buffers.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use ash::vk;
use dmashare::{Fence, FenceError, FenceStatus, SyncFile};

use crate::device::Device;
use crate::failure::Failure;

/// The descriptor that stands for a sync_file that has already signalled, in imports
/// (`VkImportSemaphoreFdInfoKHR`, `VkImportFenceFdInfoKHR`) and exports.
const SIGNALLED: i32 = -1;

impl Device {
    fn has_no_sync_fd(&self) -> FenceError {
        FenceError::NoSyncFile {
            producer: self.core().name.clone(),
        }
    }

    /// Converts a binary semaphore of the application into a fence that signals with it
    /// (`vkGetSemaphoreFdKHR`, SYNC_FD), for work that another part of the application submits.
    /// Returns `None` if it has already signalled. The semaphore is unsignalled afterwards, as
    /// after a wait. Some drivers block here until the work is done.
    ///
    /// # Safety
    /// The semaphore must be a binary semaphore of this `VkDevice`, created for export as
    /// `VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT`. Its signal must have been submitted, with
    /// no other wait for it pending (VUID-VkSemaphoreGetFdInfoKHR-handleType-03253, -03254), and no
    /// other thread may use it meanwhile.
    ///
    /// # Errors
    /// - [`FenceError::NoSyncFile`]: the device cannot export sync_files.
    /// - [`FenceError::Device`]: the command failed.
    pub unsafe fn fence_of_semaphore(
        &self,
        semaphore: vk::Semaphore,
    ) -> Result<Option<Fence>, FenceError> {
        let core = self.core();
        let (true, Some(functions)) = (core.sync_fd.export, &core.functions.semaphore_fd) else {
            return Err(self.has_no_sync_fd());
        };
        let info = vk::SemaphoreGetFdInfoKHR::default()
            .semaphore(semaphore)
            .handle_type(vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD);
        // SAFETY: the caller guarantees it.
        let result = unsafe { functions.get_semaphore_fd(&info) };
        self.take("vkGetSemaphoreFdKHR", result)
    }

    /// Converts a `VkFence` of the application into a fence that signals with it
    /// (`vkGetFenceFdKHR`, SYNC_FD). Returns `None` if it has already signalled. The `VkFence` is
    /// reset. Some drivers block here until the work is done.
    ///
    /// # Safety
    /// The fence must be of this `VkDevice`, created for export as
    /// `VK_EXTERNAL_FENCE_HANDLE_TYPE_SYNC_FD_BIT`, and be signalled or have its signal submitted
    /// (VUID-VkFenceGetFdInfoKHR-handleType-01454). No other thread may use it meanwhile.
    ///
    /// # Errors
    /// As [`fence_of_semaphore`](Self::fence_of_semaphore).
    pub unsafe fn fence_of_vk_fence(&self, fence: vk::Fence) -> Result<Option<Fence>, FenceError> {
        let core = self.core();
        let (true, Some(functions)) = (core.fence_fd.export, &core.functions.fence_fd) else {
            return Err(self.has_no_sync_fd());
        };
        let info = vk::FenceGetFdInfoKHR::default()
            .fence(fence)
            .handle_type(vk::ExternalFenceHandleTypeFlags::SYNC_FD);
        // SAFETY: the caller guarantees it.
        let result = unsafe { functions.get_fence_fd(&info) };
        self.take("vkGetFenceFdKHR", result)
    }

    /// Takes ownership of a descriptor that the driver has returned.
    fn take(
        &self,
        operation: &'static str,
        result: Result<i32, vk::Result>,
    ) -> Result<Option<Fence>, FenceError> {
        let core = self.core();
        let failed = |failure: Failure| failure.fence(&core.name);
        let fd = core.check(operation, result).map_err(failed)?;
        if fd < 0 {
            return Ok(None);
        }
        // SAFETY: the driver has just created the descriptor and gives it to the caller.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Some(SyncFile::new(fd)?.into()))
    }

    /// Imports a fence of any kind that has a sync_file into a binary semaphore of the application
    /// (`vkImportSemaphoreFdKHR`, temporary). The first wait consumes it and restores the
    /// semaphore's previous state.
    ///
    /// # Safety
    /// The semaphore must be a binary semaphore of this `VkDevice` that no pending work waits for
    /// or signals (VUID-vkImportSemaphoreFdKHR-semaphore-01142), and no other thread may use it
    /// meanwhile.
    ///
    /// # Errors
    /// - [`FenceError::NoSyncFile`]: the fence has no sync_file, or the device cannot import one.
    /// - [`FenceError::Failed`]: the fence has ended in an error, which Vulkan would take for a
    ///   signal.
    /// - [`FenceError::SyncFile`]: its descriptor is not a sync_file.
    /// - [`FenceError::Device`]: the command failed.
    /// - The other errors of [`Fence::export_sync_file`].
    pub unsafe fn import_into_semaphore(
        &self,
        semaphore: vk::Semaphore,
        fence: &Fence,
    ) -> Result<(), FenceError> {
        let core = self.core();
        let (true, Some(functions)) = (core.sync_fd.import, &core.functions.semaphore_fd) else {
            return Err(self.has_no_sync_fd());
        };
        let fd = sync_fd(fence)?;
        let info = vk::ImportSemaphoreFdInfoKHR::default()
            .semaphore(semaphore)
            .flags(vk::SemaphoreImportFlags::TEMPORARY)
            .handle_type(vk::ExternalSemaphoreHandleTypeFlags::SYNC_FD)
            .fd(raw(fd.as_ref()));
        // SAFETY: the caller vouches for the semaphore; the descriptor is -1 or that of a
        // sync_file, checked by `sync_fd`.
        let result = unsafe { functions.import_semaphore_fd(&info) };
        self.given("vkImportSemaphoreFdKHR", result, fd)
    }

    /// Imports a fence of any kind that has a sync_file into a `VkFence` of the application
    /// (`vkImportFenceFdKHR`, temporary). A reset restores its previous state.
    ///
    /// # Safety
    /// The `VkFence` must be of this `VkDevice` and not be associated with pending work
    /// (VUID-vkImportFenceFdKHR-fence-01463), and no other thread may use it meanwhile.
    ///
    /// # Errors
    /// As [`import_into_semaphore`](Self::import_into_semaphore).
    pub unsafe fn import_into_vk_fence(
        &self,
        vk_fence: vk::Fence,
        fence: &Fence,
    ) -> Result<(), FenceError> {
        let core = self.core();
        let (true, Some(functions)) = (core.fence_fd.import, &core.functions.fence_fd) else {
            return Err(self.has_no_sync_fd());
        };
        let fd = sync_fd(fence)?;
        let info = vk::ImportFenceFdInfoKHR::default()
            .fence(vk_fence)
            .flags(vk::FenceImportFlags::TEMPORARY)
            .handle_type(vk::ExternalFenceHandleTypeFlags::SYNC_FD)
            .fd(raw(fd.as_ref()));
        // SAFETY: as in `import_into_semaphore`.
        let result = unsafe { functions.import_fence_fd(&info) };
        self.given("vkImportFenceFdKHR", result, fd)
    }

    /// Releases a descriptor that the driver owns now; on error, closes it.
    fn given(
        &self,
        operation: &'static str,
        result: Result<(), vk::Result>,
        fd: Option<OwnedFd>,
    ) -> Result<(), FenceError> {
        let core = self.core();
        let checked = core.check(operation, result);
        checked.map_err(|failure| failure.fence(&core.name))?;
        if let Some(fd) = fd {
            let _ = fd.into_raw_fd();
        }
        Ok(())
    }
}

/// A descriptor of a fence's sync_file; `None` if the fence has signalled.
fn sync_fd(fence: &Fence) -> Result<Option<OwnedFd>, FenceError> {
    let over = || match fence.status() {
        FenceStatus::Pending => Ok(false),
        FenceStatus::Signalled => Ok(true),
        FenceStatus::Failed(errno) => Err(FenceError::Failed {
            producer: fence.producer().to_owned(),
            source: errno.into(),
        }),
    };
    if over()? {
        return Ok(None);
    }
    match fence.export_sync_file() {
        Ok(file) => {
            file.check()?;
            Ok(Some(file.into_fd()))
        }
        // It has signalled in the meantime.
        Err(FenceError::NoSyncFile { .. }) if over()? => Ok(None),
        Err(error) => Err(error),
    }
}

fn raw(fd: Option<&OwnedFd>) -> i32 {
    fd.map_or(SIGNALLED, |fd| fd.as_fd().as_raw_fd())
}
