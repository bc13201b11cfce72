//! An exporter whose copies fail, so that moves are undone while others wait for them.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dmashare::host::HostMemory;
use dmashare::{
    AccessConstraint, Allocation, Backing, BufferDesc, Copied, DynamicExporter, ExportError,
    Exporter, FenceSet, Modifier, Placements,
};

/// Host memory whose copies take a while and then fail.
#[derive(Clone, Debug)]
pub struct FailingCopies {
    pub memory: HostMemory,
    pub copying: Arc<AtomicBool>,
}

impl Exporter for FailingCopies {
    fn name(&self) -> &str {
        "failing copies"
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        self.memory.modifiers(desc)
    }

    fn allocate(&self, desc: &BufferDesc, among: &[Modifier]) -> Result<Allocation, ExportError> {
        self.memory.allocate(desc, among)
    }
}

impl DynamicExporter for FailingCopies {
    fn placements(&self, desc: &BufferDesc) -> Result<Placements, ExportError> {
        self.memory.placements(desc)
    }

    fn allocate_in(
        &self,
        desc: &BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Allocation, ExportError> {
        self.memory.allocate_in(desc, wanted)
    }

    fn copy(
        &self,
        _desc: &BufferDesc,
        _from: &Backing,
        _to: &Backing,
        _after: &FenceSet,
    ) -> Result<Copied, ExportError> {
        self.copying.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        Err(ExportError::Device {
            exporter: "failing copies".to_owned(),
            operation: "copy",
            source: "it was made to fail".into(),
        })
    }

    fn recycle(&self, desc: &BufferDesc, allocation: Allocation, after: FenceSet) {
        self.memory.recycle(desc, allocation, after);
    }
}
