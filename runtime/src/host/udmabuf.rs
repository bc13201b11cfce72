//! An exporter of memory from `/dev/udmabuf`.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{SysconfVar, ftruncate, sysconf};

use crate::box_error::BoxError;
use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::host::linear::{LinearPlan, require_linear};
use crate::image::buffer_desc::BufferDesc;
use crate::image::modifier::Modifier;
use crate::memory::backing::Allocation;
use crate::memory::export_error::ExportError;
use crate::memory::exporter::Exporter;
use crate::memory::placement::Placement;
use crate::sys;

const NAME: &str = "udmabuf";

/// The kernel's udmabuf driver (`CONFIG_UDMABUF`), which makes a dma-buf from the pages of a memfd.
/// Clones share the open device.
///
/// Kernels before 7.3 limit a buffer to 64 MiB, unless the module parameter `size_limit_mb` is set.
#[derive(Clone, Debug)]
pub struct Udmabuf {
    device: Arc<OwnedFd>,
}

impl Udmabuf {
    /// Opens `/dev/udmabuf`.
    ///
    /// # Errors
    /// The error of open(2): `ENOENT` if the kernel has no udmabuf, `EACCES` without permission.
    pub fn open() -> io::Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/udmabuf")?;
        Ok(Self {
            device: Arc::new(device.into()),
        })
    }

    /// Allocates a dma-buf of `size` bytes, rounded up to whole pages, from a new memfd that is sealed
    /// against shrinking. The memfd is closed; the dma-buf keeps the pages.
    ///
    /// # Errors
    /// [`ExportError::Device`] with the system call or ioctl that failed.
    pub fn allocate_memory(&self, size: u64) -> Result<DmaBufMemory, ExportError> {
        let failed = |operation: &'static str| {
            move |source: BoxError| ExportError::Device {
                exporter: NAME.to_owned(),
                operation,
                source,
            }
        };
        let page = sysconf(SysconfVar::PAGE_SIZE)
            .ok()
            .flatten()
            .and_then(|bytes| u64::try_from(bytes).ok())
            .unwrap_or(4096);
        let size = size.checked_next_multiple_of(page).unwrap_or(0);
        let length = i64::try_from(size)
            .ok()
            .filter(|length| *length > 0)
            .ok_or_else(|| failed("ftruncate")(nix::Error::EINVAL.into()))?;
        let memfd = memfd_create(
            c"dmashare",
            MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
        )
        .map_err(|errno| failed("memfd_create")(errno.into()))?;
        ftruncate(&memfd, length).map_err(|errno| failed("ftruncate")(errno.into()))?;
        // udmabuf_create requires F_SEAL_SHRINK and refuses F_SEAL_WRITE.
        fcntl(&memfd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))
            .map_err(|errno| failed("fcntl(F_ADD_SEALS)")(errno.into()))?;
        let fd = sys::udmabuf::create(self.device.as_fd(), memfd.as_fd(), size)
            .map_err(|source| failed("UDMABUF_CREATE")(source.into()))?;
        Ok(DmaBufMemory::new(fd)?)
    }
}

impl Exporter for Udmabuf {
    fn name(&self) -> &str {
        NAME
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        LinearPlan::new(NAME, desc)?;
        Ok(vec![Modifier::LINEAR])
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        require_linear(NAME, desc, modifiers)?;
        let plan = LinearPlan::new(NAME, desc)?;
        plan.allocation(desc, self.allocate_memory(plan.size())?, Placement::Shmem)
    }
}
