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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_last_user_closes_and_nobody_else() {
        let table = GemTable::default();
        let closed = Cell::new(0);
        for _ in 0..3 {
            assert_eq!(table.open(|| Ok(7)).unwrap(), 7);
        }
        assert_eq!(table.len(), 1);
        for expected in [0, 0, 1] {
            table.close(7, || closed.set(closed.get() + 1));
            assert_eq!(closed.get(), expected);
        }
        assert_eq!(table.len(), 0);
        table.close(7, || panic!("closed twice"));
    }

    #[test]
    fn a_failed_import_counts_nothing() {
        let table = GemTable::default();
        assert!(
            table
                .open(|| Err(io::Error::from_raw_os_error(12)))
                .is_err()
        );
        assert_eq!(table.len(), 0);
    }
}
