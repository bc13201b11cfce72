//! An image in one to four dma-bufs, with a layout checked against their sizes.

pub(crate) mod cpu_access;
pub(crate) mod cpu_access_error;
pub(crate) mod cpu_copy;
pub(crate) mod cpu_mapping;
pub(crate) mod dmabuf_memory;
pub(crate) mod mapped_memory;
pub(crate) mod plane_view;

use std::os::fd::OwnedFd;

use smallvec::SmallVec;

use crate::access::Access;
use crate::dmabuf::dmabuf_memory::{DmaBufMemory, MemoryId};
use crate::fence::Fence;
use crate::fence::descriptor_error::DmaBufError;
use crate::fence::error::FenceError;
use crate::fence::set::FenceSet;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::layout::{Layout, MAX_PLANES, PlaneLayout};
use crate::image::layout_error::LayoutError;
use crate::image::modifier::Modifier;

/// One plane received from another API or process: the descriptor of its memory, and where the plane is
/// in that memory.
#[derive(Debug)]
pub struct PlaneFd {
    /// Descriptor of the dma-buf. Several planes may have descriptors of the same dma-buf.
    pub fd: OwnedFd,
    /// Bytes from the start of the memory.
    pub offset: u64,
    /// Bytes between rows.
    pub stride: u32,
}

/// An image in dma-buf memory. Clones share the descriptors.
#[derive(Clone, Debug)]
pub struct DmaBuf {
    format: Fourcc,
    extent: Extent,
    layout: Layout,
    /// One inline, because most buffers have one and programs have many buffers.
    memories: SmallVec<[DmaBufMemory; 1]>,
}

impl DmaBuf {
    /// Takes ownership of the planes' descriptors. Checks that each is a dma-buf and that each plane fits
    /// into it (see [`Layout::new`]). Descriptors of the same dma-buf are recognised by inode and become
    /// one memory. On error all are closed.
    ///
    /// # Errors
    /// - [`DmaBufError::NotDmaBuf`], [`DmaBufError::Os`]: a descriptor is not a dma-buf, or is closed.
    /// - [`DmaBufError::Layout`]: the planes do not fit the format, the extent or the memory.
    pub fn new(
        format: Fourcc,
        extent: Extent,
        modifier: Modifier,
        planes: impl IntoIterator<Item = PlaneFd>,
    ) -> Result<Self, DmaBufError> {
        let mut memories = SmallVec::<[DmaBufMemory; 1]>::new();
        let mut layouts = SmallVec::<[PlaneLayout; MAX_PLANES]>::new();
        for plane in planes {
            let memory = DmaBufMemory::new(plane.fd)?;
            let index = memories.iter().position(|known| known.id() == memory.id());
            let index = index.unwrap_or_else(|| {
                memories.push(memory);
                memories.len() - 1
            });
            layouts.push(PlaneLayout {
                memory: index,
                offset: plane.offset,
                stride: plane.stride,
            });
        }
        Self::from_memories(format, extent, modifier, &layouts, memories)
    }

    /// Builds an image from memories that were checked before. Plane layouts refer to them by index.
    ///
    /// # Errors
    /// [`DmaBufError::Layout`]: the planes do not fit the format, the extent or the memory.
    pub fn from_memories(
        format: Fourcc,
        extent: Extent,
        modifier: Modifier,
        planes: &[PlaneLayout],
        memories: impl IntoIterator<Item = DmaBufMemory>,
    ) -> Result<Self, DmaBufError> {
        let memories: SmallVec<[DmaBufMemory; 1]> = memories.into_iter().collect();
        let sizes: SmallVec<[u64; MAX_PLANES]> = memories.iter().map(DmaBufMemory::size).collect();
        let layout = Layout::new(format, extent, modifier, planes, &sizes)?;
        if memories.len() > MAX_PLANES {
            return Err(LayoutError::PlaneCount {
                format,
                modifier,
                expected: layout.planes().len(),
                given: memories.len(),
            }
            .into());
        }
        Ok(Self {
            format,
            extent,
            layout,
            memories,
        })
    }

    /// Pixel format.
    pub fn format(&self) -> Fourcc {
        self.format
    }

    /// Size in pixels.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Modifier and planes.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The dma-bufs that hold the planes, one to four, each only once.
    pub fn memories(&self) -> &[DmaBufMemory] {
        &self.memories
    }

    /// Identity of the first memory, which is that of the image if there is only one.
    pub fn id(&self) -> MemoryId {
        self.memories[0].id()
    }

    /// Whether both images have a dma-buf in common, so that a copy from one to the other might overlap.
    pub fn shares_memory_with(&self, other: &Self) -> bool {
        let mut memories = self.memories.iter();
        memories.any(|memory| other.memories.iter().any(|it| it.id() == memory.id()))
    }

    /// Sets the name of every memory in the kernel's lists; see [`DmaBufMemory::set_name`].
    ///
    /// # Errors
    /// [`DmaBufError::Os`] when the ioctl fails.
    pub fn set_name(&self, name: &str) -> Result<(), DmaBufError> {
        self.memories
            .iter()
            .try_for_each(|memory| memory.set_name(name))
    }
}

impl DmaBuf {
    /// Takes a snapshot of the dma-bufs' own (implicit) fences that an access of this kind must wait for
    /// and that have not signalled: one sync_file for each memory that has any. It does not contain
    /// fences that are added later.
    ///
    /// Two ioctls for each memory. Does not wait.
    ///
    /// # Errors
    /// As [`DmaBufMemory::export_sync_file`](crate::DmaBufMemory::export_sync_file).
    pub fn fences(&self, access: Access) -> Result<FenceSet, DmaBufError> {
        let mut fences = FenceSet::new();
        for memory in self.memories() {
            if let Some(fence) = memory.fence(access)? {
                fences.insert(fence);
            }
        }
        Ok(fences)
    }

    /// Adds a fence to the dma-bufs' own (implicit) fences, as that of a reader or a writer, for holders
    /// of their descriptors. Does nothing for a point that is over.
    ///
    /// One ioctl for each memory, and for a point on a timeline one export of its sync_file; see
    /// [`Fence::export_sync_file`].
    ///
    /// # Errors
    /// - [`FenceError::NoSyncFile`]: the fence has no sync_file.
    /// - [`FenceError::DmaBuf`]: the ioctl failed.
    /// - Other errors of [`Fence::export_sync_file`].
    pub fn add_fence(&self, access: Access, fence: &Fence) -> Result<(), FenceError> {
        let exported;
        let file = match fence {
            Fence::SyncFile(file) => file,
            fence if fence.status().is_over() => return Ok(()),
            fence => match fence.export_sync_file() {
                Ok(file) => {
                    exported = file;
                    &exported
                }
                Err(FenceError::NoSyncFile { .. }) if fence.status().is_over() => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        for memory in self.memories() {
            memory.import_sync_file(file, access)?;
        }
        Ok(())
    }
}
