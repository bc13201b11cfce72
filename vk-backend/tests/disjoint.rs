//! Images whose planes lie in several dma-bufs, with a driver that takes them.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/lavapipe.rs"]
mod lavapipe;
mod support;

use dmashare::negotiation::DisjointPlanes;
use dmashare::{DmaBuf, Extent, Fourcc, ImportError, Modifier, PlaneFd, SharedBuffer, Usage};
use dmashare_lab_probe::{bufinfo, open_files};
use dmashare_vk::Device;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::{
    COPY, alone, assert_same_bytes, cpu_read, cpu_write, desc, heap, map, packed_size, pattern,
    udmabuf,
};

const FORMATS: [Fourcc; 4] = [Fourcc::NV12, Fourcc::NV16, Fourcc::P010, Fourcc::YUV420];

/// Each plane in a dma-buf of its own, the chroma of three planes in one; at `offset` there.
fn planes(format: Fourcc, extent: Extent, offset: u64, shared_chroma: bool) -> DmaBuf {
    let mut planes = Vec::new();
    let mut chroma: Option<(dmashare::DmaBufMemory, u64)> = None;
    for (index, info) in format.info().unwrap().planes.iter().enumerate() {
        let stride = u32::try_from(info.row_bytes(extent.width)).unwrap() + 64;
        let bytes = u64::from(stride) * u64::from(info.rows(extent.height));
        let size = (offset + 3 * bytes).next_multiple_of(4096);
        let (memory, offset) = match &mut chroma {
            Some((memory, end)) if shared_chroma => (memory.clone(), *end),
            _ if index % 2 == 0 => (heap().allocate_memory(size).unwrap(), offset),
            _ => (udmabuf().allocate_memory(size).unwrap(), offset),
        };
        planes.push(PlaneFd {
            fd: memory.duplicate_fd().unwrap(),
            offset,
            stride,
        });
        if index > 0 {
            chroma = Some((memory, offset + bytes));
        }
    }
    DmaBuf::new(format, extent, Modifier::LINEAR, planes).unwrap()
}

fn wrap(dmabuf: DmaBuf) -> SharedBuffer {
    let desc = desc("disjoint", dmabuf.format(), dmabuf.extent());
    SharedBuffer::from_dmabuf(desc, dmabuf).unwrap()
}

/// What the CPU writes the device reads, and the other way round.
fn works(device: &Device, dmabuf: DmaBuf, what: &str) {
    assert!(dmabuf.layout().is_disjoint(), "{what}");
    let shared = wrap(dmabuf);
    let mapping = map(&shared, device);
    let size = packed_size(shared.desc().format, shared.desc().extent);
    let pixels = pattern(size, 1);
    cpu_write(shared.backing().dmabuf(), &pixels);
    let read = device.transfer().download(&mapping).unwrap();
    assert_same_bytes(&read, &pixels, what);
    let pixels = pattern(size, 2);
    device.transfer().upload(&mapping, &pixels).unwrap();
    assert_same_bytes(&cpu_read(shared.backing().dmabuf()), &pixels, what);
}

#[test]
fn every_format_is_imported_from_several_dma_bufs() {
    let _alone = alone();
    let device = lavapipe::device();
    for format in FORMATS {
        for (width, height) in [(64, 48), (334, 78), (2, 2)] {
            for offset in [0, 64, 4096 + 128] {
                let extent = Extent::new(width, height);
                let what = format!("{format} {extent} at {offset}");
                works(&device, planes(format, extent, offset, false), &what);
            }
        }
    }
    // Three planes in two dma-bufs: one is imported twice.
    let two = planes(Fourcc::YUV420, Extent::new(334, 78), 64, true);
    assert_eq!(two.memories().len(), 2);
    works(&device, two, "chroma together");
}

#[test]
fn a_device_that_takes_them_says_so() {
    let _alone = alone();
    let device = lavapipe::device();
    let supports = device
        .physical_device()
        .modifiers(Fourcc::NV12, COPY)
        .unwrap();
    assert!(supports.iter().any(|support| support.disjoint));
    let party = device.importer_party(&FORMATS, Usage::SAMPLE).unwrap();
    assert_eq!(party.formats.len(), FORMATS.len());
    let all = |party: &dmashare::Party, disjoint| {
        party
            .formats
            .iter()
            .all(|support| support.disjoint == disjoint)
    };
    assert!(all(&party, DisjointPlanes::Allowed));
    let exports = device.exporter_party(&FORMATS, Usage::SAMPLE).unwrap();
    assert!(all(&exports, DisjointPlanes::Refused));
    // The driver as it is takes none of them, although it says that it does.
    let party = support::device()
        .importer_party(&FORMATS, Usage::SAMPLE)
        .unwrap();
    assert!(all(&party, DisjointPlanes::Refused));
}

#[test]
fn a_plane_that_does_not_fit_its_memory_is_refused() {
    let _alone = alone();
    let device = lavapipe::device();
    // The last row of chroma without its padding: enough for everyone but a driver that wants whole
    // rows.
    let extent = Extent::new(64, 4);
    let memory = |size| {
        heap()
            .allocate_memory(size)
            .unwrap()
            .duplicate_fd()
            .unwrap()
    };
    let two = [(memory(4096), 64), (memory(12_288), 8192)];
    let two = two.map(|(fd, stride)| PlaneFd {
        fd,
        offset: 0,
        stride,
    });
    let before = (open_files(), bufinfo());
    let dmabuf = DmaBuf::new(Fourcc::NV12, extent, Modifier::LINEAR, two).unwrap();
    match wrap(dmabuf).attach(&device) {
        Err(dmashare::AttachError::Import {
            source: ImportError::MemoryTooSmall {
                required, actual, ..
            },
            ..
        }) => {
            assert_eq!(actual, 12_288);
            assert!(required > actual);
        }
        other => panic!("{other:?}"),
    }
    let after = (open_files(), bufinfo());
    assert!(after.0.len() < before.0.len() && after.1.len() < before.1.len());
}

/// Every step of an import that needs a descriptor fails in turn.
#[test]
fn imports_that_fail_half_way_leave_nothing() {
    let _alone = alone();
    let device = lavapipe::device();
    let extent = Extent::new(64, 48);
    let shared = wrap(planes(Fourcc::YUV420, extent, 0, false));
    drop(map(&shared, &device));
    device.dispatch();
    let before = (open_files(), bufinfo());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    for (failed, more) in (0..16).enumerate() {
        let highest = before.0.iter().map(|file| file.fd).max().unwrap();
        let limit = u64::try_from(highest).unwrap() + 1 + more;
        setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
        let result = shared.attach(&device);
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        let is_err = result.is_err();
        drop(result);
        device.dispatch();
        assert_eq!((open_files(), bufinfo()), before, "{more} more descriptors");
        if !is_err {
            assert!(failed >= 2, "{failed}");
            return;
        }
    }
    panic!("the import never succeeded");
}
