//! `host::DmaHeap`, `host::Udmabuf`, `CpuAccess`, `CpuMapping`.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::host::HostMemory;
use dmashare::{
    Access, AccessConstraint, BufferDesc, CpuAccess, CpuAccessError, CpuMapping, DmaBuf,
    DynamicExporter, ExportError, Exporter, Extent, Fourcc, LayoutError, MappedMemory, Modifier,
    SharedBuffer, Usage,
};
use dmashare_lab_probe::bufinfo;

fn exporters() -> Vec<(&'static str, Box<dyn Exporter>)> {
    vec![
        ("system", Box::new(support::heap())),
        ("udmabuf", Box::new(support::udmabuf())),
    ]
}

fn allocate(exporter: &dyn Exporter, format: Fourcc, width: u32, height: u32) -> DmaBuf {
    let desc = BufferDesc::new("host", Extent::new(width, height), format, Usage::CPU_WRITE);
    let modifiers = exporter.modifiers(&desc).unwrap();
    exporter.allocate(&desc, &modifiers).unwrap().dmabuf
}

#[test]
fn what_the_cpu_writes_it_reads_back_through_another_descriptor() {
    let formats = [
        Fourcc::XRGB8888,
        Fourcc::RGB565,
        Fourcc::NV12,
        Fourcc::YUV420,
        Fourcc::ABGR16161616,
    ];
    for (kernel_name, exporter) in exporters() {
        for format in formats {
            for (width, height) in [(1, 1), (333, 77), (64, 64)] {
                let image = allocate(exporter.as_ref(), format, width, height);
                let listed = bufinfo()
                    .into_iter()
                    .find(|info| info.inode == image.id().inode());
                assert_eq!(listed.unwrap().exporter, kernel_name);
                let pattern = |plane: usize, row: u32, column: usize| {
                    u8::try_from((plane * 101 + row as usize * 31 + column * 7) % 251).unwrap()
                };
                let info = format.info().unwrap();
                let mut access = CpuAccess::begin(&image, Access::Write).unwrap();
                for (index, plane) in info.planes.iter().enumerate() {
                    for row in 0..plane.rows(height) {
                        let bytes: Vec<u8> = (0..access.row_bytes(index).unwrap())
                            .map(|column| pattern(index, row, column))
                            .collect();
                        access.write_row(index, row, &bytes).unwrap();
                    }
                }
                drop(access);
                let again =
                    dmashare::DmaBufMemory::new(image.memories()[0].duplicate_fd().unwrap())
                        .unwrap();
                let image = DmaBuf::from_memories(
                    format,
                    image.extent(),
                    Modifier::LINEAR,
                    image.layout().planes(),
                    [again],
                )
                .unwrap();
                let access = CpuAccess::begin(&image, Access::Read).unwrap();
                for (index, plane) in info.planes.iter().enumerate() {
                    for row in 0..plane.rows(height) {
                        let mut bytes = vec![0; access.row_bytes(index).unwrap()];
                        access.read_row(index, row, &mut bytes).unwrap();
                        assert!(
                            bytes
                                .iter()
                                .enumerate()
                                .all(|(column, byte)| *byte == pattern(index, row, column))
                        );
                    }
                }
            }
        }
    }
}

/// How often the kernel has a file of this inode mapped into this process.
fn times_mapped(image: &DmaBuf) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let inode = image.id().inode().to_string();
    let mapped = |line: &&str| line.split_whitespace().nth(4) == Some(&inode);
    maps.lines().filter(mapped).count()
}

#[test]
fn a_mapping_is_made_once_for_all_accesses() {
    for (_, exporter) in exporters() {
        let image = allocate(&*exporter, Fourcc::XRGB8888, 33, 7);
        assert_eq!(times_mapped(&image), 0);
        let mut kept = CpuMapping::new(&image, Access::Write).unwrap();
        for value in 0..4 {
            assert_eq!(times_mapped(&image), 1);
            let row = [value; 33 * 4];
            let mut access = kept.begin(Access::Write).unwrap();
            access.write_row(0, 6, &row).unwrap();
            drop(access);
            // It is the very memory, for others and for itself.
            for access in [
                CpuAccess::begin(&image, Access::Read).unwrap(),
                kept.begin(Access::Read).unwrap(),
            ] {
                let mut read = [0; 33 * 4];
                access.read_row(0, 6, &mut read).unwrap();
                assert_eq!(read, row);
            }
        }
        drop(kept);
        assert_eq!(times_mapped(&image), 0);
    }
}

#[test]
fn a_mapping_for_reading_cannot_be_written() {
    let image = allocate(&support::heap(), Fourcc::XRGB8888, 10, 10);
    let mut kept = CpuMapping::new(&image, Access::Read).unwrap();
    assert!(matches!(
        kept.begin(Access::Write),
        Err(CpuAccessError::ReadOnly)
    ));
    kept.begin(Access::Read).unwrap();
}

#[test]
fn access_outside_a_row_is_refused() {
    let image = allocate(&support::heap(), Fourcc::XRGB8888, 10, 10);
    let mut access = CpuAccess::begin(&image, Access::Read).unwrap();
    let mut row = [0; 41];
    assert!(matches!(
        access.read_row(0, 0, &mut row),
        Err(CpuAccessError::OutOfBounds { bytes: 41, .. })
    ));
    assert!(matches!(
        access.read_row(0, 10, &mut row[..40]),
        Err(CpuAccessError::OutOfBounds { row: 10, .. })
    ));
    assert!(matches!(
        access.read_row(1, 0, &mut row[..40]),
        Err(CpuAccessError::OutOfBounds { plane: 1, .. })
    ));
    assert!(matches!(
        access.write_row(0, 0, &row[..40]),
        Err(CpuAccessError::ReadOnly)
    ));
    access.read_row(0, 9, &mut row[..40]).unwrap();
}

#[test]
fn descriptions_that_cannot_be_met_are_refused() {
    let heap = support::heap();
    let new = |desc: BufferDesc, modifiers: &[Modifier]| {
        SharedBuffer::new(&heap, desc, modifiers).unwrap_err()
    };
    let linear = &[Modifier::LINEAR];
    let mut desc = support::desc("");
    assert!(matches!(
        new(desc.clone(), linear),
        ExportError::Layout(LayoutError::EmptyName)
    ));
    desc.name = "named".into();
    desc.extent = Extent::new(0, 5);
    assert!(matches!(
        new(desc.clone(), linear),
        ExportError::Layout(LayoutError::EmptyExtent { .. })
    ));
    desc.extent = Extent::new(5, 5);
    assert!(matches!(
        new(desc.clone(), &[Modifier::new(7)]),
        ExportError::UnsupportedModifier { .. }
    ));
    desc.extent = Extent::new(5, 5);
    desc.view_formats = vec![Fourcc::RGB565];
    assert!(matches!(
        new(desc.clone(), linear),
        ExportError::Layout(LayoutError::ViewFormat { .. })
    ));
    desc.view_formats = vec![Fourcc::ARGB8888, Fourcc::XBGR8888];
    desc.validate().unwrap();
    desc.protected = true;
    assert!(matches!(
        new(desc.clone(), linear),
        ExportError::ProtectedMemory { .. }
    ));
    desc.protected = false;
    desc.extent = Extent::new(u32::MAX, u32::MAX);
    assert!(matches!(new(desc, linear), ExportError::TooLarge { .. }));
}

#[test]
fn a_foreign_dma_buf_must_be_what_its_description_says() {
    let image = allocate(&support::heap(), Fourcc::XRGB8888, 64, 32);
    let desc = support::desc("foreign");
    let buffer = SharedBuffer::from_dmabuf(desc.clone(), image.clone()).unwrap();
    assert!(buffer.exporter().is_none());
    let mut other = desc;
    other.format = Fourcc::ARGB8888;
    assert!(matches!(
        SharedBuffer::from_dmabuf(other, image),
        Err(ExportError::Layout(LayoutError::DescMismatch { .. }))
    ));
}

#[test]
fn a_heaps_name_is_one_component() {
    for name in ["", "../null", "a/b", "."] {
        let error = dmashare::host::DmaHeap::open(name).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{name}");
    }
}

#[test]
fn an_exact_stride_is_kept_or_refused() {
    let memory = HostMemory::new(Some(support::heap()), None);
    let desc = BufferDesc::new(
        "exact",
        Extent::new(100, 7),
        Fourcc::XRGB8888,
        Usage::CPU_WRITE,
    );
    let with_stride = |stride| {
        let mut wanted = AccessConstraint::default();
        wanted.stride = Some(stride);
        memory.allocate_in(&desc, &wanted)
    };
    for stride in [400, 404, 512] {
        let made = with_stride(stride).unwrap();
        assert_eq!(made.dmabuf.layout().planes()[0].stride, stride);
    }
    let refused = with_stride(396);
    assert!(
        matches!(
            refused,
            Err(ExportError::Layout(LayoutError::StrideTooSmall {
                stride: 396,
                needed: 400,
                ..
            }))
        ),
        "{refused:?}"
    );
}

#[test]
fn mapped_memory_is_the_buffers_and_outlives_its_descriptors() {
    for (name, exporter) in exporters() {
        let image = allocate(exporter.as_ref(), Fourcc::R8, 64, 4);
        let mut access = CpuAccess::begin(&image, Access::Write).unwrap();
        access.write_row(0, 0, &[7; 64]).unwrap();
        drop(access);
        let inode = image.id().inode();
        let mapped = MappedMemory::new(&image.memories()[0]).unwrap();
        assert_eq!(mapped.size().get() as u64, image.memories()[0].size());
        assert_eq!(mapped.address().addr().get() % 4096, 0, "{name}");
        drop(image);
        let is_there = || bufinfo().iter().any(|info| info.inode == inode);
        assert!(is_there(), "{name}");
        // SAFETY: the byte is inside the mapping, and nobody writes it any more.
        assert_eq!(unsafe { mapped.address().read() }, 7, "{name}");
        drop(mapped);
        assert!(!is_there(), "{name}");
    }
}
