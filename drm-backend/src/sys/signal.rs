//! Signal handlers that restore the display.
//!
//! The process has one handler per signal, which stays installed permanently. It first runs all actions
//! and then applies the previous disposition of the signal, including the default action. The final
//! effect of the signal therefore does not depend on the number of actions. `signal-hook` cannot do
//! that: it calls the previous handler before its own actions, and that handler may end the process.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::libc::{SA_RESETHAND, SA_RESTART, SA_SIGINFO, SIG_DFL, SIG_IGN};
use nix::libc::{c_int, c_void, sigaction, siginfo_t};
use nix::sys::signal::Signal;
use signal_hook::low_level;

/// An action of the handler. It must be async-signal-safe: only system calls on memory that was prepared
/// in advance. Two handlers may run it concurrently.
pub(crate) trait SignalAction: Send + Sync + 'static {
    /// Called in the handler.
    fn run(&self);
}

/// A list entry for one action. Entries are never freed, so a handler may walk the list at any time.
/// Empty entries are reused.
struct Place {
    signal: c_int,
    /// Null if the entry is empty.
    action: AtomicPtr<Box<dyn SignalAction>>,
    next: Option<&'static Place>,
}

/// Head of the list.
static PLACES: AtomicPtr<Place> = AtomicPtr::new(ptr::null_mut());
/// Number of handlers that are currently running actions.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// Previous disposition of each signal; null if the handler is not installed. Never freed.
static PREVIOUS: [AtomicPtr<sigaction>; 65] = [const { AtomicPtr::new(ptr::null_mut()) }; 65];
/// Serializes registrations. Signal handlers never take it.
static REGISTERING: Mutex<()> = Mutex::new(());

fn places() -> impl Iterator<Item = &'static Place> {
    let first = PLACES.load(Ordering::Acquire);
    // SAFETY: the pointer is null, or a leaked `Box` that is only read once it is in the list.
    let first: Option<&'static Place> = unsafe { first.as_ref() };
    std::iter::successors(first, |place| place.next)
}

/// A registered action. Dropping this unregisters the action; the handler stays installed.
pub(crate) struct Registration(&'static Place);

impl Registration {
    pub(crate) fn signal(&self) -> c_int {
        self.0.signal
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let action = self.0.action.swap(ptr::null_mut(), Ordering::SeqCst);
        // A handler that starts from here on finds the entry empty.
        while RUNNING.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
        if !action.is_null() {
            // SAFETY: the pointer came from `Box::into_raw` in `register`, `swap` made this call its
            // only owner, and every handler that may have read it has finished its walk.
            drop(unsafe { Box::from_raw(action) });
        }
    }
}

/// The current disposition of the signal.
fn disposition(signal: c_int) -> io::Result<sigaction> {
    let mut present = MaybeUninit::<sigaction>::uninit();
    // SAFETY: with a null new action, sigaction(2) only writes the current action to `present`.
    let result = unsafe { nix::libc::sigaction(signal, ptr::null(), present.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: sigaction(2) succeeded, so it has written all of `present`.
    Ok(unsafe { present.assume_init() })
}

/// Installs the handler, unless it is already installed or the signal is ignored.
fn install(signal: c_int, previous: &AtomicPtr<sigaction>) -> io::Result<()> {
    if !previous.load(Ordering::Acquire).is_null() {
        return Ok(());
    }
    let present = disposition(signal)?;
    if present.sa_sigaction == SIG_IGN {
        return Ok(());
    }
    // The previous handler must run with its own mask and flags.
    let mut action = present;
    if present.sa_sigaction == SIG_DFL {
        action.sa_flags = SA_RESTART;
    }
    action.sa_flags = (action.sa_flags | SA_SIGINFO) & !SA_RESETHAND;
    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = handle;
    action.sa_sigaction = (handler as *const ()).expose_provenance();
    // The handler may run as soon as it is installed.
    let kept = Box::into_raw(Box::new(present));
    previous.store(kept, Ordering::Release);
    // SAFETY: `action` is fully initialized. `handle` has the signature that `SA_SIGINFO` requires and
    // is async-signal-safe.
    let result = unsafe { nix::libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    if result != 0 {
        let error = io::Error::last_os_error();
        previous.store(ptr::null_mut(), Ordering::Release);
        // SAFETY: the pointer came from `Box::into_raw` above, and no handler was installed that could
        // have read it.
        drop(unsafe { Box::from_raw(kept) });
        return Err(error);
    }
    Ok(())
}

/// Runs `action` when `signal` arrives. Afterwards the disposition takes effect that the signal had when
/// its first action was registered: the program's handler, or the default action. An ignored signal
/// stays ignored.
///
/// Returns `EINVAL` if the signal cannot be handled, is caused by a fault of the thread itself, or has
/// an unknown default action.
pub(crate) fn register(signal: Signal, action: impl SignalAction) -> io::Result<Registration> {
    let signal = signal as c_int;
    let known = low_level::signal_name(signal).is_some();
    let previous = usize::try_from(signal)
        .ok()
        .and_then(|index| PREVIOUS.get(index))
        .filter(|_| known && !signal_hook::consts::FORBIDDEN.contains(&signal))
        .ok_or_else(|| io::Error::from_raw_os_error(nix::libc::EINVAL))?;
    let _registering = REGISTERING.lock().unwrap_or_else(PoisonError::into_inner);
    install(signal, previous)?;
    let action: *mut Box<dyn SignalAction> = Box::into_raw(Box::new(Box::new(action)));
    let empty = places()
        .find(|place| place.signal == signal && place.action.load(Ordering::SeqCst).is_null());
    let place = if let Some(place) = empty {
        place.action.store(action, Ordering::SeqCst);
        place
    } else {
        let place: &'static mut Place = Box::leak(Box::new(Place {
            signal,
            action: AtomicPtr::new(action),
            next: places().next(),
        }));
        let place = ptr::from_mut(place);
        PLACES.store(place, Ordering::SeqCst);
        // SAFETY: the entry was just leaked, and from here on it is only read.
        unsafe { &*place }
    };
    Ok(Registration(place))
}

fn run_actions(signal: c_int) {
    RUNNING.fetch_add(1, Ordering::SeqCst);
    for place in places().filter(|place| place.signal == signal) {
        let action = place.action.load(Ordering::SeqCst);
        // SAFETY: the pointer is null or was stored by `register`. The thread that removes it frees it
        // only when no handler is running, and this handler has been running since before the load.
        if let Some(action) = unsafe { action.as_ref() } {
            action.run();
        }
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
}

/// The signal handler. It runs the actions, which only make system calls on prepared memory
/// ([`SignalAction`]). It does not allocate, free, lock or panic.
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    run_actions(signal);
    Errno::set_raw(errno);
    let previous = usize::try_from(signal)
        .ok()
        .and_then(|index| PREVIOUS.get(index));
    let previous = previous.map_or(ptr::null_mut(), |previous| previous.load(Ordering::Acquire));
    // SAFETY: the pointer is null, or a leaked `Box` that never changes. It is freed only if the handler
    // could not be installed.
    let Some(previous) = (unsafe { previous.as_ref() }) else {
        return;
    };
    let address = previous.sa_sigaction;
    if address == SIG_DFL {
        // Documented as async-signal-safe. It fails only for unknown signals, which `register`
        // rejects.
        let _ = low_level::emulate_default_handler(signal);
        Errno::set_raw(errno);
        return;
    }
    let function = ptr::with_exposed_provenance::<()>(address);
    if previous.sa_flags & SA_SIGINFO != 0 {
        type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
        // SAFETY: the value is neither `SIG_DFL` nor `SIG_IGN`, so it is a handler, and `SA_SIGINFO`
        // determines its signature.
        let handler = unsafe { std::mem::transmute::<*const (), Handler>(function) };
        handler(signal, info, context);
    } else {
        // SAFETY: as above, without `SA_SIGINFO`.
        let handler = unsafe { std::mem::transmute::<*const (), extern "C" fn(c_int)>(function) };
        handler(signal);
    }
}
