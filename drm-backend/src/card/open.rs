//! Opening a card.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use dmashare::{AccessConstraint, RetireQueue};
use drm::DriverCapability;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::card::dispatch::{DEVICE_TOKEN, UEVENT_TOKEN};
use crate::card::hotplug::Uevents;
use crate::card::restore::Restore;
use crate::card::state::State;
use crate::card::statistics::Counters;
use crate::card::{Card, CardInner};
use crate::device::{DrmDevice, master, node};
use crate::error::OpenError;
use crate::kms::capabilities;
use crate::kms::capabilities::Capabilities;
use crate::kms::output::Output;
use crate::kms::resources::Resources;

/// Purpose for which a card is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Show { owns_master: bool },
    Look,
}

impl Card {
    /// Opens a primary node (`/dev/dri/cardN`) and becomes DRM master.
    ///
    /// # Errors
    /// - [`OpenError::Open`]: the file does not exist, or permission is denied.
    /// - [`OpenError::NotDrm`]: the file is not a DRM device.
    /// - [`OpenError::NoKms`]: the node is a render node, or the device has no displays.
    /// - [`OpenError::NoAtomic`]: the driver does not support atomic mode setting.
    /// - [`OpenError::NoMaster`]: another process is master.
    /// - [`OpenError::Device`]: an ioctl failed.
    /// - [`OpenError::MissingProperty`]: the driver lacks a required property.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let device = DrmDevice::open(path.as_ref())?;
        Self::new(device, Purpose::Show { owns_master: true })
    }

    /// Opens the first card that has a connected output.
    ///
    /// # Errors
    /// - [`OpenError::NoMaster`]: no card could be used, and another process is master of one.
    /// - [`OpenError::NoDisplay`]: no card has a connected output; the error lists what was tried.
    pub fn open_any() -> Result<Self, OpenError> {
        let mut tried = Vec::new();
        let mut held = None;
        for path in node::primary_paths()? {
            match Self::open(&path) {
                Ok(card) => {
                    if card.outputs()?.iter().any(Output::is_connected) {
                        return Ok(card);
                    }
                    tried.push(format!("{}: nothing is connected", card.name()));
                }
                Err(OpenError::NoMaster(error)) => {
                    tried.push(error.to_string());
                    held.get_or_insert(error);
                }
                Err(error) => tried.push(error.to_string()),
            }
        }
        Err(match held {
            Some(error) => error.into(),
            None => OpenError::NoDisplay { tried },
        })
    }

    /// Uses an open primary node, such as one from a seat daemon. If the file is not master, this tries
    /// to become master. Dropping the card keeps master, because the daemon manages it. When the daemon
    /// reports that the session is active again, call [`acquire_master`](Self::acquire_master): another
    /// process may have changed the KMS state, and commits set only what differs from the last commit.
    ///
    /// The card must be the only user of the open file description, except for the daemon, which only
    /// sets and drops master. A duplicate (`dup`, `try_clone`, `SCM_RIGHTS`) is the same description.
    /// GEM handles, client capabilities and events belong to the description. If GBM, EGL or another
    /// library uses it too, importing a buffer of that library returns the library's own handle
    /// (`PRIME_FD_TO_HANDLE` returns one handle per object), and the card closes it after the import,
    /// which invalidates the library's buffer. Also, whichever reads the file first consumes the
    /// other's events. So reserve the daemon's file for the card, and let other libraries open the
    /// node again, or the render node: they do not need master. Alternatively, use a lease for the
    /// card, which has its own description (`DRM_IOCTL_MODE_CREATE_LEASE`).
    ///
    /// # Errors
    /// Same as [`open`](Self::open).
    pub fn from_fd(fd: OwnedFd) -> Result<Self, OpenError> {
        let path = std::fs::read_link(format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&fd)
        ))
        .ok();
        let device = DrmDevice::new(fd, path)?;
        Self::new(device, Purpose::Show { owns_master: false })
    }

    /// Opens a card for inspection: outputs, formats, imports. It does not become master and does not
    /// prevent other processes from becoming master. Its commits fail with
    /// [`CommitError::NoMaster`](crate::CommitError::NoMaster).
    ///
    /// # Errors
    /// Same as [`open`](Self::open), except for [`OpenError::NoMaster`].
    pub fn inspect(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::new(DrmDevice::open(path.as_ref())?, Purpose::Look)
    }

    fn new(device: DrmDevice, purpose: Purpose) -> Result<Self, OpenError> {
        let device = Arc::new(device);
        capabilities::enable_client_capabilities(&device)?;
        let file = device.clone();
        // The open file may be shared, so closing our descriptor may not drop master.
        let master = match purpose {
            Purpose::Show { .. } => Some(master::acquire(&file)?),
            // The kernel makes the first opener of a card its master.
            Purpose::Look if master::is_master(&device) => {
                master::release(&device).map_err(|source| device.error("DROP_MASTER", source))?;
                None
            }
            Purpose::Look => None,
        };
        let modifiers = device.has(DriverCapability::AddFB2Modifiers);
        let (resources, connectors, mut snapshot) = Resources::read(&device, modifiers)?;
        let capabilities = Capabilities::read(&device, &resources);
        let foreign = snapshot.take_foreign();
        let restore = Arc::new(Restore::new(device.clone(), snapshot));
        let uevents = open_uevents(&device)?;
        let epoll = watch(&device, uevents.as_ref())?;
        let no_in_fences = resources
            .planes
            .iter()
            .any(|plane| plane.inner.properties.in_fence_fd.is_none());
        let state = State::new(device.name(), &resources, connectors, foreign);
        let card = Self {
            inner: Arc::new(CardInner {
                capabilities,
                resources,
                restore,
                retire: RetireQueue::new(),
                epoll,
                uevents,
                statistics: Counters::default(),
                commits: purpose != Purpose::Look,
                refuses_in_fences: AtomicBool::new(no_in_fences),
                held: AtomicUsize::new(0),
                constraint: Mutex::new(AccessConstraint::default()),
                state: Mutex::new(state),
                handles: AtomicUsize::new(1),
                owns_master: purpose == Purpose::Show { owns_master: true },
                signals: Mutex::new(Vec::new()),
                device,
            }),
        };
        // Detects outputs and assigns CRTCs before the first commit.
        card.outputs()?;
        if let Some(master) = master {
            master.keep();
        }
        Ok(card)
    }
}

/// Opens the uevent socket. Returns `None` if this process is not permitted to; the card then works
/// without hotplug events.
fn open_uevents(device: &DrmDevice) -> Result<Option<Uevents>, OpenError> {
    match Uevents::open() {
        Ok(uevents) => Ok(Some(uevents)),
        Err(
            errno @ (Errno::EPERM | Errno::EACCES | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT),
        ) => {
            tracing::warn!(%errno, "cannot receive uevents: hotplugs will not be reported");
            Ok(None)
        }
        Err(errno) => Err(device.error("socket (uevent)", errno.into()).into()),
    }
}

fn watch(device: &DrmDevice, uevents: Option<&Uevents>) -> Result<Epoll, OpenError> {
    let error = |operation| move |errno: Errno| device.error(operation, errno.into());
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(error("epoll_create1"))?;
    let input = |token| EpollEvent::new(EpollFlags::EPOLLIN, token);
    epoll
        .add(device.as_fd(), input(DEVICE_TOKEN))
        .map_err(error("epoll_ctl"))?;
    if let Some(uevents) = uevents {
        epoll
            .add(uevents.as_fd(), input(UEVENT_TOKEN))
            .map_err(error("epoll_ctl"))?;
    }
    Ok(epoll)
}
