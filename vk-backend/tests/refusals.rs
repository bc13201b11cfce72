//! What must fail gives a typed error that names the cause, and leaves nothing behind.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use dmashare::{
    AttachError, BufferDesc, DmaBuf, DmaBufError, DmaBufMemory, ExportError, Exporter, Extent,
    Fourcc, ImportError, LayoutError, Modifier, PlaneFd, SharedBuffer, SyncFile, SyncFileError,
    Usage,
};
use dmashare_lab_probe::{BufInfo, OpenFile, bufinfo, open_files};
use dmashare_vk::{Device, TransferError};
use nix::sys::memfd::{MFdFlags, memfd_create};
use support::{alone, buffer, desc, device, heap, in_lab, map, small};

/// Intel's X tiling: real, and of no device of the lab.
const X_TILED: Modifier = Modifier::new(0x0100_0000_0000_0001);

fn held() -> (Vec<OpenFile>, Vec<BufInfo>) {
    (open_files(), bufinfo())
}

/// Runs `refuse` several times, then checks that descriptors and dma-bufs are as before. What
/// Vulkan objects are left is told by the validation layer when the device goes.
fn leaves_nothing(device: &Device, refuse: impl Fn(&Device)) {
    // Whatever the driver keeps for good is there after the first time.
    refuse(device);
    let before = held();
    for _ in 0..3 {
        refuse(device);
    }
    support::collect_all(device);
    assert_eq!(held(), before);
}

fn memory(size: u64) -> OwnedFd {
    heap()
        .allocate_memory(size)
        .unwrap()
        .duplicate_fd()
        .unwrap()
}

fn dmabuf(format: Fourcc, extent: Extent, modifier: Modifier, size: u64, stride: u32) -> DmaBuf {
    let plane = PlaneFd {
        fd: memory(size),
        offset: 0,
        stride,
    };
    DmaBuf::new(format, extent, modifier, [plane]).unwrap()
}

/// Attaching a dma-buf of others, which must fail.
fn import_error(device: &Device, desc: BufferDesc, dmabuf: DmaBuf) -> ImportError {
    let shared = SharedBuffer::from_dmabuf(desc, dmabuf).unwrap();
    match shared.attach(device) {
        Err(AttachError::Import { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn descriptors_that_are_no_dma_bufs() {
    let _alone = alone();
    leaves_nothing(&device(), |_| {
        let pipe = nix::unistd::pipe().unwrap().0;
        assert!(matches!(
            DmaBufMemory::new(pipe),
            Err(DmaBufError::NotDmaBuf { .. })
        ));
        let memfd = memfd_create(c"not a dma-buf", MFdFlags::MFD_CLOEXEC).unwrap();
        nix::unistd::ftruncate(&memfd, 1 << 20).unwrap();
        let plane = PlaneFd {
            fd: memfd,
            offset: 0,
            stride: 256,
        };
        assert!(matches!(
            DmaBuf::new(
                Fourcc::XRGB8888,
                Extent::new(64, 32),
                Modifier::LINEAR,
                [plane]
            ),
            Err(DmaBufError::NotDmaBuf { .. })
        ));
        let number = nix::unistd::pipe().unwrap().0.as_raw_fd() + 1000;
        // SAFETY: deliberately a descriptor that is not open; its number is far above those in use.
        let closed = unsafe { OwnedFd::from_raw_fd(number) };
        match DmaBufMemory::new(closed) {
            Err(DmaBufError::Os { source, .. }) => {
                assert_eq!(source.raw_os_error(), Some(nix::libc::EBADF));
            }
            other => panic!("{other:?}"),
        }
        let pipe = nix::unistd::pipe().unwrap().0;
        assert!(matches!(
            SyncFile::new(pipe),
            Err(SyncFileError::NotSyncFile { .. })
        ));
        // A dma-buf is no sync_file either.
        assert!(matches!(
            SyncFile::new(memory(4096)),
            Err(SyncFileError::NotSyncFile { .. })
        ));
    });
}

#[test]
fn layouts_that_cannot_be_right() {
    let _alone = alone();
    let extent = Extent::new(64, 32);
    let layout_error = |planes: Vec<PlaneFd>, modifier| match DmaBuf::new(
        Fourcc::XRGB8888,
        extent,
        modifier,
        planes,
    ) {
        Err(DmaBufError::Layout(error)) => error,
        other => panic!("{other:?}"),
    };
    let plane = |offset, stride| PlaneFd {
        fd: memory(64 * 32 * 4),
        offset,
        stride,
    };
    let linear = Modifier::LINEAR;
    leaves_nothing(&device(), |_| {
        assert!(matches!(
            layout_error(vec![plane(4, 256)], linear),
            LayoutError::PlanePastEnd { plane: 0, .. }
        ));
        assert!(matches!(
            layout_error(vec![plane(u64::MAX, 256)], linear),
            LayoutError::PlanePastEnd { end: None, .. }
        ));
        assert!(matches!(
            layout_error(vec![plane(0, 255)], linear),
            LayoutError::StrideTooSmall { needed: 256, .. }
        ));
        assert!(matches!(
            layout_error(vec![], linear),
            LayoutError::PlaneCount { given: 0, .. }
        ));
        let five = || (0..5).map(|_| plane(0, 256)).collect();
        for modifier in [linear, X_TILED] {
            assert!(matches!(
                layout_error(five(), modifier),
                LayoutError::PlaneCount { given: 5, .. }
            ));
        }
        assert!(matches!(
            layout_error(vec![plane(0, 256)], Modifier::INVALID),
            LayoutError::ImplicitModifier { .. }
        ));
    });
}

#[test]
fn imports_that_the_device_cannot_do() {
    let _alone = alone();
    let extent = Extent::new(64, 32);
    leaves_nothing(&device(), |device| {
        let refuse = |desc, dmabuf| import_error(device, desc, dmabuf);
        let size = 64 * 32 * 4;
        match refuse(
            small("modifier"),
            dmabuf(Fourcc::XRGB8888, extent, X_TILED, size, 256),
        ) {
            ImportError::UnsupportedModifier {
                modifier,
                supported,
                ..
            } => {
                assert_eq!(modifier, X_TILED);
                assert!(supported.contains(&Modifier::LINEAR));
            }
            other => panic!("{other:?}"),
        }
        match refuse(
            desc("format", Fourcc::XRGB16161616, extent),
            dmabuf(
                Fourcc::XRGB16161616,
                extent,
                Modifier::LINEAR,
                2 * size,
                512,
            ),
        ) {
            ImportError::UnsupportedFormat {
                format, supported, ..
            } => {
                assert_eq!(format, Fourcc::XRGB16161616);
                assert!(supported.contains(&Fourcc::XRGB8888));
            }
            other => panic!("{other:?}"),
        }
        let wide = Extent::new(70_000, 1);
        match refuse(
            desc("wide", Fourcc::XRGB8888, wide),
            dmabuf(Fourcc::XRGB8888, wide, Modifier::LINEAR, 280_000, 280_000),
        ) {
            ImportError::TooLarge {
                extent, maximum, ..
            } => {
                assert_eq!(extent, wide);
                assert!(maximum.width < 70_000 && maximum.width >= 4096);
            }
            other => panic!("{other:?}"),
        }
        // The last row may be short for everyone but a driver that wants whole rows.
        let rows = Extent::new(64, 2);
        match refuse(
            desc("short", Fourcc::XRGB8888, rows),
            dmabuf(Fourcc::XRGB8888, rows, Modifier::LINEAR, 12_288, 8192),
        ) {
            ImportError::MemoryTooSmall {
                required, actual, ..
            } => {
                assert_eq!(actual, 12_288);
                assert!(required > actual);
            }
            other => panic!("{other:?}"),
        }
        // Luma and chroma in two dma-bufs.
        let planes = [memory(64 * 32), memory(64 * 16)].map(|fd| PlaneFd {
            fd,
            offset: 0,
            stride: 64,
        });
        let two = DmaBuf::new(Fourcc::NV12, extent, Modifier::LINEAR, planes).unwrap();
        match refuse(desc("disjoint", Fourcc::NV12, extent), two) {
            // lavapipe says that it can, and then binds every plane's memory to the first plane.
            ImportError::Disjoint { reason, .. } => assert!(reason.contains("first plane")),
            other => panic!("{other:?}"),
        }
        // Chroma cannot be drawn to.
        let mut render = desc("render", Fourcc::NV12, extent);
        render.usage = Usage::RENDER;
        let one = heap()
            .allocate(&render, &[Modifier::LINEAR])
            .unwrap()
            .dmabuf;
        assert!(matches!(
            refuse(render, one),
            ImportError::UnsupportedFormat { .. }
        ));
    });
}

#[test]
fn llvmpipe_does_not_draw_past_the_end_of_imported_memory() {
    let _alone = alone();
    leaves_nothing(&device(), |device| {
        if device.physical_device().driver_name() != "llvmpipe" {
            assert!(!in_lab(), "the lab's device is llvmpipe");
            return;
        }
        let extent = Extent::new(333, 77);
        let image = |stride: u32, size: u64| {
            let plane = PlaneFd {
                fd: memory(size),
                offset: 0,
                stride,
            };
            DmaBuf::new(Fourcc::XRGB8888, extent, Modifier::LINEAR, [plane]).unwrap()
        };
        let mut render = desc("blocks", Fourcc::XRGB8888, extent);
        render.usage |= Usage::RENDER;
        // 77 rows fit, the 80 that are written do not.
        match import_error(device, render.clone(), image(1344, 1344 * 77)) {
            ImportError::MemoryTooSmall { required, .. } => assert_eq!(required, 1344 * 80),
            other => panic!("{other:?}"),
        }
        match import_error(device, render.clone(), image(1332, 1332 * 80)) {
            ImportError::Layout(LayoutError::StrideTooSmall { needed, .. }) => {
                assert_eq!(needed, 1344);
            }
            other => panic!("{other:?}"),
        }
        let taken = |desc, dmabuf| map(&SharedBuffer::from_dmabuf(desc, dmabuf).unwrap(), device);
        taken(render, image(1344, 1344 * 80));
        taken(
            desc("read", Fourcc::XRGB8888, extent),
            image(1332, 1332 * 77),
        );
    });
}

#[test]
fn exports_that_the_device_cannot_do() {
    let _alone = alone();
    leaves_nothing(&device(), |device| {
        let refuse =
            |desc, modifiers: &[Modifier]| SharedBuffer::new(device, desc, modifiers).unwrap_err();
        for asked in [&[X_TILED][..], &[Modifier::INVALID], &[]] {
            match refuse(small("modifier"), asked) {
                ExportError::UnsupportedModifier {
                    asked: told,
                    offered,
                    ..
                } => {
                    assert_eq!(told, asked);
                    assert!(offered.contains(&Modifier::LINEAR));
                }
                other => panic!("{other:?}"),
            }
        }
        let linear = &[X_TILED, Modifier::LINEAR][..];
        assert!(matches!(
            refuse(
                desc("format", Fourcc::XRGB16161616, Extent::new(64, 32)),
                linear
            ),
            ExportError::UnsupportedFormat { .. }
        ));
        match refuse(
            desc("large", Fourcc::XRGB8888, Extent::new(70_000, 70_000)),
            linear,
        ) {
            ExportError::TooLarge { maximum, .. } => assert!(maximum.width < 70_000),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            refuse(desc("empty", Fourcc::XRGB8888, Extent::new(0, 1)), linear),
            ExportError::Layout(LayoutError::EmptyExtent { .. })
        ));
        assert!(matches!(
            refuse(small(""), linear),
            ExportError::Layout(LayoutError::EmptyName)
        ));
        let mut protected = small("protected");
        protected.protected = true;
        assert!(matches!(
            refuse(protected, linear),
            ExportError::ProtectedMemory { .. }
        ));
        // Among several modifiers the device takes what it can.
        assert!(SharedBuffer::new(device, small("linear"), linear).is_ok());
    });
}

#[test]
fn transfers_that_cannot_be_done() {
    let _alone = alone();
    let (device, other) = (device(), device());
    let mut read_only = small("read only");
    read_only.usage = Usage::TRANSFER_SOURCE;
    let read_only = SharedBuffer::new(&device, read_only, &[Modifier::LINEAR]).unwrap();
    let read_only = map(&read_only, &device);
    let shared = buffer(&device, "transfer");
    let mapping = map(&shared, &device);
    let transfer = device.transfer();
    assert!(matches!(
        transfer.upload(&read_only, &[0; 64 * 32 * 4]),
        Err(TransferError::Usage {
            usage: "TRANSFER_DESTINATION",
            ..
        })
    ));
    assert!(matches!(
        transfer.upload(&mapping, &[0; 7]),
        Err(TransferError::Length {
            expected: 8192,
            given: 7,
            ..
        })
    ));
    assert!(matches!(
        other.transfer().download(&mapping),
        Err(TransferError::ForeignMapping { .. })
    ));
    let larger = desc("larger", Fourcc::XRGB8888, Extent::new(65, 32));
    let larger = SharedBuffer::new(&device, larger, &[Modifier::LINEAR]).unwrap();
    assert!(matches!(
        transfer.copy(&mapping, &map(&larger, &device)),
        Err(TransferError::Mismatch { .. })
    ));
    assert!(matches!(
        transfer.copy(&mapping, &mapping),
        Err(TransferError::Mismatch { .. })
    ));
    assert_eq!(device.bytes_copied(), 0);
}
