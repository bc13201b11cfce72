//! Which function has which slot.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{CStr, CString, c_void};
use std::fs::OpenOptions;
use std::io;
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sys::mman::{MapFlags, ProtFlags, mmap};

use crate::counts::{COUNTS_VARIABLE, LENGTH, LONGEST_NAME, NUMBER, REFUSED, SLOTS, USED, slot};
use crate::trampolines;

/// The file in memory, mapped until the process ends: programs keep functions as long as they like.
struct Slots {
    bytes: *mut u8,
    used: usize,
    /// The same function of two drivers leads to two places.
    known: BTreeMap<(CString, usize), usize>,
}

// SAFETY: the mapping belongs to no thread, and is written under the mutex or atomically.
unsafe impl Send for Slots {}

static ALL: OnceLock<Mutex<Slots>> = OnceLock::new();

/// Maps the file that the environment names.
///
/// # Errors
/// There is none, or it cannot be mapped.
pub(crate) fn open() -> io::Result<()> {
    if ALL.get().is_some() {
        return Ok(());
    }
    let path = env::var_os(COUNTS_VARIABLE)
        .ok_or_else(|| io::Error::other(format!("{COUNTS_VARIABLE} names no file")))?;
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    // What an instance counted that is gone by now stays.
    file.set_len(LENGTH as u64)?;
    let length = NonZeroUsize::new(LENGTH).ok_or(io::ErrorKind::InvalidInput)?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping, of a file that is as long; it is never unmapped.
    let bytes = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, &file, 0) }?;
    let mut slots = Slots {
        bytes: bytes.as_ptr().cast(),
        used: 0,
        known: BTreeMap::new(),
    };
    slots.used = usize::try_from(slots.number(USED).load(Ordering::Acquire)).unwrap_or(SLOTS);
    let counts = slots.bytes;
    // Whoever was first has mapped the same file.
    if ALL.set(Mutex::new(slots)).is_ok() {
        trampolines::count_in(counts);
    }
    Ok(())
}

/// What to call instead of `next`: it counts as `name`, and calls it.
pub(crate) fn counted(name: &CStr, next: *mut c_void) -> *const c_void {
    let Some(mut slots) = lock() else { return next };
    match slots.of(name, next) {
        Some(index) => trampolines::trampoline(index, next),
        None => next,
    }
}

/// Counts one call of a function that the layer itself is.
pub(crate) fn count(name: &CStr) {
    if let Some(mut slots) = lock()
        && let Some(index) = slots.of(name, ptr::null_mut())
    {
        slots.number(slot(index)).fetch_add(1, Ordering::Relaxed);
    }
}

fn lock() -> Option<MutexGuard<'static, Slots>> {
    let slots = ALL.get()?;
    Some(slots.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Slots {
    fn number(&self, at: usize) -> &AtomicU64 {
        let number = self.bytes.wrapping_add(at).cast();
        // SAFETY: all places of numbers are in the mapping and multiples of eight, and other processes
        // only read them.
        unsafe { AtomicU64::from_ptr(number) }
    }

    /// The slot of a function, a new one if it is not known.
    fn of(&mut self, name: &CStr, next: *mut c_void) -> Option<usize> {
        let key = (name.to_owned(), next.addr());
        if let Some(&known) = self.known.get(&key) {
            return Some(known);
        }
        let bytes = name.to_bytes();
        if self.used >= SLOTS || bytes.len() > LONGEST_NAME {
            self.number(REFUSED).fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let index = self.used;
        let place = self.bytes.wrapping_add(slot(index) + NUMBER);
        // SAFETY: a slot has room for the longest name, and is read when it is told to be used.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        self.used += 1;
        let used = self.used as u64;
        self.number(USED).store(used, Ordering::Release);
        self.known.insert(key, index);
        Some(index)
    }
}
