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

/// What a card is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Show { owns_master: bool },
    Look,
}

impl Card {
    /// Opens a primary node (`/dev/dri/cardN`) and becomes DRM master.
    ///
    /// # Errors
    /// - [`OpenError::Open`], [`OpenError::NotDrm`]: no such file, no permission, another file.
    /// - [`OpenError::NoKms`]: a render node or a device without displays.
    /// - [`OpenError::NoAtomic`]: the driver has no atomic mode setting.
    /// - [`OpenError::NoMaster`]: another process holds the display.
    /// - [`OpenError::Device`], [`OpenError::MissingProperty`]: an ioctl failed, a driver is broken.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let device = DrmDevice::open(path.as_ref())?;
        Self::new(device, Purpose::Show { owns_master: true })
    }

    /// Opens the first card that has a connected output.
    ///
    /// # Errors
    /// - [`OpenError::NoMaster`]: there is a display, but another process holds it.
    /// - [`OpenError::NoDisplay`] with what was tried.
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

    /// Takes an open primary node, such as a seat daemon gives. It should be master; if it is not,
    /// that is tried. Master is not given back: it is the daemon's business. When the daemon says that
    /// the session is active again, call [`acquire_master`](Self::acquire_master): another process
    /// may have changed what is shown, and commits set only what differs from what was shown last.
    ///
    /// The open file description must be the card's alone, but for its giver, who only sets and drops
    /// master: a duplicate (`dup`, `try_clone`, `SCM_RIGHTS`) is the same description. GEM handles,
    /// client capabilities and events belong to it. If GBM, EGL or another library uses it too, an
    /// import of a buffer that it made gives that library's own handle (`PRIME_FD_TO_HANDLE` gives
    /// one handle for one object), and the card closes it after the import: the library's buffer is
    /// gone. The first of both to read the file also takes the other's events. So keep what the
    /// daemon gave for the card, and let the others open the node again, or the render node: they
    /// need no master. Or give the card a lease, which is a description of its own
    /// (`DRM_IOCTL_MODE_CREATE_LEASE`).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_fd(fd: OwnedFd) -> Result<Self, OpenError> {
        let path = std::fs::read_link(format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&fd)
        ))
        .ok();
        let device = DrmDevice::new(fd, path)?;
        Self::new(device, Purpose::Show { owns_master: false })
    }

    /// Opens a card for looking: outputs, formats, imports. It is not master, nor in anyone's way,
    /// and its commits fail with [`CommitError::NoMaster`](crate::CommitError::NoMaster).
    ///
    /// # Errors
    /// As [`open`](Self::open), but not [`OpenError::NoMaster`].
    pub fn inspect(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::new(DrmDevice::open(path.as_ref())?, Purpose::Look)
    }

    fn new(device: DrmDevice, purpose: Purpose) -> Result<Self, OpenError> {
        let device = Arc::new(device);
        capabilities::enable_client_capabilities(&device)?;
        let file = device.clone();
        // The file may be open elsewhere, too, so master does not go with ours.
        let master = match purpose {
            Purpose::Show { .. } => Some(master::acquire(&file)?),
            // The first to open a card becomes its master without asking.
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
        // Outputs are known, and CRTCs assigned, before the first commit.
        card.outputs()?;
        if let Some(master) = master {
            master.keep();
        }
        Ok(card)
    }
}

/// Uevents, unless this process may not have them: it can show pictures, but is not told of
/// hotplugs.
fn open_uevents(device: &DrmDevice) -> Result<Option<Uevents>, OpenError> {
    match Uevents::open() {
        Ok(uevents) => Ok(Some(uevents)),
        Err(
            errno @ (Errno::EPERM | Errno::EACCES | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT),
        ) => {
            tracing::warn!(%errno, "no uevents: hotplugs will not be told");
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
