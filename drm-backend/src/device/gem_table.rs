//! Reference counts of the GEM handles of an open file.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Number of users of each open GEM handle.
#[derive(Debug, Default)]
pub(crate) struct GemTable {
    users: Mutex<HashMap<u32, usize>>,
}

impl GemTable {
    /// Adds a user of the handle that `open` returns. The table is locked during `open`, so that no
    /// other thread can close the handle between its creation and the increment.
    pub(crate) fn open(&self, open: impl FnOnce() -> io::Result<u32>) -> io::Result<u32> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        // Allocates first, so that nothing can fail after the ioctl.
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

    /// Number of open handles.
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
