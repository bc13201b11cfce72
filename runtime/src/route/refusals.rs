//! Remembers what devices have refused, so that they are not asked again.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::dmabuf::dmabuf_memory::DmaBufMemory;
use crate::image::buffer_desc::{BufferDesc, Usage};
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;
use crate::locks::{Mutex, lock};
use crate::memory::backing::Backing;
use crate::memory::placement::Placement;

/// Number of refusals at which the list is cleared.
const MOST: usize = 1024;

/// Everything visible of a buffer that a device's refusal can depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RefusedImage {
    importer: String,
    /// Name of the exporter of the memory, or the inode of a dma-buf whose exporter is unknown, which
    /// makes each of those a kind of its own.
    exporter: Result<String, u64>,
    placement: Placement,
    usage: Usage,
    format: Fourcc,
    extent: Extent,
    modifier: Modifier,
    /// Memory, offset and stride of each plane.
    planes: SmallVec<[(usize, u64, u32); 4]>,
    sizes: SmallVec<[u64; 4]>,
}

impl RefusedImage {
    pub(super) fn new(
        importer: &str,
        exporter: Option<&str>,
        desc: &BufferDesc,
        backing: &Backing,
    ) -> Self {
        let dmabuf = backing.dmabuf();
        let planes = dmabuf.layout().planes().iter();
        let memories = dmabuf.memories().iter();
        Self {
            importer: importer.to_owned(),
            exporter: exporter.map(ToOwned::to_owned).ok_or(dmabuf.id().inode()),
            placement: backing.placement(),
            usage: desc.usage,
            format: dmabuf.format(),
            extent: dmabuf.extent(),
            modifier: dmabuf.layout().modifier(),
            planes: planes
                .map(|plane| (plane.memory, plane.offset, plane.stride))
                .collect(),
            sizes: memories.map(DmaBufMemory::size).collect(),
        }
    }
}

/// Refusals with their errors.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<RefusedImage, String>>);

impl Refusals {
    pub(super) fn of(&self, image: &RefusedImage) -> Option<String> {
        lock(&self.0).get(image).cloned()
    }

    pub(super) fn remember(&self, image: RefusedImage, error: String) {
        let mut refusals = lock(&self.0);
        if refusals.len() >= MOST {
            refusals.clear();
        }
        refusals.insert(image, error);
    }

    pub(super) fn forget(&self) {
        lock(&self.0).clear();
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).len()
    }
}
