//! A device with demands, buffers for it, and their pixels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use dmashare::host::HostMemory;
use dmashare::route::{
    CpuRows, Detour, Route, RoutePolicy, RoutedAttachment, Routes, ShadowReason,
};
use dmashare::{
    Access, AccessConstraint, Backing, BufferDesc, CpuAccess, Extent, FenceSet, Fourcc,
    ImportError, Importer, Modifier, Placements, Rectangle, SharedBuffer, Usage,
};

/// A device with demands, which counts what it looks at.
#[derive(Clone, Debug)]
pub(crate) struct Picky {
    pub(crate) demand: AccessConstraint,
    /// It refuses strides that are no multiple of this at import.
    pub(crate) stride: u32,
    pub(crate) looks: Arc<AtomicUsize>,
    /// How often it was asked for its demand.
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Picky {
    pub(crate) fn anything() -> Self {
        Self {
            demand: AccessConstraint::default(),
            stride: 1,
            looks: Arc::default(),
            asked: Arc::default(),
        }
    }

    pub(crate) fn of_strides(stride: u32) -> Self {
        Self {
            stride,
            ..Self::anything()
        }
    }

    pub(crate) fn looks(&self) -> usize {
        self.looks.load(SeqCst)
    }
}

impl Importer for Picky {
    type Object = dmashare::DmaBuf;

    fn name(&self) -> &str {
        "picky"
    }

    fn constraint(&self, _desc: &BufferDesc) -> AccessConstraint {
        self.asked.fetch_add(1, SeqCst);
        self.demand.clone()
    }

    fn import(
        &self,
        _desc: &BufferDesc,
        backing: &Backing,
    ) -> Result<dmashare::DmaBuf, ImportError> {
        self.looks.fetch_add(1, SeqCst);
        let stride = backing.dmabuf().layout().planes()[0].stride;
        if !stride.is_multiple_of(self.stride) {
            return Err(ImportError::Refused {
                importer: "picky".into(),
                operation: "looking at strides",
                source: format!("{stride} is no multiple of {}", self.stride).into(),
            });
        }
        Ok(backing.dmabuf().clone())
    }

    fn retire(&self, _object: dmashare::DmaBuf, _after: FenceSet) {}
}

pub(crate) const EXTENT: Extent = Extent::new(100, 50);
pub(crate) const BYTES: u64 = 100 * 50 * 4;

pub(crate) fn never() -> Arc<AtomicBool> {
    Arc::default()
}

pub(crate) fn desc(name: &str) -> BufferDesc {
    let usage = Usage::CPU_READ | Usage::CPU_WRITE;
    BufferDesc::new(name, EXTENT, Fourcc::XRGB8888, usage)
}

/// A buffer with rows of 512 bytes, as heaps make them.
pub(crate) fn fixed(name: &str) -> SharedBuffer {
    SharedBuffer::new(&crate::support::heap(), desc(name), &[Modifier::LINEAR]).unwrap()
}

pub(crate) fn movable(name: &str) -> SharedBuffer {
    let host = AccessConstraint::placements(Placements::HOST);
    SharedBuffer::new_dynamic(&memory(), desc(name), &host).unwrap()
}

pub(crate) fn memory() -> HostMemory {
    HostMemory::new(
        Some(crate::support::heap()),
        Some(crate::support::udmabuf()),
    )
}

/// A way around over memory with any strides. Its shadows' rows are multiples of 1024 bytes only if
/// that is demanded.
pub(crate) fn routes() -> Routes {
    Routes::new().with_detour(Detour::moving(&memory(), CpuRows::default()))
}

/// A way around over rows of multiples of 1024 bytes, whatever is demanded.
pub(crate) fn wide_routes() -> Routes {
    Routes::new().with_detour(Detour::fixed(&WideHeap, CpuRows::default()))
}

/// Host memory with rows of multiples of 1024 bytes.
#[derive(Clone, Debug)]
pub(crate) struct WideHeap;

impl dmashare::Exporter for WideHeap {
    fn name(&self) -> &str {
        "wide heap"
    }

    fn modifiers(&self, _desc: &BufferDesc) -> Result<Vec<Modifier>, dmashare::ExportError> {
        Ok(vec![Modifier::LINEAR])
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        _modifiers: &[Modifier],
    ) -> Result<dmashare::Allocation, dmashare::ExportError> {
        let mut wanted = AccessConstraint::placements(Placements::HOST);
        wanted.stride_alignment = 1024;
        dmashare::DynamicExporter::allocate_in(&memory(), desc, &wanted)
    }
}

pub(crate) fn fill(dmabuf: &dmashare::DmaBuf, area: Rectangle, value: u8) {
    let mut access = CpuAccess::begin(dmabuf, Access::Write).unwrap();
    let mut row = vec![0; usize::try_from(EXTENT.width * 4).unwrap()];
    let start = usize::try_from(area.x * 4).unwrap();
    let end = start + usize::try_from(area.width * 4).unwrap();
    let first = u32::try_from(area.y).unwrap();
    for y in first..first + area.height {
        access.read_row(0, y, &mut row).unwrap();
        row[start..end].fill(value);
        access.write_row(0, y, &row).unwrap();
    }
}

pub(crate) fn pixels(dmabuf: &dmashare::DmaBuf) -> Vec<u8> {
    let access = CpuAccess::begin(dmabuf, Access::Read).unwrap();
    let mut all = Vec::new();
    let mut row = vec![0; usize::try_from(EXTENT.width * 4).unwrap()];
    for y in 0..EXTENT.height {
        access.read_row(0, y, &mut row).unwrap();
        all.extend_from_slice(&row);
    }
    all
}

pub(crate) fn everything() -> Rectangle {
    Rectangle::new(0, 0, EXTENT.width, EXTENT.height)
}

pub(crate) fn content(buffer: &SharedBuffer) -> Vec<u8> {
    pixels(buffer.backing().dmabuf())
}

pub(crate) fn reason<I: Importer>(attachment: &RoutedAttachment<I>) -> ShadowReason {
    match attachment.route() {
        Route::Shadow(route) => route.reason,
        Route::Direct => panic!("{attachment:?}"),
    }
}

/// A device that would take everything, and is given a copy nevertheless.
pub(crate) fn shadowed(buffer: &SharedBuffer) -> RoutedAttachment<Picky> {
    routes()
        .attach(buffer, &Picky::anything(), RoutePolicy::ShadowOnly, never())
        .unwrap()
}
