//! The `DRM_IOCTL_MODE_ATOMIC` ioctl.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use drm_ffi::drm_mode_atomic;

use crate::sys::retry;

mod ioctls {
    nix::ioctl_readwrite!(atomic, b'd', 0xbc, drm_ffi::drm_mode_atomic);
}

/// Memory to which the kernel writes file descriptors during an atomic commit (`OUT_FENCE_PTR` and
/// `WRITEBACK_OUT_FENCE_PTR`). An empty slot is -1.
#[derive(Debug, Default)]
pub(crate) struct FenceSlots {
    fds: Vec<i32>,
}

impl FenceSlots {
    /// Resets to `count` empty slots. This invalidates all addresses that [`address`](Self::address)
    /// returned before.
    pub(crate) fn reset(&mut self, count: usize) {
        self.fds.clear();
        self.fds.resize(count, -1);
    }

    /// The address of a slot, as a property value.
    pub(crate) fn address(&mut self, index: usize) -> u64 {
        (&raw mut self.fds[index]).expose_provenance() as u64
    }

    /// Closes the file descriptors in all slots.
    pub(crate) fn close(&mut self) {
        for index in 0..self.fds.len() {
            drop(self.take(index));
        }
    }

    /// Takes the file descriptor from a slot, if the kernel has stored one.
    pub(crate) fn take(&mut self, index: usize) -> Option<OwnedFd> {
        let fd = std::mem::replace(&mut self.fds[index], -1);
        // SAFETY: the slot was -1 before the commit, so any other value is a descriptor that the
        // kernel installed for this process in `complete_signaling`. `replace` makes this call its
        // only owner.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The arrays of an atomic commit: objects, property count of each object, properties and values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrays<'a> {
    pub(crate) objects: &'a [u32],
    pub(crate) property_counts: &'a [u32],
    pub(crate) properties: &'a [u32],
    pub(crate) values: &'a [u64],
}

/// Issues one `DRM_IOCTL_MODE_ATOMIC`. The kernel writes to the fence slots whose addresses are among
/// the values, so `slots` is borrowed for the duration of the call.
///
/// This does not allocate and takes no lock of this process, so a signal handler may call it.
pub(crate) fn commit(
    fd: BorrowedFd<'_>,
    flags: u32,
    arrays: Arrays<'_>,
    _slots: &mut FenceSlots,
    user_data: u64,
) -> io::Result<()> {
    let total: u64 = arrays.property_counts.iter().map(|c| u64::from(*c)).sum();
    // The kernel iterates over the arrays by these counts. `Request` keeps them consistent.
    if arrays.objects.len() != arrays.property_counts.len()
        || total != arrays.properties.len() as u64
        || arrays.properties.len() != arrays.values.len()
    {
        return Err(io::Error::from_raw_os_error(nix::libc::EINVAL));
    }
    let count_objs = u32::try_from(arrays.objects.len())
        .map_err(|_| io::Error::from_raw_os_error(nix::libc::EINVAL))?;
    let mut argument = drm_mode_atomic {
        flags,
        count_objs,
        objs_ptr: arrays.objects.as_ptr().expose_provenance() as u64,
        count_props_ptr: arrays.property_counts.as_ptr().expose_provenance() as u64,
        props_ptr: arrays.properties.as_ptr().expose_provenance() as u64,
        prop_values_ptr: arrays.values.as_ptr().expose_provenance() as u64,
        reserved: 0,
        user_data,
    };
    retry(|| {
        // SAFETY: the argument is `struct drm_mode_atomic`. Its four arrays are borrowed for the call,
        // their lengths match the counts (checked above), and the kernel only reads them. The fence
        // slots that values point to belong to `_slots`, which is also borrowed.
        unsafe { ioctls::atomic(fd.as_raw_fd(), &raw mut argument) }?;
        Ok(())
    })
}
