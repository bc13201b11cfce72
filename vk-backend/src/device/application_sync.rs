//! The application's own semaphores and fences, to and from fences of buffers.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use ash::vk;
use dmashare::{Fence, FenceError, FenceStatus, SyncFile};

use crate::device::Device;
use crate::failure::Failure;

/// What `VkImportSemaphoreFdInfoKHR` and `VkImportFenceFdInfoKHR` take for a sync_file that has
/// signalled, and the exports give for one.
const SIGNALLED: i32 = -1;

impl Device {
    fn has_no_sync_fd(&self) -> FenceError {
        FenceError::NoSyncFile {
            producer: self.core().name.clone(),
        }
    }

    /// A fence that signals with a binary semaphore of the application (`vkGetSemaphoreFdKHR`,
    /// SYNC_FD), such as another part of the application signals it; `None` if it has signalled. The
    /// semaphore is unsignalled afterwards, as by a wait. Some drivers block here until the work is
    /// done.
    ///
    /// # Safety
    /// The semaphore must be a binary one of this `VkDevice`, made for export as
    /// `VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT`, with its signal submitted and nobody else
    /// waiting for it (VUID-VkSemaphoreGetFdInfoKHR-handleType-03253, -03254), and not in use by
    /// another thread.
    ///
    /// # Errors
    /// - [`FenceError::NoSyncFile`]: the device cannot export them.
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
        // SAFETY: the caller's.
        let result = unsafe { functions.get_semaphore_fd(&info) };
        self.take("vkGetSemaphoreFdKHR", result)
    }

    /// A fence that signals with a `VkFence` of the application (`vkGetFenceFdKHR`, SYNC_FD); `None` if
    /// it has signalled. The `VkFence` is reset. Some drivers block here until the work is done.
    ///
    /// # Safety
    /// The fence must be of this `VkDevice`, made for export as
    /// `VK_EXTERNAL_FENCE_HANDLE_TYPE_SYNC_FD_BIT`, signalled or with its signal submitted
    /// (VUID-VkFenceGetFdInfoKHR-handleType-01454), and not in use by another thread.
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
        // SAFETY: the caller's.
        let result = unsafe { functions.get_fence_fd(&info) };
        self.take("vkGetFenceFdKHR", result)
    }

    /// Takes a descriptor that the driver has given.
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
        // SAFETY: the driver has just made the descriptor and gives it to the caller.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Some(SyncFile::new(fd)?.into()))
    }

    /// Has a binary semaphore of the application signal with a fence of any kind that has a sync_file
    /// (`vkImportSemaphoreFdKHR`, temporary). One wait consumes it; then the semaphore is what it was.
    ///
    /// # Safety
    /// The semaphore must be a binary one of this `VkDevice` that no submitted work waits for or
    /// signals (VUID-vkImportSemaphoreFdKHR-semaphore-01142), and not in use by another thread.
    ///
    /// # Errors
    /// - [`FenceError::NoSyncFile`]: the fence has none, or the device cannot import them.
    /// - [`FenceError::Failed`]: the fence has ended in an error. Vulkan would take that for a signal.
    /// - [`FenceError::Device`]: the command failed.
    /// - The others of [`Fence::export_sync_file`].
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
        // SAFETY: the semaphore is the caller's business; the descriptor is a sync_file's, checked
        // when `SyncFile` was made, or -1.
        let result = unsafe { functions.import_semaphore_fd(&info) };
        self.given("vkImportSemaphoreFdKHR", result, fd)
    }

    /// Has a `VkFence` of the application signal with a fence of any kind that has a sync_file
    /// (`vkImportFenceFdKHR`, temporary). A reset takes it out again.
    ///
    /// # Safety
    /// The `VkFence` must be of this `VkDevice`, not be associated with submitted work that is not over
    /// (VUID-vkImportFenceFdKHR-fence-01463), and not be in use by another thread.
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

    /// Lets go of a descriptor that the driver owns now; on error it is closed here.
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

/// A descriptor of a fence's sync_file; `None` if it has signalled.
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
        Ok(file) => Ok(Some(file.into_fd())),
        // It has signalled meanwhile.
        Err(FenceError::NoSyncFile { .. }) if over()? => Ok(None),
        Err(error) => Err(error),
    }
}

fn raw(fd: Option<&OwnedFd>) -> i32 {
    fd.map_or(SIGNALLED, |fd| fd.as_fd().as_raw_fd())
}
