//! Where the guest's memory lives on the host: user-mode Linux keeps it in an unlinked file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::{FsFlags, statvfs};

/// An amount of guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemorySize {
    mebibytes: u64,
}

impl MemorySize {
    /// Enough for several 8K images and everything that a test holds besides.
    pub(crate) const DEFAULT: Self = Self { mebibytes: 4096 };

    /// The kernel parameter's value.
    pub(crate) fn kernel_value(self) -> String {
        format!("{}M", self.mebibytes)
    }

    fn bytes(self) -> u64 {
        self.mebibytes << 20
    }
}

impl std::fmt::Display for MemorySize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kernel_value())
    }
}

impl std::str::FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!("{text:?} is no memory size: write mebibytes or gibibytes, such as 512M or 4G")
        };
        let (number, shift) = match text.strip_suffix(['G', 'g']) {
            Some(number) => (number, 10),
            None => (text.strip_suffix(['M', 'm']).ok_or_else(refused)?, 0),
        };
        let number: u64 = number.parse().map_err(|_| refused())?;
        let mebibytes = number.checked_mul(1 << shift).ok_or_else(refused)?;
        if !(256..=1 << 20).contains(&mebibytes) {
            return Err(format!("{text} is outside 256M to 1024G"));
        }
        Ok(Self { mebibytes })
    }
}

/// The part of the guest's memory that must be free in `/dev/shm`, in percent. The file is sparse: it
/// takes what the guest has touched, which in the lab's tests is far less than all of it; and
/// `/dev/shm` is half of the host's memory, so that 8 GiB would never do for the default.
const FREE_IN_SHM: u64 = 75;

/// Free bytes in `folder` when code may be mapped from it, as user-mode Linux must.
fn usable_bytes(folder: &Path) -> Option<u64> {
    let stat = statvfs(folder).ok()?;
    if stat.flags().contains(FsFlags::ST_NOEXEC) || stat.flags().contains(FsFlags::ST_RDONLY) {
        return None;
    }
    Some(stat.blocks_available() * stat.fragment_size())
}

/// A folder with room for `size`: `/dev/shm` if three quarters of it are free there, else the folder
/// for temporary files, where the guest is slower because its memory is written to a disk.
///
/// # Errors
/// When neither has room; says how much there is.
pub(crate) fn folder(size: MemorySize) -> Result<PathBuf> {
    let shm = PathBuf::from("/dev/shm");
    choose(size, &[(shm, FREE_IN_SHM), (std::env::temp_dir(), 100)])
}

/// The first of the folders where so many percent of `size` are free.
fn choose(size: MemorySize, folders: &[(PathBuf, u64)]) -> Result<PathBuf> {
    let mut seen = Vec::new();
    for (folder, percent) in folders {
        match usable_bytes(folder) {
            Some(free) if free >= size.bytes() / 100 * percent => {
                return folder
                    .canonicalize()
                    .with_context(|| format!("cannot use {}", folder.display()));
            }
            Some(free) => seen.push(format!("{} has {} MiB", folder.display(), free >> 20)),
            None => seen.push(format!("{} is not usable (noexec?)", folder.display())),
        }
    }
    bail!(
        "no folder has room for the guest's memory of {}: {}. Ask for less with --mem, or set \
         TMPDIR to a folder with room",
        size.kernel_value(),
        seen.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, value) in [("4G", "4096M"), ("512M", "512M"), ("1g", "1024M")] {
            let size: MemorySize = text.parse().unwrap();
            assert_eq!(size.kernel_value(), value);
        }
        for text in ["", "4", "G", "-1G", "1M", "99999999999999999999G", "4T"] {
            assert!(text.parse::<MemorySize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_folder_needs_only_its_part_of_the_memory() {
        let free = usable_bytes(&std::env::temp_dir()).unwrap();
        let size = MemorySize {
            mebibytes: (free >> 20) / 8 * 9,
        };
        let temporary = std::env::temp_dir().canonicalize().unwrap();
        let chosen = |percent| choose(size, &[(std::env::temp_dir(), percent)]);
        assert_eq!(chosen(FREE_IN_SHM).unwrap(), temporary);
        assert!(chosen(100).is_err());
    }

    #[test]
    fn too_much_memory_says_what_there_is() {
        let error = folder("1024G".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("/dev/shm"), "{error}");
        assert!(error.contains("--mem"), "{error}");
    }
}
