//! A card: an open DRM device that drives displays.

pub(crate) mod assign_outputs;
pub(crate) mod capture;
pub(crate) mod configuration;
pub(crate) mod dispatch;
pub(crate) mod event;
pub(crate) mod held_buffer;
pub(crate) mod hotplug;
pub(crate) mod importer;
pub(crate) mod negotiation_parties;
pub(crate) mod plane_timeline;
pub(crate) mod restore;
pub(crate) mod state;
pub(crate) mod statistics;

mod open;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dmashare::{AccessConstraint, RetireQueue};
use nix::sys::epoll::Epoll;
use nix::sys::signal::Signal;

use crate::card::hotplug::Uevents;
use crate::card::restore::{Restore, RestoreInHandler};
use crate::card::state::{Freed, State};
use crate::card::statistics::{Counters, Statistics};
use crate::device::dumb_buffers::DumbBuffers;
use crate::device::{DrmDevice, master};
use crate::error::OpenError;
use crate::framebuffer::Framebuffer;
use crate::kms::capabilities::Capabilities;
use crate::kms::format_set::FormatSet;
use crate::kms::plane::Plane;
use crate::kms::resources::Resources;
use crate::sys::signal;

/// An open card. Clones refer to the same card.
///
/// Dropping the last handle restores what the card showed before it was opened, also while a panic
/// unwinds. Mappings of buffers that are on the screen do not count as handles. With
/// `panic = "abort"`, after `process::exit` and when the process is killed, the kernel closes the
/// file instead: it removes our framebuffers from the screen and restores its own console if it has
/// one, but not the picture of another program. See
/// [`restore_on_signals`](Self::restore_on_signals).
pub struct Card {
    inner: Arc<CardInner>,
}

pub(crate) struct CardInner {
    pub(crate) device: Arc<DrmDevice>,
    pub(crate) capabilities: Capabilities,
    pub(crate) resources: Resources,
    pub(crate) restore: Arc<Restore>,
    pub(crate) retire: RetireQueue<Framebuffer>,
    pub(crate) epoll: Epoll,
    pub(crate) uevents: Option<Uevents>,
    pub(crate) statistics: Counters,
    /// The card was opened for commits, not for inspection only.
    pub(crate) commits: bool,
    pub(crate) refuses_in_fences: AtomicBool,
    /// Number of distinct mappings that the display holds. Each holds one handle.
    pub(crate) held: AtomicUsize,
    /// The hardware's memory constraint, as the application declared it.
    constraint: Mutex<AccessConstraint>,
    state: Mutex<State>,
    /// Number of handles of the card.
    handles: AtomicUsize,
    /// This card acquired master and drops it at the end.
    owns_master: bool,
    signals: Mutex<Vec<signal::Registration>>,
}

impl Card {
    pub(crate) fn inner(&self) -> &Arc<CardInner> {
        &self.inner
    }

    /// Whether this handle refers to that card.
    pub(crate) fn is(&self, inner: &Arc<CardInner>) -> bool {
        Arc::ptr_eq(&self.inner, inner)
    }

    /// Driver and node for messages, such as "vkms /dev/dri/card0".
    pub fn name(&self) -> &str {
        self.inner.device.name()
    }

    /// Path of the device node, if known.
    pub fn path(&self) -> Option<&Path> {
        self.inner.device.path()
    }

    /// Name of the driver.
    pub fn driver(&self) -> &str {
        self.inner.device.driver()
    }

    /// The driver's capabilities.
    pub fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    /// All planes of the card.
    pub fn planes(&self) -> &[Plane] {
        &self.inner.resources.planes
    }

    /// Formats that can be imported: those that at least one plane supports.
    pub fn formats(&self) -> &FormatSet {
        &self.inner.resources.formats
    }

    /// Counters of what the card has done since it was opened.
    pub fn statistics(&self) -> Statistics {
        self.inner.statistics.read()
    }

    /// Number of GEM handles that are open on the card's file. A handle exists only while a buffer is
    /// imported or created, so this is 0 between such calls.
    pub fn open_gem_handles(&self) -> usize {
        self.inner.device.gem().len()
    }

    /// Exporter of this card's dumb buffers.
    pub fn dumb_buffers(&self) -> DumbBuffers {
        DumbBuffers::new(self.inner.device.clone())
    }

    /// Sets the constraint on memory that this display scans out or captures into. KMS does not
    /// report it; a driver rejects unusable memory at import or at the commit. Some displays read
    /// only host memory ([`Placements::HOST`](dmashare::Placements::HOST) and
    /// [`SHMEM`](dmashare::Placements::SHMEM)), or only strides that are multiples of 256 bytes
    /// ([`AccessConstraint::stride_alignment`]). The default is no constraint.
    ///
    /// The constraint applies to attachments that are created after this call. A movable buffer moves
    /// to suitable memory when it is attached
    /// ([`SharedBuffer::attach`](dmashare::SharedBuffer::attach)), or when it is mapped or pinned
    /// through a dynamic attachment. A buffer that cannot be in such memory is refused with an error
    /// that names the cause. Formats and modifiers of planes (`IN_FORMATS`) are checked at import and
    /// need not be set here.
    pub fn set_scanout_constraint(&self, constraint: AccessConstraint) {
        let known = &self.inner.constraint;
        *known.lock().unwrap_or_else(PoisonError::into_inner) = constraint;
    }

    /// The constraint that [`set_scanout_constraint`](Self::set_scanout_constraint) last set.
    pub fn scanout_constraint(&self) -> AccessConstraint {
        let known = &self.inner.constraint;
        known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drops DRM master so that another process can become master, for example when the virtual
    /// terminal is switched. The screen stays unchanged until another process commits, and the
    /// display keeps its buffers.
    ///
    /// # Errors
    /// [`OpenError::Device`]: this process is not master.
    pub fn release_master(&self) -> Result<(), OpenError> {
        master::release(&self.inner.device)
            .map_err(|source| self.inner.device.error("DROP_MASTER", source).into())
    }

    /// Becomes DRM master again. The next commit on each output sets its mode again, because another
    /// process may have changed it.
    ///
    /// # Errors
    /// [`OpenError::NoMaster`]: another process is master. [`OpenError::Device`]: the current KMS state
    /// could not be read, and master was dropped again.
    pub fn acquire_master(&self) -> Result<(), OpenError> {
        let inner = &self.inner;
        let master = master::acquire(&inner.device)?;
        let modifiers = inner.capabilities.addfb2_modifiers;
        let (_, _, mut snapshot) = Resources::read(&inner.device, modifiers)?;
        inner.state().forget_configuration(snapshot.take_foreign());
        master.keep();
        Ok(())
    }

    /// Restores the previous picture when one of these signals arrives. The signal handler itself
    /// issues an ioctl that was prepared when the card was opened, so this works even if the
    /// program is stuck. The handler restores every card that registered the signal. Then the
    /// disposition that the signal had before the first such call of the process takes effect: the
    /// default action, or the handler that the program had installed. An ignored signal (`nohup`)
    /// stays ignored and restores nothing.
    ///
    /// The handler stays installed after the card is dropped, and then only passes the signal on.
    /// Install your own handlers before the first call: a handler that is later installed with
    /// `sigaction` replaces this one, and a handler that is later installed with `signal-hook` runs
    /// after it, so never if the default action ends the process. A program that continues after such
    /// a signal must open the card again.
    ///
    /// # Errors
    /// [`OpenError::Device`]: the handler could not be installed (`EINVAL`: `SIGKILL`, `SIGSTOP`,
    /// signals of faults such as `SIGSEGV`).
    pub fn restore_on_signals(&self, signals: &[Signal]) -> Result<(), OpenError> {
        let registrations = &self.inner.signals;
        let mut registrations = registrations.lock().unwrap_or_else(PoisonError::into_inner);
        for number in signals {
            let number = *number;
            if registrations
                .iter()
                .any(|known| known.signal() == number as i32)
            {
                continue;
            }
            let action = RestoreInHandler(self.inner.restore.clone());
            let registration = signal::register(number, action)
                .map_err(|source| self.inner.device.error("sigaction", source))?;
            registrations.push(registration);
        }
        Ok(())
    }
}

impl Clone for Card {
    fn clone(&self) -> Self {
        self.inner.handles.fetch_add(1, Ordering::AcqRel);
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let left = self.inner.handles.fetch_sub(1, Ordering::AcqRel) - 1;
        // Each mapping that the display holds owns a handle. When only those handles are left, no
        // thread can commit or dispatch, and the card and its buffers would keep each other alive.
        if left > 0 && left <= self.inner.held.load(Ordering::Acquire) {
            self.inner.close();
        }
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Card").field(&self.name()).finish()
    }
}

impl CardInner {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Destroys retired framebuffers whose fences have signalled.
    pub(crate) fn collect(&self) {
        self.retire.collect(drop);
    }

    /// Restores the previous picture and releases every buffer.
    fn close(&self) {
        self.restore.run();
        let mut freed = Freed::new();
        {
            let mut state = self.state();
            state.close(&self.epoll, &mut freed);
            self.held.store(0, Ordering::Release);
        }
        drop(freed);
        self.collect();
    }
}

impl Drop for CardInner {
    fn drop(&mut self) {
        self.close();
        self.signals
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        // Exporters of dumb buffers may keep the file open.
        if self.owns_master
            && master::is_master(&self.device)
            && let Err(error) = master::release(&self.device)
        {
            tracing::error!(%error, "DROP_MASTER failed");
        }
    }
}

impl fmt::Debug for CardInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CardInner")
            .field(&self.device.name())
            .finish()
    }
}
