//! One dma-buf: its descriptor, which was checked, its identity and its size.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::sys::statfs::fstatfs;
use nix::unistd::{Whence, lseek64};

use crate::access::Access;
use crate::fence::Fence;
use crate::fence::descriptor_error::DmaBufError;
use crate::fence::status::FenceStatus;
use crate::fence::sync_file::SyncFile;
use crate::sys;

/// Identity of a dma-buf: its inode. Duplicated descriptors have the same, and so do descriptors that
/// came through a socket or through PRIME and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemoryId {
    device: u64,
    inode: u64,
}

impl MemoryId {
    /// The inode number, as in `/proc/PID/fdinfo` and `debugfs/dma_buf/bufinfo`.
    pub fn inode(self) -> u64 {
        self.inode
    }
}

/// A descriptor that was checked to be a dma-buf. Clones share the descriptor, and the last one closes
/// it.
#[derive(Clone, Debug)]
pub struct DmaBufMemory {
    fd: Arc<OwnedFd>,
    id: MemoryId,
    size: u64,
}

impl DmaBufMemory {
    /// Takes ownership of `fd` and checks that it is on the kernel's dma-buf file system. Closes it on
    /// error.
    ///
    /// Drivers do not check this: one of them imports a memfd as if it were a dma-buf, and answers
    /// queries about the memory of a pipe.
    ///
    /// # Errors
    /// - [`DmaBufError::NotDmaBuf`]: it is another kind of file.
    /// - [`DmaBufError::Os`]: a system call failed (`EBADF`: the descriptor is closed).
    pub fn new(fd: OwnedFd) -> Result<Self, DmaBufError> {
        let stat = match fstat(&fd) {
            Ok(stat) => stat,
            Err(errno) => {
                if errno == Errno::EBADF {
                    // Nothing is open under this number. Closing it could close a file that another
                    // thread opens meanwhile.
                    let _ = fd.into_raw_fd();
                }
                return Err(os("fstat", errno));
            }
        };
        check_file_system(&fd, stat.st_dev)?;
        // Before 5.19 the inode has no size. dma_buf_llseek supports SEEK_END on all kernels.
        let size = match stat.st_size {
            0 => lseek64(&fd, 0, Whence::SeekEnd).map_err(|errno| os("lseek", errno))?,
            size => size,
        };
        let size = u64::try_from(size).unwrap_or(0);
        Ok(Self {
            fd: Arc::new(fd),
            id: MemoryId {
                device: stat.st_dev,
                inode: stat.st_ino,
            },
            size,
        })
    }

    /// Wraps a file that is not a dma-buf, for [`crate::in_memory`].
    #[cfg(feature = "in-memory")]
    pub(crate) fn in_memory(file: OwnedFd, size: u64) -> Self {
        let id = MemoryId {
            device: 0,
            inode: 0,
        };
        Self {
            fd: Arc::new(file),
            id,
            size,
        }
    }

    /// A part of such a file, with its own identity.
    #[cfg(feature = "in-memory")]
    pub(crate) fn in_memory_part(&self, inode: u64, size: u64) -> Self {
        Self {
            fd: self.fd.clone(),
            id: MemoryId { device: 0, inode },
            size,
        }
    }

    /// Identity of the dma-buf.
    pub fn id(&self) -> MemoryId {
        self.id
    }

    /// Size in bytes, as reported by the kernel.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Duplicates the descriptor. The caller owns the new one, which is closed on exec.
    ///
    /// # Errors
    /// [`DmaBufError::Os`] when the process has no descriptor left (`EMFILE`).
    pub fn duplicate_fd(&self) -> Result<OwnedFd, DmaBufError> {
        self.fd.try_clone().map_err(|source| DmaBufError::Os {
            operation: "fcntl(F_DUPFD_CLOEXEC)",
            source,
        })
    }

    /// Sets the dma-buf's name in the kernel's lists (`DMA_BUF_SET_NAME`). The name is cut to at most 31
    /// bytes at a character boundary, and at the first zero byte.
    ///
    /// # Errors
    /// [`DmaBufError::Os`] when the ioctl fails.
    pub fn set_name(&self, name: &str) -> Result<(), DmaBufError> {
        #[cfg(feature = "in-memory")]
        if self.id.device == 0 {
            return Ok(());
        }
        let end = name.find('\0').unwrap_or(name.len()).min(31);
        let end = (0..=end)
            .rev()
            .find(|&end| name.is_char_boundary(end))
            .unwrap_or(0);
        let name = CString::new(&name[..end]).map_err(|error| DmaBufError::Os {
            operation: "DMA_BUF_SET_NAME",
            source: error.into(),
        })?;
        sys::dma_buf::set_name(self.as_fd(), &name).map_err(|source| DmaBufError::Os {
            operation: "DMA_BUF_SET_NAME",
            source,
        })
    }

    /// Takes a snapshot of the dma-buf's own (implicit) fences that an access of this kind must wait for
    /// (`DMA_BUF_IOCTL_EXPORT_SYNC_FILE`). It does not contain fences that are added later.
    ///
    /// The kernel does not wait, so signals do not interrupt this.
    ///
    /// # Errors
    /// - [`DmaBufError::Unsupported`] before Linux 6.0.
    /// - [`DmaBufError::Os`]: no memory (`ENOMEM`), no descriptor left (`EMFILE`).
    pub fn export_sync_file(&self, access: Access) -> Result<SyncFile, DmaBufError> {
        const OPERATION: &str = "DMA_BUF_IOCTL_EXPORT_SYNC_FILE";
        let fd = sys::dma_buf::export_sync_file(self.as_fd(), access)
            .map_err(|source| ioctl_failed(OPERATION, source))?;
        Ok(SyncFile::from_kernel(fd))
    }

    /// Exports the fences as one [`Fence`]; `None` if they have signalled.
    ///
    /// # Errors
    /// As [`export_sync_file`](Self::export_sync_file).
    pub fn fence(&self, access: Access) -> Result<Option<Fence>, DmaBufError> {
        #[cfg(feature = "in-memory")]
        if self.id.device == 0 {
            return Ok(None);
        }
        let file = self.export_sync_file(access)?;
        let fence = Fence::from(file);
        Ok((fence.status() != FenceStatus::Signalled).then_some(fence))
    }

    /// Adds a fence to the dma-buf's own (implicit) fences, as that of a reader or a writer
    /// (`DMA_BUF_IOCTL_IMPORT_SYNC_FILE`). It cannot be removed, and stays until it has signalled. The
    /// ioctl supports only these two usages, not `DMA_RESV_USAGE_KERNEL` (a move) or
    /// `DMA_RESV_USAGE_BOOKKEEP`.
    ///
    /// # Errors
    /// - [`DmaBufError::Unsupported`] before Linux 6.0.
    /// - [`DmaBufError::Os`]: no memory (`ENOMEM`).
    pub fn import_sync_file(&self, fence: &SyncFile, access: Access) -> Result<(), DmaBufError> {
        #[cfg(feature = "in-memory")]
        if self.id.device == 0 {
            return Ok(());
        }
        sys::dma_buf::import_sync_file(self.as_fd(), fence.as_fd(), access)
            .map_err(|source| ioctl_failed("DMA_BUF_IOCTL_IMPORT_SYNC_FILE", source))
    }
}

impl AsFd for DmaBufMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Checks that a file is on the kernel's dma-buf file system. There is only one, so after the first
/// dma-buf its device number is known, and the check takes no system call.
fn check_file_system(fd: &OwnedFd, device: u64) -> Result<(), DmaBufError> {
    static DMA_BUF_DEVICE: OnceLock<u64> = OnceLock::new();
    if DMA_BUF_DEVICE.get() == Some(&device) {
        return Ok(());
    }
    let magic = fstatfs(fd).map_err(|errno| os("fstatfs", errno))?;
    let magic = u64::try_from(magic.filesystem_type().0).unwrap_or(0);
    if magic != sys::dma_buf::DMA_BUF_MAGIC {
        return Err(DmaBufError::NotDmaBuf {
            fd: fd.as_raw_fd(),
            magic,
        });
    }
    DMA_BUF_DEVICE.get_or_init(|| device);
    Ok(())
}

/// Converts the error of an ioctl that older kernels do not have.
fn ioctl_failed(operation: &'static str, source: io::Error) -> DmaBufError {
    match source.raw_os_error() {
        Some(nix::libc::ENOTTY) => DmaBufError::Unsupported { operation },
        _ => DmaBufError::Os { operation, source },
    }
}

fn os(operation: &'static str, errno: nix::Error) -> DmaBufError {
    DmaBufError::Os {
        operation,
        source: errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_the_ioctl_is_told_from_one_that_refuses() {
        const OPERATION: &str = "DMA_BUF_IOCTL_EXPORT_SYNC_FILE";
        let failed = |errno| ioctl_failed(OPERATION, io::Error::from_raw_os_error(errno));
        assert!(matches!(
            failed(nix::libc::ENOTTY),
            DmaBufError::Unsupported {
                operation: OPERATION
            }
        ));
        assert!(matches!(failed(nix::libc::ENOMEM), DmaBufError::Os { .. }));
    }
}
