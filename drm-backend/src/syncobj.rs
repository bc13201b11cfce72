//! drm_syncobj: the kernel's box for a fence, or for a line of them, that processes share.

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
use crate::device::node::Node;
use crate::error::{OpenError, SyncobjError};
use crate::sys;

/// A DRM device whose driver has syncobjs. Clones share the open file.
///
/// A syncobj belongs to no device: one that was exported can be imported by any other that has them.
/// So a program needs one device of these, and any GPU will do.
#[derive(Clone, Debug)]
pub struct SyncobjDevice {
    device: Arc<DrmDevice>,
}

impl SyncobjDevice {
    /// Opens a node, best a render node: no rights are needed for syncobjs.
    ///
    /// # Errors
    /// - [`SyncobjError::Open`]: no such file, no permission, another file.
    /// - [`SyncobjError::Unsupported`]: the driver has no timelines of syncobjs.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SyncobjError> {
        Self::new(Arc::new(DrmDevice::open(path.as_ref())?))
    }

    /// Opens the first render node of this driver, such as "vgem".
    ///
    /// # Errors
    /// As [`open`](Self::open); [`OpenError::NoDriver`] if there is none.
    pub fn of_driver(driver: &str) -> Result<Self, SyncobjError> {
        let is_it = |node: &&Node| {
            node.driver() == driver && node.kind() == crate::device::node::NodeKind::Render
        };
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

    /// "vgem /dev/dri/renderD128".
    pub fn name(&self) -> &str {
        self.device.name()
    }

    /// Makes a syncobj (`DRM_IOCTL_SYNCOBJ_CREATE`): empty, or with a fence that has signalled.
    ///
    /// # Errors
    /// [`SyncobjError::Device`].
    pub fn create(&self, signalled: bool) -> Result<Syncobj, SyncobjError> {
        let made = self.device.call("SYNCOBJ_CREATE", || {
            drm_ffi::syncobj::create(self.device.as_fd(), signalled)
        })?;
        Ok(self.wrap(made.handle))
    }

    /// Takes part in a syncobj that another process, or another device, has exported
    /// (`DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE`). The descriptor stays the caller's.
    ///
    /// # Errors
    /// [`SyncobjError::NotSyncobj`]: it is another kind of file; [`SyncobjError::Device`].
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
    /// The card's device for syncobjs; it shares the card's file.
    ///
    /// # Errors
    /// [`SyncobjError::Unsupported`]: the driver has no timelines of syncobjs.
    pub fn syncobjs(&self) -> Result<SyncobjDevice, SyncobjError> {
        SyncobjDevice::new(self.inner().device.clone())
    }
}

/// What a wait on syncobjs waits for. By default for one of them that has a fence and whose fence has
/// signalled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SyncobjWait {
    /// For all of them (`DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL`).
    pub all: bool,
    /// Also for those that have no fence yet, until they get one
    /// (`DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT`).
    pub for_submit: bool,
    /// Only until there is a fence, signalled or not (`DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE`).
    pub available: bool,
}

/// One drm_syncobj, destroyed with this handle of it; others that were exported live on.
///
/// It holds no fence, one, or a timeline of them. Every operation takes a point: 0 is the one fence of
/// a binary syncobj, any other a point of a timeline. In the kernel it is the same object.
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

    /// A descriptor of it for another process or device, owned by the caller
    /// (`DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD`).
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: no descriptor is left.
    pub fn export(&self) -> Result<OwnedFd, SyncobjError> {
        self.call("SYNCOBJ_HANDLE_TO_FD", || {
            sys::syncobj::export(self.fd(), self.handle, false)
        })
    }

    /// A sync_file of the fence that `point` has now, owned by the caller. At a point of a timeline it
    /// is one that signals with the point.
    ///
    /// At point 0 one ioctl; at others four, by way of a syncobj that is made for it.
    ///
    /// # Errors
    /// [`SyncobjError::NoFence`]: the work of that point was not submitted yet;
    /// [`SyncobjError::Device`].
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

    /// Puts the fence of a sync_file at `point`, which signals with it: in the place of the one that is
    /// there at point 0, or as the next point of a timeline. Points grow: one that is not beyond the
    /// last signals no earlier than that.
    ///
    /// At point 0 one ioctl; at others four, by way of a syncobj that is made for it.
    ///
    /// # Errors
    /// [`SyncobjError::Device`].
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

    /// Puts the fence of `point` at `to_point` of another syncobj of the same device
    /// (`DRM_IOCTL_SYNCOBJ_TRANSFER`).
    ///
    /// # Errors
    /// [`SyncobjError::NoFence`]: `point` has none; [`SyncobjError::OtherDevice`];
    /// [`SyncobjError::Device`].
    pub fn transfer(&self, point: u64, to: &Self, to_point: u64) -> Result<(), SyncobjError> {
        if !Arc::ptr_eq(&self.device, &to.device) {
            return Err(SyncobjError::OtherDevice);
        }
        self.call("SYNCOBJ_TRANSFER", || {
            drm_ffi::syncobj::transfer(self.fd(), self.handle, to.handle, point, to_point)
        })?;
        Ok(())
    }

    /// Puts a fence that has signalled at `point` (`DRM_IOCTL_SYNCOBJ_SIGNAL`, at a point of a timeline
    /// `DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL`).
    ///
    /// # Errors
    /// [`SyncobjError::Device`].
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

    /// Takes the fence, or the whole timeline, out of it (`DRM_IOCTL_SYNCOBJ_RESET`).
    ///
    /// # Errors
    /// [`SyncobjError::Device`].
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

    /// The last point of a timeline that has signalled; 0 of none (`DRM_IOCTL_SYNCOBJ_QUERY`).
    ///
    /// # Errors
    /// [`SyncobjError::Device`].
    pub fn signalled(&self) -> Result<u64, SyncobjError> {
        self.query(false)
    }

    /// The last point of a timeline that has a fence; 0 of none.
    ///
    /// # Errors
    /// [`SyncobjError::Device`].
    pub fn submitted(&self) -> Result<u64, SyncobjError> {
        self.query(true)
    }

    /// Waits on the CPU for `point`, for `timeout` at most.
    ///
    /// # Errors
    /// As [`wait_many`](Self::wait_many).
    pub fn wait(
        &self,
        point: u64,
        what: SyncobjWait,
        timeout: Duration,
    ) -> Result<(), SyncobjError> {
        Self::wait_many(&[(self, point)], what, timeout).map(drop)
    }

    /// Waits on the CPU for any or all of some syncobjs' points, for `timeout` at most
    /// (`DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT`). Gives the place of one that has signalled, which says
    /// something only of a wait for any.
    ///
    /// # Errors
    /// - [`SyncobjError::Timeout`]: they have not.
    /// - [`SyncobjError::NoFence`]: one of them has no fence, and it is not waited for that. Or there
    ///   is none of them.
    /// - [`SyncobjError::OtherDevice`]: they are not all of one device.
    /// - [`SyncobjError::Device`].
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

    /// The kernel's absolute time for a time from now.
    fn until(&self, timeout: Duration) -> Result<i64, SyncobjError> {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map_err(|errno| self.device.error("clock_gettime", errno.into()))?;
        let until = Duration::from(now).saturating_add(timeout);
        Ok(i64::try_from(until.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Has the kernel write 1 to an eventfd, once, when `point` has signalled, also if its work is
    /// submitted only later; with `available` when it is submitted (`DRM_IOCTL_SYNCOBJ_EVENTFD`).
    ///
    /// # Errors
    /// [`SyncobjError::Device`]: the kernel has no such ioctl (`EINVAL` or `ENOTTY` before Linux 6.6),
    /// or `eventfd` is another kind of file (`EINVAL`).
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
