//! Open DRM device files.

pub(crate) mod dumb_buffers;
pub(crate) mod gem;
pub(crate) mod gem_table;
pub(crate) mod master;
pub(crate) mod node;

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use drm::{Device as _, DriverCapability};
use nix::sys::stat::{fstat, major, minor};

use crate::device::gem_table::GemTable;
use crate::error::{DeviceError, OpenError};
use crate::sys;
use crate::sys::retry;

/// `DRM_PRIME_CAP_IMPORT` of `drm.h`.
pub(crate) const PRIME_CAP_IMPORT: u64 = 1;
/// `DRM_PRIME_CAP_EXPORT` of `drm.h`.
pub(crate) const PRIME_CAP_EXPORT: u64 = 2;

/// An open DRM device file and its GEM handles. Framebuffers share it, so the file is closed after the
/// last framebuffer.
#[derive(Debug)]
pub(crate) struct DrmDevice {
    file: OwnedFd,
    path: Option<PathBuf>,
    driver: String,
    name: String,
    number: (u64, u64),
    gem: GemTable,
    lacks_close_fb: AtomicBool,
}

impl AsFd for DrmDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl drm::Device for DrmDevice {}
impl drm::control::Device for DrmDevice {}

impl DrmDevice {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_CLOEXEC | nix::libc::O_NONBLOCK)
            .open(path)
            .map_err(|source| OpenError::Open {
                path: path.to_owned(),
                source,
            })?;
        Self::new(file.into(), Some(path.to_owned()))
    }

    pub(crate) fn new(file: OwnedFd, path: Option<PathBuf>) -> Result<Self, OpenError> {
        let shown = match &path {
            Some(path) => path.display().to_string(),
            None => "DRM device".to_owned(),
        };
        let not_drm = |source: io::Error| OpenError::NotDrm {
            path: shown.clone(),
            source,
        };
        let stat = fstat(&file).map_err(|errno| not_drm(errno.into()))?;
        let mut device = Self {
            file,
            path,
            driver: String::new(),
            name: String::new(),
            number: (major(stat.st_rdev), minor(stat.st_rdev)),
            gem: GemTable::default(),
            lacks_close_fb: AtomicBool::new(false),
        };
        let driver = retry(|| device.get_driver()).map_err(not_drm)?;
        device.driver = driver.name.to_string_lossy().into_owned();
        device.name = format!("{} {shown}", device.driver);
        Ok(device)
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(crate) fn driver(&self) -> &str {
        &self.driver
    }

    /// Driver and node, such as "vkms /dev/dri/card0".
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Major and minor number of the device file.
    pub(crate) fn number(&self) -> (u64, u64) {
        self.number
    }

    pub(crate) fn gem(&self) -> &GemTable {
        &self.gem
    }

    pub(crate) fn error(&self, operation: &'static str, source: io::Error) -> DeviceError {
        DeviceError {
            card: self.name.clone(),
            operation,
            source,
        }
    }

    /// Calls the device, restarts the call if a signal interrupts it, and names `operation` in errors.
    pub(crate) fn call<T>(
        &self,
        operation: &'static str,
        call: impl FnMut() -> io::Result<T>,
    ) -> Result<T, DeviceError> {
        retry(call).map_err(|source| self.error(operation, source))
    }

    /// Value of a capability; `None` if the kernel does not report it. For devices without KMS it
    /// reports only a few, even if they support dumb buffers (`drm_getcap`).
    pub(crate) fn capability(&self, capability: DriverCapability) -> Option<u64> {
        retry(|| self.get_driver_capability(capability)).ok()
    }

    /// Whether the kernel reports the capability as supported.
    pub(crate) fn has(&self, capability: DriverCapability) -> bool {
        self.capability(capability).is_some_and(|value| value != 0)
    }

    /// Releases a framebuffer with CLOSEFB or, if the kernel lacks it (`EINVAL` before Linux 6.8), with
    /// RMFB, which also disables a plane that still shows the framebuffer.
    pub(crate) fn close_framebuffer(&self, framebuffer: u32) {
        if !self.lacks_close_fb.load(Ordering::Relaxed) {
            match sys::mode::close_fb(self.as_fd(), framebuffer) {
                Ok(()) => return,
                Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => {
                    self.lacks_close_fb.store(true, Ordering::Relaxed);
                }
                Err(error) => {
                    tracing::error!(%error, framebuffer, "CLOSEFB failed");
                    return;
                }
            }
        }
        if let Err(error) =
            sys::retry_idempotent(|| drm_ffi::mode::rm_fb(self.as_fd(), framebuffer))
        {
            tracing::error!(%error, framebuffer, "RMFB failed");
        }
    }
}
