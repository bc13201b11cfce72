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

/// A card. Clones are the same card.
///
/// What was shown before comes back when the last handle is dropped, also while a panic unwinds; the
/// mappings of buffers that are on the screen do not count as handles. With `panic = "abort"`, after
/// `process::exit` and when the process is killed, the kernel closes the file: it takes our
/// framebuffers off the screen, and brings back its own console if it has one, but not the picture of
/// another program; see [`restore_on_signals`](Self::restore_on_signals).
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
    /// Opened to show something, not for looking only.
    pub(crate) commits: bool,
    pub(crate) refuses_in_fences: AtomicBool,
    /// Different mappings that the display holds; each of them holds one handle.
    pub(crate) held: AtomicUsize,
    /// The hardware's demands on memory, as far as the application knows.
    constraint: Mutex<AccessConstraint>,
    state: Mutex<State>,
    /// Handles of the card that exist.
    handles: AtomicUsize,
    /// Master was acquired here, and is given back.
    owns_master: bool,
    signals: Mutex<Vec<signal::Registration>>,
}

impl Card {
    pub(crate) fn inner(&self) -> &Arc<CardInner> {
        &self.inner
    }

    /// Whether this is a handle of that card.
    pub(crate) fn is(&self, inner: &Arc<CardInner>) -> bool {
        Arc::ptr_eq(&self.inner, inner)
    }

    /// Driver and node, for reports: "vkms /dev/dri/card0".
    pub fn name(&self) -> &str {
        self.inner.device.name()
    }

    /// The node, if it is known.
    pub fn path(&self) -> Option<&Path> {
        self.inner.device.path()
    }

    /// The driver's name.
    pub fn driver(&self) -> &str {
        self.inner.device.driver()
    }

    /// The driver's capabilities.
    pub fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    /// All planes.
    pub fn planes(&self) -> &[Plane] {
        &self.inner.resources.planes
    }

    /// The formats that can be imported: those that at least one plane takes.
    pub fn formats(&self) -> &FormatSet {
        &self.inner.resources.formats
    }

    /// Counts what was done so far.
    pub fn statistics(&self) -> Statistics {
        self.inner.statistics.read()
    }

    /// GEM handles that are open on the card's file now. Handles are needed only while a buffer is
    /// imported or made, so this is 0 between such calls.
    pub fn open_gem_handles(&self) -> usize {
        self.inner.device.gem().len()
    }

    /// Dumb buffers of this card, as an exporter.
    pub fn dumb_buffers(&self) -> DumbBuffers {
        DumbBuffers::new(self.inner.device.clone())
    }

    /// Says what this display demands of memory that it scans out or captures into. KMS does not
    /// tell: a driver refuses at import or at the commit what it cannot use. A display may read
    /// memory of the host only ([`Placements::HOST`](dmashare::Placements::HOST) and
    /// [`SHMEM`](dmashare::Placements::SHMEM)), or only strides that are multiples of 256 bytes
    /// ([`AccessConstraint::stride_alignment`]). At first it demands nothing.
    ///
    /// It holds for attachments that are made from now on. A buffer that can move is then moved to
    /// memory that fits when it is attached ([`SharedBuffer::attach`](dmashare::SharedBuffer::attach)),
    /// or mapped or pinned through a dynamic attachment; one that cannot be in such memory is refused
    /// by an error that says why. Which formats and modifiers planes take (`IN_FORMATS`) is checked
    /// at import and need not be said here.
    pub fn set_scanout_constraint(&self, constraint: AccessConstraint) {
        let known = &self.inner.constraint;
        *known.lock().unwrap_or_else(PoisonError::into_inner) = constraint;
    }

    /// The constraint that [`set_scanout_constraint`](Self::set_scanout_constraint) set last.
    pub fn scanout_constraint(&self) -> AccessConstraint {
        let known = &self.inner.constraint;
        known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives up DRM master, so that another process may show something: a virtual terminal is
    /// switched away. What is shown stays until then, and buffers stay held.
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
    /// [`OpenError::NoMaster`]: another process holds the display. [`OpenError::Device`]: what is on
    /// could not be read; master is given back then.
    pub fn acquire_master(&self) -> Result<(), OpenError> {
        let inner = &self.inner;
        let master = master::acquire(&inner.device)?;
        let modifiers = inner.capabilities.addfb2_modifiers;
        let (_, _, mut snapshot) = Resources::read(&inner.device, modifiers)?;
        inner.state().forget_configuration(snapshot.take_foreign());
        master.keep();
        Ok(())
    }

    /// Restores what was shown before when one of these signals comes, in the signal handler itself:
    /// by one ioctl that was prepared when the card was opened, so it works while the program is
    /// stuck. Every card that asked for the signal is restored. Then the signal does what it did
    /// before the first such call of the process: it ends the process, if that is its default action;
    /// or the handler runs that the program had installed. A signal that is ignored (`nohup`) stays
    /// so, and restores nothing.
    ///
    /// The handler stays when the card is dropped, and the signal does the same then. Install your
    /// own handlers before the first call: one that is installed later with `sigaction` replaces this
    /// one, and one that is installed later with `signal-hook` runs after it, which is never if the
    /// default action ends the process. A program that goes on after such a signal must open the card
    /// again.
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
        // Each mapping that the display holds has a handle. When no other is left, no thread can commit
        // or dispatch any more, and the display would hold the card that holds the display.
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

    /// Destroys the framebuffers that were retired and are no longer shown.
    pub(crate) fn collect(&self) {
        self.retire.collect(drop);
    }

    /// Shows what was shown before, and lets go of every buffer.
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
