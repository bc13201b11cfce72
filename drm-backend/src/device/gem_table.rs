//! How many users each GEM handle of an open file has.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

/// How many users each open handle of a file has.
#[derive(Debug, Default)]
pub(crate) struct GemTable {
    users: Mutex<HashMap<u32, usize>>,
}

impl GemTable {
    /// Counts a user of the handle that `open` returns. The table is locked meanwhile: no other
    /// thread can close the handle between the kernel's giving it and its being counted.
    pub(crate) fn open(&self, open: impl FnOnce() -> io::Result<u32>) -> io::Result<u32> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        // What the table itself needs comes first, so that nothing can fail after the ioctl.
        users.reserve(1);
        let handle = open()?;
        *users.entry(handle).or_insert(0) += 1;
        Ok(handle)
    }

    pub(crate) fn close(&self, handle: u32, close: impl FnOnce()) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = users.get_mut(&handle) {
            *count -= 1;
            if *count == 0 {
                users.remove(&handle);
                close();
            }
        }
    }

    /// How many handles are open.
    pub(crate) fn len(&self) -> usize {
        self.users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}
