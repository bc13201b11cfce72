//! Imports that must fail say why and leave nothing behind; handles are counted, not leaked.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dmashare::host::{DmaHeap, Udmabuf};
use dmashare::{
    Access, AttachError, BufferDesc, DmaBuf, DmaBufError, DmaBufMemory, Extent, Fourcc,
    ImportError, LayoutError, Modifier, PlaneFd, SharedBuffer, Usage,
};
use dmashare_drm::{Card, CommitError, DumbBuffers};
use dmashare_lab_probe::{VkmsDisplay, bufinfo, open_files};
use nix::sys::memfd::{MFdFlags, memfd_create};

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

/// Tests here compare what the whole process has open: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A display, its card, and a second descriptor of the same open file, with which the kernel tells
/// which handle is the lowest that is free.
struct Watched {
    card: Card,
    file: OwnedFd,
    display: VkmsDisplay,
}

/// What must be the same before and after.
#[derive(Debug, PartialEq, Eq)]
struct Baseline {
    files: usize,
    attachments: usize,
    lowest_handle: u32,
    framebuffers: usize,
}

impl Watched {
    fn new() -> Self {
        let display = VkmsDisplay::new();
        let file: OwnedFd = File::options()
            .read(true)
            .write(true)
            .open(display.node())
            .unwrap()
            .into();
        let card = Card::from_fd(file.try_clone().unwrap()).unwrap();
        Self {
            card,
            file,
            display,
        }
    }

    fn baseline(&self) -> Baseline {
        // Closed handles leave the lowest number free; a leaked one does not.
        let dumb = drm_ffi::mode::dumbbuffer::create(self.file.as_fd(), 16, 16, 32, 0).unwrap();
        drm_ffi::mode::dumbbuffer::destroy(self.file.as_fd(), dumb.handle).unwrap();
        let name = self.display.device_name();
        let attached = bufinfo()
            .iter()
            .flat_map(|buffer| &buffer.attached)
            .filter(|attached| *attached == name)
            .count();
        assert_eq!(self.card.open_gem_handles(), 0);
        Baseline {
            files: open_files().len(),
            attachments: attached,
            lowest_handle: dumb.handle,
            framebuffers: self.display.framebuffers(),
        }
    }
}

fn memory(size: u64) -> DmaBufMemory {
    Udmabuf::open().unwrap().allocate_memory(size).unwrap()
}

fn plane(fd: OwnedFd, offset: u64, stride: u32) -> PlaneFd {
    PlaneFd { fd, offset, stride }
}

fn wrap(dmabuf: DmaBuf) -> SharedBuffer {
    let desc = BufferDesc::new("foreign", dmabuf.extent(), dmabuf.format(), Usage::SCANOUT);
    SharedBuffer::from_dmabuf(desc, dmabuf).unwrap()
}

#[test]
fn descriptors_and_layouts_that_are_wrong() {
    let _alone = alone();
    let watched = Watched::new();
    let extent = Extent::new(64, 64);
    let linear = Modifier::LINEAR;
    let before = watched.baseline();
    {
        let xrgb = |planes: Vec<PlaneFd>, modifier| {
            DmaBuf::new(Fourcc::XRGB8888, extent, modifier, planes)
        };
        let good = || memory(64 * 256).duplicate_fd().unwrap();

        // SAFETY: nobody owns the number and nobody uses what it stands for: it is not open, and
        // `new` finds that out first.
        #[allow(unsafe_code)]
        let closed = unsafe { OwnedFd::from_raw_fd(900) };
        let result = xrgb(vec![plane(closed, 0, 256)], linear);
        assert!(
            matches!(&result, Err(DmaBufError::Os { source, .. })
                if source.raw_os_error() == Some(nix::libc::EBADF)),
            "closed: {result:?}"
        );
        let (reader, _writer) = io::pipe().unwrap();
        let result = xrgb(vec![plane(reader.into(), 0, 256)], linear);
        assert!(
            matches!(result, Err(DmaBufError::NotDmaBuf { .. })),
            "pipe: {result:?}"
        );
        let memfd = memfd_create(c"memfd", MFdFlags::MFD_CLOEXEC).unwrap();
        nix::unistd::ftruncate(&memfd, 65536).unwrap();
        let result = xrgb(vec![plane(memfd, 0, 256)], linear);
        assert!(
            matches!(result, Err(DmaBufError::NotDmaBuf { .. })),
            "memfd: {result:?}"
        );
        let layout = |result: Result<DmaBuf, DmaBufError>| match result {
            Err(DmaBufError::Layout(error)) => error,
            other => panic!("{other:?}"),
        };
        let error = layout(xrgb(vec![plane(good(), 4096, 256)], linear));
        assert!(matches!(error, LayoutError::PlanePastEnd { .. }));
        let error = layout(xrgb(vec![plane(good(), u64::MAX, 256)], linear));
        assert!(matches!(error, LayoutError::PlanePastEnd { end: None, .. }));
        let error = layout(xrgb(vec![plane(good(), 0, 255)], linear));
        assert!(matches!(error, LayoutError::StrideTooSmall { .. }));
        let error = layout(xrgb(vec![], linear));
        assert!(matches!(error, LayoutError::PlaneCount { given: 0, .. }));
        let five = (0..5).map(|_| plane(good(), 0, 256)).collect();
        let error = layout(xrgb(five, linear));
        assert!(matches!(error, LayoutError::PlaneCount { given: 5, .. }));
        let error = layout(xrgb(vec![plane(good(), 0, 256)], Modifier::INVALID));
        assert!(matches!(error, LayoutError::ImplicitModifier { .. }));
    }
    assert_eq!(watched.baseline(), before);
}

#[test]
fn buffers_that_the_display_cannot_show() {
    let _alone = alone();
    let watched = Watched::new();
    let card = &watched.card;
    let before = watched.baseline();
    let import = |dmabuf: DmaBuf| match wrap(dmabuf).attach(card) {
        Err(AttachError::Import { source, .. }) => source,
        Ok(_) => panic!("it was imported"),
        Err(error) => panic!("{error:?}"),
    };
    let linear = |format, extent: Extent, stride| {
        let memory = memory(u64::from(stride) * u64::from(extent.height));
        let planes = [plane(memory.duplicate_fd().unwrap(), 0, stride)];
        DmaBuf::new(format, extent, Modifier::LINEAR, planes).unwrap()
    };
    let extent = Extent::new(64, 64);

    let format = Fourcc::XRGB2101010;
    let error = import(linear(format, extent, 256));
    assert!(
        matches!(&error, ImportError::UnsupportedFormat { format: refused, supported, .. }
            if *refused == format && supported.contains(&Fourcc::XRGB8888)),
        "{error:?}"
    );

    let tiled = Modifier::new(0x0100_0000_0000_0001);
    let memory = memory(64 * 256).duplicate_fd().unwrap();
    let dmabuf = DmaBuf::new(Fourcc::XRGB8888, extent, tiled, [plane(memory, 0, 256)]).unwrap();
    let error = import(dmabuf);
    assert!(
        matches!(&error, ImportError::UnsupportedModifier { modifier, supported, .. }
            if *modifier == tiled && supported == &[Modifier::LINEAR]),
        "{error:?}"
    );

    let maximum = card.capabilities().maximum_extent;
    let wide = Extent::new(maximum.width + 1, 16);
    let error = import(linear(Fourcc::XRGB8888, wide, wide.width * 4));
    assert!(
        matches!(&error, ImportError::TooLarge { maximum: limit, .. } if *limit == maximum),
        "{error:?}"
    );
    let minimum = card.capabilities().minimum_extent;
    assert!(minimum.width > 1, "vkms takes no less than 10 pixels");
    let narrow = Extent::new(minimum.width - 1, 16);
    let error = import(linear(Fourcc::XRGB8888, narrow, 256));
    assert!(
        matches!(&error, ImportError::TooSmall { minimum: limit, .. } if *limit == minimum),
        "{error:?}"
    );

    assert_eq!(watched.baseline(), before);
}

#[test]
fn without_master_nothing_is_shown_but_imports_work() {
    let _alone = alone();
    let display = VkmsDisplay::new();
    let master = Card::open(display.node()).unwrap();
    let looking = Card::inspect(display.node()).unwrap();
    let files = open_files().len();
    {
        let output = connected(&looking).remove(0);
        let extent = Extent::new(640, 480);
        let heap = DmaHeap::open("system").unwrap();
        let buffer = buffer(&heap, "picture", Fourcc::XRGB8888, extent);
        let mapping = map(&buffer, &looking);
        let result = looking.present(&output, &mapping, None);
        let Err(CommitError::NoMaster(error)) = result else {
            panic!("{result:?}");
        };
        assert!(
            error
                .holders
                .iter()
                .any(|holder| holder.pid == std::process::id()),
            "{error}"
        );
        assert!(buffer.ready(Access::Write).is_empty());
        // The same when the kernel says it: master was given up.
        let mapping = map(&buffer, &master);
        master.release_master().unwrap();
        let output = connected(&master).remove(0);
        let result = master.present(&output, &mapping, None);
        assert!(
            matches!(result, Err(CommitError::NoMaster(_))),
            "{result:?}"
        );
        assert!(buffer.ready(Access::Write).is_empty());
        master.acquire_master().unwrap();
        let id = master.present(&output, &mapping, None).unwrap();
        wait_for_flip(&master, id);
        master.release_master().unwrap();
        master.acquire_master().unwrap();
        let id = master.present(&output, &mapping, None).unwrap();
        wait_for_flip(&master, id);
    }
    drop(master);
    assert_eq!(display.framebuffers_after_commits(0), 0);
    // The master's own descriptors have gone: device, epoll, uevents.
    assert_eq!(open_files().len(), files - 3);
}

#[test]
fn planes_in_several_memories_and_several_planes_in_one() {
    let _alone = alone();
    let watched = Watched::new();
    let before = watched.baseline();
    {
        let extent = Extent::new(64, 64);
        let luma = memory(64 * 64).duplicate_fd().unwrap();
        let chroma = memory(64 * 32).duplicate_fd().unwrap();
        let planes = [plane(luma, 0, 64), plane(chroma, 0, 64)];
        let dmabuf = DmaBuf::new(Fourcc::NV12, extent, Modifier::LINEAR, planes).unwrap();
        assert_eq!(dmabuf.memories().len(), 2);
        let disjoint = wrap(dmabuf);
        let _first = map(&disjoint, &watched.card);
        // Both planes in one memory, given by two descriptors: one handle, closed once.
        let both = memory(64 * 96);
        let fds = [both.duplicate_fd().unwrap(), both.duplicate_fd().unwrap()];
        let planes = fds.into_iter().zip([0, 4096]);
        let planes = planes.map(|(fd, offset)| plane(fd, offset, 64));
        let dmabuf = DmaBuf::new(Fourcc::NV12, extent, Modifier::LINEAR, planes).unwrap();
        assert_eq!(dmabuf.memories().len(), 1);
        let together = wrap(dmabuf);
        let _second = map(&together, &watched.card);
        assert_eq!(watched.baseline().lowest_handle, before.lowest_handle);
        assert_eq!(watched.display.framebuffers(), 2);
    }
    assert_eq!(watched.baseline(), before);
}

#[test]
fn the_same_memory_imported_by_many_threads_is_closed_once_each() {
    let _alone = alone();
    let watched = Watched::new();
    let before = watched.baseline();
    {
        let extent = Extent::new(64, 64);
        let heap = DmaHeap::open("system").unwrap();
        let shared = buffer(&heap, "shared", Fourcc::XRGB8888, extent);
        let own = buffer(
            &watched.card.dumb_buffers(),
            "own",
            Fourcc::XRGB8888,
            extent,
        );
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (card, shared, own) = (&watched.card, &shared, &own);
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for round in 0..100 {
                        let buffer = if (thread + round) % 2 == 0 {
                            shared
                        } else {
                            own
                        };
                        kept.push(map(buffer, card));
                        if round % 3 == 0 {
                            kept.clear();
                        }
                    }
                });
            }
            let dumb = watched.card.dumb_buffers();
            scope.spawn(move || {
                for _ in 0..100 {
                    drop(buffer(&dumb, "short", Fourcc::XRGB8888, extent));
                }
            });
        });
        watched.card.dispatch().unwrap();
        assert_eq!(watched.display.framebuffers_after_commits(0), 0);
        assert_eq!(watched.baseline().lowest_handle, before.lowest_handle);
    }
    assert_eq!(watched.baseline(), before);
}

#[test]
fn dumb_buffers_that_cannot_be_made() {
    let _alone = alone();
    let watched = Watched::new();
    let before = watched.baseline();
    let result = DumbBuffers::of_driver("no such driver");
    assert!(matches!(
        result,
        Err(dmashare_drm::OpenError::NoDriver { .. })
    ));
    let dumb = watched.card.dumb_buffers();
    let desc = |extent| BufferDesc::new("dumb", extent, Fourcc::XRGB8888, Usage::SCANOUT);
    let tiled = [Modifier::new(7)];
    let result = SharedBuffer::new(&dumb, desc(Extent::new(64, 64)), &tiled);
    assert!(
        matches!(
            result,
            Err(dmashare::ExportError::UnsupportedModifier { .. })
        ),
        "{result:?}"
    );
    let linear = [Modifier::LINEAR];
    let result = SharedBuffer::new(&dumb, desc(Extent::new(0, 64)), &linear);
    assert!(
        matches!(result, Err(dmashare::ExportError::Layout(_))),
        "{result:?}"
    );
    let result = SharedBuffer::new(&dumb, desc(Extent::new(u32::MAX, u32::MAX)), &linear);
    assert!(
        matches!(result, Err(dmashare::ExportError::Device { .. })),
        "{result:?}"
    );
    assert_eq!(watched.baseline(), before);
}
