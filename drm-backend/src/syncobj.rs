//! drm_syncobj: a kernel container for a fence or a timeline of fences that processes can share.

pub(crate) mod timeline;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dmashare::SyncFile;
use drm::DriverCapability;
use nix::libc;
use nix::time::{ClockId, clock_gettime};
use smallvec::SmallVec;

use crate::card::Card;
use crate::device::DrmDevice;
use crate::device::node::{Node, NodeKind};
use crate::error::{OpenError, SyncobjError};
use crate::sys;

/// A DRM device whose driver supports syncobjs. Clones share the open file.
///
/// A syncobj is not tied to a device: any device that supports syncobjs can import one that another
/// device exported. A program therefore needs only one such device, and any GPU will do.
#[derive(Clone, Debug)]
pub struct SyncobjDevice {
    device: Arc<DrmDevice>,
}

impl SyncobjDevice {
    /// Opens a node, preferably a render node: syncobjs need no privileges.
    ///
    /// # Errors
    /// - [`SyncobjError::Open`]: the file does not exist, cannot be opened, or is not a DRM device.
    /// - [`SyncobjError::Unsupported`]: the driver does not support timeline syncobjs.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SyncobjError> {
        Self::new(Arc::new(DrmDevice::open(path.as_ref())?))
    }

    /// Opens the first render node of this driver, such as "vgem".
    ///
    /// # Errors
    /// Same as [`open`](Self::open), and [`OpenError::NoDriver`] if no render node uses this driver.
    pub fn of_driver(driver: &str) -> Result<Self, SyncobjError> {
        let is_it = |node: &&Node| node.driver() == driver && node.kind() == NodeKind::Render;
        match Node::list().iter().find(is_it) {
            Some(node) => Self::open(node.path()),
            None => Err(OpenError::NoDriver {
                driver: driver.to_owned(),
            }
            .into()),
        }
    }

    pub(crate) fn new(device: Arc<DrmDevice>) -> Result<Self, SyncobjError> {
        if !device.has(DriverCapability::TimelineSyncObj) {
            return Err(SyncobjError::Unsupported {
                device: device.name().to_owned(),
            });
        }
        Ok(Self { device })
    }

    /// Driver and node, such as "vgem /dev/dri/renderD128".
    pub fn name(&self) -> &str {
        self.device.name()
    }

    /// Creates a syncobj (`DRM_IOCTL_SYNCOBJ_CREATE`), either empty or with a signalled fence.
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: the ioctl failed.
    pub fn create(&self, signalled: bool) -> Result<Syncobj, SyncobjError> {
        let made = self.device.call("SYNCOBJ_CREATE", || {
            drm_ffi::syncobj::create(self.device.as_fd(), signalled)
        })?;
        Ok(self.wrap(made.handle))
    }

    /// Imports a syncobj that another process or another device has exported
    /// (`DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE`). The caller keeps ownership of the file descriptor.
    ///
    /// # Errors
    /// - [`SyncobjError::NotSyncobj`]: the descriptor refers to another kind of file.
    /// - [`SyncobjError::Device`]: the ioctl failed.
    pub fn import(&self, fd: BorrowedFd<'_>) -> Result<Syncobj, SyncobjError> {
        const OPERATION: &str = "SYNCOBJ_FD_TO_HANDLE";
        let import = || drm_ffi::syncobj::fd_to_handle(self.device.as_fd(), fd, false);
        match sys::retry(import) {
            Ok(made) => Ok(self.wrap(made.handle)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                Err(SyncobjError::NotSyncobj)
            }
            Err(error) => Err(self.device.error(OPERATION, error).into()),
        }
    }

    fn wrap(&self, handle: u32) -> Syncobj {
        Syncobj {
            device: self.device.clone(),
            handle,
        }
    }
}

impl Card {
    /// The card as a syncobj device. It shares the card's open file.
    ///
    /// # Errors
    /// [`SyncobjError::Unsupported`]: the driver does not support timeline syncobjs.
    pub fn syncobjs(&self) -> Result<SyncobjDevice, SyncobjError> {
        SyncobjDevice::new(self.inner().device.clone())
    }
}

/// Condition of a wait on syncobjs. By default the wait ends when any of them has signalled, and fails
/// if one of them has no fence yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SyncobjWait {
    /// Wait for all syncobjs (`DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL`).
    pub all: bool,
    /// If a syncobj has no fence yet, first wait until it gets one
    /// (`DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT`).
    pub for_submit: bool,
    /// Wait only until a fence exists, signalled or not (`DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE`).
    pub available: bool,
}

/// A handle of a drm_syncobj. Dropping it destroys this handle; exported references stay valid.
///
/// A syncobj holds no fence, one fence, or a timeline of fences. Every operation takes a point: 0 is
/// the fence of a binary syncobj, any other value is a timeline point. The kernel uses the same object
/// for both.
pub struct Syncobj {
    device: Arc<DrmDevice>,
    handle: u32,
}

impl Syncobj {
    fn call<T>(
        &self,
        operation: &'static str,
        call: impl FnMut() -> io::Result<T>,
    ) -> Result<T, SyncobjError> {
        sys::retry(call).map_err(|source| match source.raw_os_error() {
            Some(libc::ETIME) => SyncobjError::Timeout,
            Some(libc::EINVAL) => SyncobjError::NoFence,
            _ => self.device.error(operation, source).into(),
        })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }

    /// Exports the syncobj as a file descriptor for another process or device
    /// (`DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD`). The caller owns the descriptor.
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: the process has no free file descriptor.
    pub fn export(&self) -> Result<OwnedFd, SyncobjError> {
        self.call("SYNCOBJ_HANDLE_TO_FD", || {
            sys::syncobj::export(self.fd(), self.handle, false)
        })
    }

    /// Exports the current fence of `point` as a sync_file, which the caller owns. For a timeline
    /// point, the sync_file signals with the point.
    ///
    /// This takes one ioctl for point 0, and four for a timeline point, which goes through a temporary
    /// syncobj.
    ///
    /// # Errors
    /// - [`SyncobjError::NoFence`]: the work of that point has not been submitted.
    /// - [`SyncobjError::Device`]: an ioctl failed.
    pub fn export_sync_file(&self, point: u64) -> Result<SyncFile, SyncobjError> {
        if point != 0 {
            let binary = self.sibling()?;
            self.transfer(point, &binary, 0)?;
            return binary.export_sync_file(0);
        }
        let fd = self.call("SYNCOBJ_HANDLE_TO_FD (sync_file)", || {
            sys::syncobj::export(self.fd(), self.handle, true)
        })?;
        Ok(SyncFile::from_kernel(fd))
    }

    /// Imports the fence of a sync_file at `point`, which signals with the fence. At point 0 it
    /// replaces the current fence; otherwise it becomes the next point of the timeline. Points must
    /// increase: a point that is not beyond the last one signals no earlier than that one.
    ///
    /// This takes one ioctl for point 0, and four for a timeline point, which goes through a temporary
    /// syncobj.
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: the ioctl failed.
    pub fn import_sync_file(&self, point: u64, file: &SyncFile) -> Result<(), SyncobjError> {
        if point != 0 {
            let binary = self.sibling()?;
            binary.import_sync_file(0, file)?;
            return binary.transfer(0, self, point);
        }
        self.call("SYNCOBJ_FD_TO_HANDLE (sync_file)", || {
            sys::syncobj::import_sync_file(self.fd(), self.handle, file.as_fd())
        })
    }

    fn sibling(&self) -> Result<Self, SyncobjError> {
        let device = SyncobjDevice {
            device: self.device.clone(),
        };
        device.create(false)
    }

    /// Transfers the fence of `point` to `to_point` of another syncobj of the same device
    /// (`DRM_IOCTL_SYNCOBJ_TRANSFER`).
    ///
    /// # Errors
    /// - [`SyncobjError::NoFence`]: `point` has no fence.
    /// - [`SyncobjError::OtherDevice`]: the syncobjs belong to different devices.
    /// - [`SyncobjError::Device`]: the ioctl failed.
    pub fn transfer(&self, point: u64, to: &Self, to_point: u64) -> Result<(), SyncobjError> {
        if !Arc::ptr_eq(&self.device, &to.device) {
            return Err(SyncobjError::OtherDevice);
        }
        self.call("SYNCOBJ_TRANSFER", || {
            drm_ffi::syncobj::transfer(self.fd(), self.handle, to.handle, point, to_point)
        })?;
        Ok(())
    }

    /// Signals `point` (`DRM_IOCTL_SYNCOBJ_SIGNAL`, or `DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL` for a
    /// timeline point).
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: the ioctl failed.
    pub fn signal(&self, point: u64) -> Result<(), SyncobjError> {
        match point {
            0 => self.call("SYNCOBJ_SIGNAL", || {
                drm_ffi::syncobj::signal(self.fd(), &[self.handle]).map(drop)
            }),
            point => self.call("SYNCOBJ_TIMELINE_SIGNAL", || {
                drm_ffi::syncobj::timeline_signal(self.fd(), &[self.handle], &[point]).map(drop)
            }),
        }
    }

    /// Removes the fence or the whole timeline (`DRM_IOCTL_SYNCOBJ_RESET`).
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: the ioctl failed.
    pub fn reset(&self) -> Result<(), SyncobjError> {
        self.call("SYNCOBJ_RESET", || {
            drm_ffi::syncobj::reset(self.fd(), &[self.handle]).map(drop)
        })
    }

    fn query(&self, last_submitted: bool) -> Result<u64, SyncobjError> {
        let mut points = [0];
        self.call("SYNCOBJ_QUERY", || {
            drm_ffi::syncobj::query(self.fd(), &[self.handle], &mut points, last_submitted)
        })?;
        Ok(points[0])
    }

    /// The last timeline point that has signalled, or 0 if none has (`DRM_IOCTL_SYNCOBJ_QUERY`).
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: the ioctl failed.
    pub fn signalled(&self) -> Result<u64, SyncobjError> {
        self.query(false)
    }

    /// The last timeline point that has a fence, or 0 if none has
    /// (`DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED`).
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: the ioctl failed.
    pub fn submitted(&self) -> Result<u64, SyncobjError> {
        self.query(true)
    }

    /// Waits on the CPU for `point`, up to `timeout`.
    ///
    /// # Errors
    /// Same as [`wait_many`](Self::wait_many).
    pub fn wait(
        &self,
        point: u64,
        what: SyncobjWait,
        timeout: Duration,
    ) -> Result<(), SyncobjError> {
        Self::wait_many(&[(self, point)], what, timeout).map(drop)
    }

    /// Waits on the CPU for any or all of the given points, up to `timeout`
    /// (`DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT`). Returns the index of a point that has signalled, which is
    /// meaningful only when waiting for any.
    ///
    /// # Errors
    /// - [`SyncobjError::Timeout`]: the points did not signal in time.
    /// - [`SyncobjError::NoFence`]: a point has no fence and [`SyncobjWait::for_submit`] is not set, or
    ///   `points` is empty.
    /// - [`SyncobjError::OtherDevice`]: the syncobjs belong to different devices.
    /// - [`SyncobjError::Device`]: the ioctl failed.
    pub fn wait_many(
        points: &[(&Self, u64)],
        what: SyncobjWait,
        timeout: Duration,
    ) -> Result<usize, SyncobjError> {
        let Some((first, _)) = points.first() else {
            return Err(SyncobjError::NoFence);
        };
        let is_other = |(syncobj, _): &(&Self, u64)| !Arc::ptr_eq(&syncobj.device, &first.device);
        if points.iter().any(is_other) {
            return Err(SyncobjError::OtherDevice);
        }
        let handles: SmallVec<[u32; 4]> =
            points.iter().map(|(syncobj, _)| syncobj.handle).collect();
        let values: SmallVec<[u64; 4]> = points.iter().map(|(_, point)| *point).collect();
        let until = first.until(timeout)?;
        let waited = first.call("SYNCOBJ_TIMELINE_WAIT", || {
            drm_ffi::syncobj::timeline_wait(
                first.fd(),
                &handles,
                &values,
                until,
                what.all,
                what.for_submit,
                what.available,
            )
        })?;
        Ok(usize::try_from(waited.first_signaled).unwrap_or(0))
    }

    /// The absolute `CLOCK_MONOTONIC` time, in nanoseconds, at which `timeout` expires.
    fn until(&self, timeout: Duration) -> Result<i64, SyncobjError> {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map_err(|errno| self.device.error("clock_gettime", errno.into()))?;
        let until = Duration::from(now).saturating_add(timeout);
        Ok(i64::try_from(until.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Asks the kernel to write 1 to an eventfd, once, when `point` signals, or with `available` when
    /// its work is submitted (`DRM_IOCTL_SYNCOBJ_EVENTFD`). The work may be submitted after this call.
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: the kernel does not support the ioctl (`EINVAL` or `ENOTTY` before
    /// Linux 6.6), or `eventfd` is not an eventfd (`EINVAL`).
    pub fn notify(
        &self,
        point: u64,
        available: bool,
        eventfd: BorrowedFd<'_>,
    ) -> Result<(), SyncobjError> {
        let notify =
            || drm_ffi::syncobj::eventfd(self.fd(), self.handle, point, eventfd, available);
        sys::retry(notify).map_err(|source| self.device.error("SYNCOBJ_EVENTFD", source))?;
        Ok(())
    }

    pub(crate) fn device_name(&self) -> &str {
        self.device.name()
    }
}

impl Drop for Syncobj {
    fn drop(&mut self) {
        let destroy = || drm_ffi::syncobj::destroy(self.fd(), self.handle);
        if let Err(error) = sys::retry_idempotent(destroy) {
            tracing::error!(%error, handle = self.handle, "SYNCOBJ_DESTROY failed");
        }
    }
}

impl fmt::Debug for Syncobj {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syncobj")
            .field("device", &self.device.name())
            .field("handle", &self.handle)
            .finish()
    }
}
