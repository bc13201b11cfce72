//! Signal handlers that restore the display.
//!
//! There is one handler a signal for the whole process, and it stays once it is installed: it runs
//! all actions first, and then does what the signal did before, the default included. So what the
//! signal does in the end does not depend on how many actions there are. `signal-hook` cannot do
//! that: it calls the handler that was there before its own actions, and that one may end the
//! process.

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

/// The action of the handler. Only what is async-signal-safe may be done: system calls on memory
/// that was prepared before. Two handlers may run it at once.
pub(crate) trait SignalAction: Send + Sync + 'static {
    /// Called in the handler.
    fn run(&self);
}

/// A place for one action. Places are never freed, so a handler may walk the list at any time; those
/// that are empty are used again.
struct Place {
    signal: c_int,
    /// Null: empty.
    action: AtomicPtr<Box<dyn SignalAction>>,
    next: Option<&'static Place>,
}

/// The first place.
static PLACES: AtomicPtr<Place> = AtomicPtr::new(ptr::null_mut());
/// Handlers that run actions now.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// The action of each signal before the handler was installed; null where it is not. Never freed.
static PREVIOUS: [AtomicPtr<sigaction>; 65] = [const { AtomicPtr::new(ptr::null_mut()) }; 65];
/// Held while places are taken and handlers installed. No handler takes it.
static REGISTERING: Mutex<()> = Mutex::new(());

fn places() -> impl Iterator<Item = &'static Place> {
    let first = PLACES.load(Ordering::Acquire);
    // SAFETY: null, or a leaked `Box` that is only read once it is in the list.
    let first: Option<&'static Place> = unsafe { first.as_ref() };
    std::iter::successors(first, |place| place.next)
}

/// An action that is registered; it is no longer run once this is dropped. The handler stays.
pub(crate) struct Registration(&'static Place);

impl Registration {
    pub(crate) fn signal(&self) -> c_int {
        self.0.signal
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let action = self.0.action.swap(ptr::null_mut(), Ordering::SeqCst);
        // A handler that begins from here on finds the place empty.
        while RUNNING.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
        if !action.is_null() {
            // SAFETY: it came from `Box::into_raw` in `register`, `swap` gave it to us alone, and
            // every handler that may have read it before has ended its walk.
            drop(unsafe { Box::from_raw(action) });
        }
    }
}

/// The signal's present action.
fn disposition(signal: c_int) -> io::Result<sigaction> {
    let mut present = MaybeUninit::<sigaction>::uninit();
    // SAFETY: with a null new action sigaction(2) only writes the present one to `present`.
    let result = unsafe { nix::libc::sigaction(signal, ptr::null(), present.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: sigaction(2) succeeded, so it has written all of `present`.
    Ok(unsafe { present.assume_init() })
}

/// Installs the handler, unless it is installed or the signal is ignored.
fn install(signal: c_int, previous: &AtomicPtr<sigaction>) -> io::Result<()> {
    if !previous.load(Ordering::Acquire).is_null() {
        return Ok(());
    }
    let present = disposition(signal)?;
    if present.sa_sigaction == SIG_IGN {
        return Ok(());
    }
    // A handler that was there runs with the mask and the flags that it asked for.
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
    // SAFETY: `action` is complete, and `handle` has the signature that `SA_SIGINFO` asks for and
    // does only what is async-signal-safe.
    let result = unsafe { nix::libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    if result != 0 {
        let error = io::Error::last_os_error();
        previous.store(ptr::null_mut(), Ordering::Release);
        // SAFETY: it came from `Box::into_raw` above, and without a handler no thread has read it.
        drop(unsafe { Box::from_raw(kept) });
        return Err(error);
    }
    Ok(())
}

/// Runs `action` when `signal` comes, before what the signal did when the first action was
/// registered for it: the handler that the program had installed, or the default. A signal that is
/// ignored stays so.
///
/// `EINVAL`: the signal cannot be handled, or comes from a fault of the thread itself, or its
/// default action is not known.
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
        // SAFETY: it was leaked just now, and from here on everybody only reads it.
        unsafe { &*place }
    };
    Ok(Registration(place))
}

fn run_actions(signal: c_int) {
    RUNNING.fetch_add(1, Ordering::SeqCst);
    for place in places().filter(|place| place.signal == signal) {
        let action = place.action.load(Ordering::SeqCst);
        // SAFETY: null, or what `register` put there; the one that takes it out frees it only when no
        // handler is running, and this one is since before the load.
        if let Some(action) = unsafe { action.as_ref() } {
            action.run();
        }
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
}

/// The handler. It makes system calls on memory that was prepared before (the trait's rule); it
/// neither allocates, nor frees, nor locks, nor panics.
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    run_actions(signal);
    Errno::set_raw(errno);
    let previous = usize::try_from(signal)
        .ok()
        .and_then(|index| PREVIOUS.get(index));
    let previous = previous.map_or(ptr::null_mut(), |previous| previous.load(Ordering::Acquire));
    // SAFETY: null, or a leaked `Box` that is never changed: it is freed only if the handler could not
    // be installed.
    let Some(previous) = (unsafe { previous.as_ref() }) else {
        return;
    };
    let address = previous.sa_sigaction;
    if address == SIG_DFL {
        // Documented as async-signal-safe. It fails for signals that it does not know: those were
        // refused.
        let _ = low_level::emulate_default_handler(signal);
        Errno::set_raw(errno);
        return;
    }
    let function = ptr::with_exposed_provenance::<()>(address);
    if previous.sa_flags & SA_SIGINFO != 0 {
        type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
        // SAFETY: it is neither the default nor ignored, so it is a handler, and `SA_SIGINFO` tells
        // its signature.
        let handler = unsafe { std::mem::transmute::<*const (), Handler>(function) };
        handler(signal, info, context);
    } else {
        // SAFETY: as above, without `SA_SIGINFO`.
        let handler = unsafe { std::mem::transmute::<*const (), extern "C" fn(c_int)>(function) };
        handler(signal);
    }
}
