//! What a program has left behind: descriptors of its own, and dma-bufs that outlive it.

use std::{fs, io};

use crate::bufinfo;

/// How many files this process has open.
///
/// # Errors
/// `/proc` is not mounted, or the process has no descriptor left to read it with.
pub fn open_files() -> io::Result<u64> {
    let mut count: u64 = 0;
    for entry in fs::read_dir("/proc/self/fd")? {
        entry?;
        count += 1;
    }
    // One of them is the directory that was just read.
    Ok(count.saturating_sub(1))
}

/// What is to be the same at the end as it was at the beginning.
#[derive(Clone, Debug)]
pub struct Baseline {
    files: u64,
    /// dma-bufs that this program has made, by inode. The kernel does not give a number twice.
    inodes: Vec<u64>,
}

/// What is not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Leaks {
    /// Descriptors that are open and were not before.
    pub fds_leaked: u64,
    /// dma-bufs of this program that still exist. `None` where the kernel's list can't be read
    /// (see [`bufinfo::read`]).
    pub dmabufs_leaked: Option<u64>,
}

impl Baseline {
    /// Notes what is open now, before the program opens devices.
    ///
    /// # Errors
    /// As [`open_files`].
    pub fn take() -> io::Result<Self> {
        Ok(Self {
            files: open_files()?,
            inodes: Vec::new(),
        })
    }

    /// Notes a dma-buf that is to be gone at the end.
    pub fn made(&mut self, inode: u64) {
        self.inodes.push(inode);
    }

    /// Compares, after everything was closed.
    ///
    /// # Errors
    /// As [`open_files`].
    pub fn compare(&self) -> io::Result<Leaks> {
        let left = |list: Vec<bufinfo::Entry>| {
            let ours = list.iter().filter(|entry| self.inodes.contains(&entry.inode));
            ours.count() as u64
        };
        Ok(Leaks {
            fds_leaked: open_files()?.saturating_sub(self.files),
            dmabufs_leaked: bufinfo::read().ok().map(left),
        })
    }
}

impl Leaks {
    /// Whether there are none, as far as that can be seen.
    pub fn is_clean(&self) -> bool {
        self.fds_leaked == 0 && self.dmabufs_leaked.unwrap_or(0) == 0
    }
}
