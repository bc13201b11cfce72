//! An exporter that makes other memory than it was asked for.

use std::sync::{Arc, Mutex};

use dmashare::host::HostMemory;
use dmashare::{
    AccessConstraint, Allocation, Backing, BufferDesc, Copied, DynamicExporter, ExportError,
    Exporter, Extent, FenceSet, Fourcc, Modifier, Placement, Placements,
};

/// What is wrong with the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// R8, with strides for bytes instead of pixels.
    Format,
    /// A quarter of the image.
    Extent,
    /// Said to be device memory.
    Placement,
    /// Strides that are multiples of 4 only.
    Stride,
}

/// Host memory by an exporter that tells lies once it is told to. Clones are the same.
#[derive(Clone, Debug)]
pub struct Liar {
    pub memory: HostMemory,
    lie: Arc<Mutex<Option<Lie>>>,
    recycled: Arc<Mutex<usize>>,
}

impl Liar {
    pub fn new() -> Self {
        Self {
            memory: HostMemory::open().unwrap(),
            lie: Arc::default(),
            recycled: Arc::default(),
        }
    }

    pub fn tell(&self, lie: Option<Lie>) {
        *self.lie.lock().unwrap() = lie;
    }

    /// How often memory was given back.
    pub fn recycled(&self) -> usize {
        *self.recycled.lock().unwrap()
    }
}

impl Exporter for Liar {
    fn name(&self) -> &str {
        "liar"
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        self.memory.modifiers(desc)
    }

    fn allocate(&self, desc: &BufferDesc, among: &[Modifier]) -> Result<Allocation, ExportError> {
        let mut wanted = AccessConstraint::default();
        wanted.modifiers = Some(among.to_vec());
        self.allocate_in(desc, &wanted)
    }
}

impl DynamicExporter for Liar {
    fn placements(&self, desc: &BufferDesc) -> Result<Placements, ExportError> {
        self.memory.placements(desc)
    }

    fn allocate_in(
        &self,
        desc: &BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Allocation, ExportError> {
        let (mut desc, mut wanted) = (desc.clone(), wanted.clone());
        let lie = *self.lie.lock().unwrap();
        match lie {
            Some(Lie::Format) => desc.format = Fourcc::R8,
            Some(Lie::Extent) => {
                desc.extent = Extent::new(desc.extent.width / 2, desc.extent.height / 2);
            }
            Some(Lie::Stride) => {
                wanted.stride = None;
                wanted.stride_alignment = 4;
            }
            Some(Lie::Placement) | None => {}
        }
        let mut made = self.memory.allocate_in(&desc, &wanted)?;
        if lie == Some(Lie::Placement) {
            made.placement = Placement::Device;
        }
        Ok(made)
    }

    fn copy(
        &self,
        desc: &BufferDesc,
        from: &Backing,
        to: &Backing,
        after: &FenceSet,
    ) -> Result<Copied, ExportError> {
        self.memory.copy(desc, from, to, after)
    }

    fn recycle(&self, _desc: &BufferDesc, allocation: Allocation, _after: FenceSet) {
        *self.recycled.lock().unwrap() += 1;
        drop(allocation);
    }
}
