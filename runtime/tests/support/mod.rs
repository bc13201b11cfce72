//! What several tests of this crate need.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

pub mod device;
pub mod fake_exporter;
pub mod liar;

use std::sync::{Arc, Mutex};

use dmashare::host::{DmaHeap, Udmabuf};
use dmashare::{
    AccessConstraint, Backing, BufferDesc, DmaBuf, DynamicAttachment, Extent, FenceSet, Fourcc,
    ImportError, Importer, Modifier, Placements, SharedBuffer, Usage,
};

use device::{Calls, Device};
use fake_exporter::FakeExporter;

pub fn heap() -> DmaHeap {
    DmaHeap::open("system").unwrap_or_else(|error| {
        panic!("/dev/dma_heap/system: {error}; run this test with `cargo lab test`")
    })
}

pub fn udmabuf() -> Udmabuf {
    Udmabuf::open().unwrap_or_else(|error| {
        panic!("/dev/udmabuf: {error}; run this test with `cargo lab test`")
    })
}

pub fn desc(name: &str) -> BufferDesc {
    BufferDesc::new(
        name,
        Extent::new(64, 32),
        Fourcc::XRGB8888,
        Usage::CPU_READ | Usage::CPU_WRITE,
    )
}

/// A constraint on the placement only.
pub fn to(placements: Placements) -> AccessConstraint {
    AccessConstraint::placements(placements)
}

/// A buffer in host memory that can move to shared memory, and its exporter.
pub fn movable(name: &str) -> (SharedBuffer, FakeExporter) {
    let exporter = FakeExporter::new(Placements::HOST | Placements::SHMEM);
    let anything = AccessConstraint::default();
    let buffer = SharedBuffer::new_dynamic(&exporter, desc(name), &anything).unwrap();
    (buffer, exporter)
}

/// An attachment of a device that uses any memory.
pub fn attached(buffer: &SharedBuffer) -> DynamicAttachment<Device> {
    let attachment = buffer.attach_dynamic(&Device::anywhere("gpu"), Calls::default());
    attachment.unwrap()
}

pub fn buffer(name: &str) -> SharedBuffer {
    SharedBuffer::new(&heap(), desc(name), &[Modifier::LINEAR]).unwrap()
}

#[derive(Debug, Default)]
pub struct Record {
    pub imported: Vec<u64>,
    pub retired: Vec<FenceSet>,
    pub refuse: bool,
}

/// An importer in memory that records what it is asked; its objects are the dma-bufs themselves.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    pub record: Arc<Mutex<Record>>,
}

impl Recorder {
    pub fn retired(&self) -> usize {
        self.record.lock().unwrap().retired.len()
    }
}

impl Importer for Recorder {
    type Object = DmaBuf;

    fn name(&self) -> &str {
        "recorder"
    }

    fn import(&self, _desc: &BufferDesc, backing: &Backing) -> Result<DmaBuf, ImportError> {
        let mut record = self.record.lock().unwrap();
        if record.refuse {
            return Err(ImportError::MissingFeature {
                importer: "recorder".into(),
                missing: "will",
            });
        }
        record.imported.push(backing.dmabuf().id().inode());
        Ok(backing.dmabuf().clone())
    }

    fn retire(&self, _object: DmaBuf, after: FenceSet) {
        self.record.lock().unwrap().retired.push(after);
    }
}
