//! `DRM_IOCTL_MODE_ATOMIC`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use drm_ffi::drm_mode_atomic;

use crate::sys::retry;

mod ioctls {
    nix::ioctl_readwrite!(atomic, b'd', 0xbc, drm_ffi::drm_mode_atomic);
}

/// Where the kernel writes a descriptor during an atomic commit (`OUT_FENCE_PTR` and
/// `WRITEBACK_OUT_FENCE_PTR`); -1 until then.
#[derive(Debug, Default)]
pub(crate) struct FenceSlots {
    fds: Vec<i32>,
}

impl FenceSlots {
    /// Makes `count` slots, all empty. Addresses that were given out before are void.
    pub(crate) fn reset(&mut self, count: usize) {
        self.fds.clear();
        self.fds.resize(count, -1);
    }

    /// The address of a slot, as the property's value.
    pub(crate) fn address(&mut self, index: usize) -> u64 {
        (&raw mut self.fds[index]).expose_provenance() as u64
    }

    /// Closes whatever the kernel has put into any slot.
    pub(crate) fn close(&mut self) {
        for index in 0..self.fds.len() {
            drop(self.take(index));
        }
    }

    /// Takes the descriptor that the kernel has put there, if it has.
    pub(crate) fn take(&mut self, index: usize) -> Option<OwnedFd> {
        let fd = std::mem::replace(&mut self.fds[index], -1);
        // SAFETY: the slot held -1 before the commit, so a number in it is a descriptor that the
        // kernel installed for this process in `complete_signaling`, and `replace` gave it to us
        // alone.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The arrays of an atomic commit: objects, how many properties each has, properties and values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrays<'a> {
    pub(crate) objects: &'a [u32],
    pub(crate) property_counts: &'a [u32],
    pub(crate) properties: &'a [u32],
    pub(crate) values: &'a [u64],
}

/// One `DRM_IOCTL_MODE_ATOMIC`. Values that are addresses of fence slots are written by the kernel:
/// `slots` is borrowed for as long as it may do so.
///
/// Allocates nothing and takes no lock of this process: it may be called from a signal handler.
pub(crate) fn commit(
    fd: BorrowedFd<'_>,
    flags: u32,
    arrays: Arrays<'_>,
    _slots: &mut FenceSlots,
    user_data: u64,
) -> io::Result<()> {
    let total: u64 = arrays.property_counts.iter().map(|c| u64::from(*c)).sum();
    // The kernel walks the arrays by these counts; the request builder keeps them equal.
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
        // SAFETY: the argument is `struct drm_mode_atomic`; its four arrays are borrowed for the
        // call and have the lengths that the counts say (checked above); the kernel only reads
        // them. Fence slots that values point to belong to `_slots`, which is borrowed too.
        unsafe { ioctls::atomic(fd.as_raw_fd(), &raw mut argument) }?;
        Ok(())
    })
}
