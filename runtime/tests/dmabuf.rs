//! `DmaBuf` and `DmaBufMemory` on real dma-bufs, and on everything that is none.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dmashare::{DmaBuf, DmaBufError, DmaBufMemory, Extent, Fourcc, LayoutError, Modifier, PlaneFd};
use dmashare_lab_probe::{bufinfo, for_each_failing_allocation, open_files};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Tests that compare the process's open files run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn memory(size: u64) -> OwnedFd {
    support::heap()
        .allocate_memory(size)
        .unwrap()
        .duplicate_fd()
        .unwrap()
}

fn pipe_end() -> OwnedFd {
    nix::unistd::pipe().unwrap().0
}

fn closed_fd() -> OwnedFd {
    let number = pipe_end().as_raw_fd() + 1000;
    // SAFETY: deliberately a descriptor that is not open, as a careless caller may hand one over;
    // its number is far above those in use, so dropping it closes nobody's file.
    unsafe { OwnedFd::from_raw_fd(number) }
}

fn planes(fd: OwnedFd, offset: u64, stride: u32) -> [PlaneFd; 1] {
    [PlaneFd { fd, offset, stride }]
}

#[test]
fn a_dma_buf_is_known_by_its_inode() {
    let _alone = alone();
    let memory = support::heap().allocate_memory(8192).unwrap();
    let again = DmaBufMemory::new(memory.duplicate_fd().unwrap()).unwrap();
    let other = support::heap().allocate_memory(8192).unwrap();
    assert_eq!(memory.id(), again.id());
    assert_ne!(memory.id(), other.id());
    assert_eq!(memory.size(), 8192);
    let known = bufinfo()
        .into_iter()
        .find(|info| info.inode == memory.id().inode())
        .unwrap();
    assert_eq!((known.size, known.exporter.as_str()), (8192, "system"));
}

#[test]
fn planes_of_one_dma_buf_become_one_memory() {
    let _alone = alone();
    let fd = memory(8192);
    let planes = [
        PlaneFd {
            fd: fd.try_clone().unwrap(),
            offset: 0,
            stride: 64,
        },
        PlaneFd {
            fd,
            offset: 4096,
            stride: 64,
        },
    ];
    let image = DmaBuf::new(Fourcc::NV12, Extent::new(64, 64), Modifier::LINEAR, planes).unwrap();
    assert_eq!(image.memories().len(), 1);
    assert!(!image.layout().is_disjoint());
}

#[test]
fn the_name_is_in_the_kernels_list() {
    let _alone = alone();
    let memory = support::heap().allocate_memory(4096).unwrap();
    let inode = memory.id().inode();
    let name = || {
        bufinfo()
            .into_iter()
            .find(|info| info.inode == inode)
            .unwrap()
            .name
    };
    memory.set_name("a-name").unwrap();
    assert_eq!(name(), "a-name");
    memory.set_name(&"x".repeat(40)).unwrap();
    assert_eq!(name(), "x".repeat(31));
    // Cut at a character: 15 two-byte letters are 30 bytes, the 16th would end at 32.
    memory.set_name(&"\u{e4}".repeat(20)).unwrap();
    assert_eq!(name(), "\u{e4}".repeat(15));
    memory.set_name("before\0after").unwrap();
    assert_eq!(name(), "before");
}

#[test]
fn what_is_no_dma_buf_is_refused_and_closed() {
    let _alone = alone();
    let before = open_files();
    let memfd = memfd_create(c"not-a-dma-buf", MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&memfd, 65536).unwrap();
    for (name, fd) in [("pipe", pipe_end()), ("memfd", memfd)] {
        let number = fd.as_raw_fd();
        match DmaBufMemory::new(fd) {
            Err(DmaBufError::NotDmaBuf { fd, .. }) => assert_eq!(fd, number, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    match DmaBufMemory::new(closed_fd()) {
        Err(DmaBufError::Os { source, .. }) => {
            assert_eq!(source.raw_os_error(), Some(nix::libc::EBADF))
        }
        other => panic!("closed: {other:?}"),
    }
    assert_eq!(open_files(), before);
}

#[test]
fn planes_that_cannot_be_right_are_refused_and_closed() {
    let _alone = alone();
    let before = (open_files(), bufinfo().len());
    let new = |planes: Vec<PlaneFd>, modifier| match DmaBuf::new(
        Fourcc::XRGB8888,
        Extent::new(64, 16),
        modifier,
        planes,
    ) {
        Err(DmaBufError::Layout(error)) => error,
        other => panic!("{other:?}"),
    };
    let linear = Modifier::LINEAR;
    assert!(matches!(
        new(planes(memory(4096), 4096, 256).into(), linear),
        LayoutError::PlanePastEnd { .. }
    ));
    assert!(matches!(
        new(planes(memory(4096), 0, 255).into(), linear),
        LayoutError::StrideTooSmall { .. }
    ));
    assert!(matches!(
        new(vec![], linear),
        LayoutError::PlaneCount { given: 0, .. }
    ));
    let five = (0..5).flat_map(|_| planes(memory(4096), 0, 256)).collect();
    assert!(matches!(
        new(five, linear),
        LayoutError::PlaneCount { given: 5, .. }
    ));
    assert!(matches!(
        new(planes(memory(4096), 0, 256).into(), Modifier::INVALID),
        LayoutError::ImplicitModifier { .. }
    ));
    assert_eq!((open_files(), bufinfo().len()), before);
}

#[test]
fn i13_no_failing_allocation_in_the_kernel_leaves_a_descriptor() {
    let _alone = alone();
    let heap = support::heap();
    let udmabuf = support::udmabuf();
    let before = (open_files(), bufinfo().len());
    let operation = || -> Result<DmaBuf, Box<dyn std::error::Error>> {
        let memory = heap.allocate_memory(8192)?;
        memory.set_name("fails")?;
        let second = udmabuf.allocate_memory(4096)?;
        let planes = [
            PlaneFd {
                fd: memory.duplicate_fd()?,
                offset: 0,
                stride: 64,
            },
            PlaneFd {
                fd: second.duplicate_fd()?,
                offset: 0,
                stride: 64,
            },
        ];
        Ok(DmaBuf::new(
            Fourcc::NV12,
            Extent::new(64, 64),
            Modifier::LINEAR,
            planes,
        )?)
    };
    let mut refused = 0;
    let failed = for_each_failing_allocation(operation, |nth, result| {
        refused += u32::from(result.is_err());
        drop(result);
        assert_eq!((open_files(), bufinfo().len()), before, "allocation {nth}");
    });
    assert!(
        failed > 5 && refused > 5,
        "only {failed} allocations failed, {refused} were refused"
    );
}

#[test]
fn implicit_fences_go_in_and_come_out() {
    let _alone = alone();
    use dmashare::{Access, FenceStatus, SyncFile};
    let memory = support::heap().allocate_memory(4096).unwrap();
    let status = |access| memory.export_sync_file(access).unwrap().status().unwrap();
    assert_eq!(status(Access::Write), FenceStatus::Signalled);
    let timeline = dmashare_lab_probe::SwSyncTimeline::new();
    let fence = SyncFile::new(timeline.fence(1)).unwrap();
    // A reader's fence holds up writers only.
    memory.import_sync_file(&fence, Access::Read).unwrap();
    assert_eq!(
        (status(Access::Read), status(Access::Write)),
        (FenceStatus::Signalled, FenceStatus::Pending)
    );
    let fence = SyncFile::new(timeline.fence(2)).unwrap();
    memory.import_sync_file(&fence, Access::Write).unwrap();
    assert_eq!(status(Access::Read), FenceStatus::Pending);
    timeline.increment(2);
    assert_eq!(
        (status(Access::Read), status(Access::Write)),
        (FenceStatus::Signalled, FenceStatus::Signalled)
    );
    assert!(memory.as_fd().as_raw_fd() >= 0);
}
