//! Implicit fences and failed producers, on a real queue.
//!
//! The other way, an unsignalled fence *from* Vulkan in a dma-buf, needs a driver that makes a
//! sync_file before its work is done; software Vulkan does not. What is seen here of that way is that
//! a commit makes it with nothing locked.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dmashare::{
    Access, CpuAccess, DmaBufMemory, Fence, FenceError, FenceStatus, Mapping, SharedBuffer,
    Submission, SubmitError, SyncFile,
};
use dmashare_lab_probe::{SwSyncTimeline, Vgem, VgemFence, within_time_limit};
use dmashare_vk::Device;
use nix::errno::Errno;
use support::{LONG, assert_same_bytes, buffer, device, map, pattern, submit_empty};

/// Longer than any work here takes that does not wait.
const A_WHILE: Duration = Duration::from_millis(100);

fn memory(shared: &SharedBuffer) -> DmaBufMemory {
    shared.backing().dmabuf().memories()[0].clone()
}

fn sync_file(timeline: &SwSyncTimeline, value: u32) -> SyncFile {
    SyncFile::new(timeline.fence(value)).unwrap()
}

/// Submits a use while something holds it up, checks that it waits, lets it go, and checks that it
/// then proceeds. The submitting thread may be in the driver all that time; it holds nothing up.
fn waits_and_then_proceeds(
    device: &Device,
    mapping: &Mapping<Device>,
    shared: &SharedBuffer,
    access: Access,
    release: impl FnOnce(),
) {
    let before = shared.ready(Access::Write).iter().count();
    thread::scope(|scope| {
        let submitter = scope.spawn(|| submit_empty(device, mapping, access));
        let start = Instant::now();
        while shared.ready(Access::Write).iter().count() == before {
            assert!(start.elapsed() < LONG, "it was not submitted");
            thread::yield_now();
        }
        thread::sleep(A_WHILE);
        assert_eq!(shared.ready(Access::Write).status(), FenceStatus::Pending);
        // Neither the buffer nor the queue is locked meanwhile.
        drop(Submission::begin([mapping.read()]).unwrap());
        drop(device.queue().unwrap());
        release();
        submitter.join().unwrap().wait(LONG).unwrap();
    });
}

/// A use that nothing holds up.
fn proceeds(device: &Device, mapping: &Mapping<Device>, access: Access) {
    let fence = submit_empty(device, mapping, access);
    fence.wait(LONG).unwrap();
}

#[test]
fn an_implicit_write_holds_up_readers_and_writers() {
    within_time_limit(|| {
        let device = device();
        let shared = buffer(&device, "implicit write");
        let mapping = map(&shared, &device);
        let _guard = shared.export("client").unwrap();
        for access in [Access::Read, Access::Write] {
            let timeline = SwSyncTimeline::new();
            let write = sync_file(&timeline, 1);
            memory(&shared)
                .import_sync_file(&write, Access::Write)
                .unwrap();
            waits_and_then_proceeds(&device, &mapping, &shared, access, || {
                timeline.increment(1);
            });
            // The rounds are kept apart: every use before is over.
            proceeds(&device, &mapping, Access::Write);
        }
    });
}

#[test]
fn an_implicit_read_holds_up_writers_only() {
    within_time_limit(|| {
        let device = device();
        let shared = buffer(&device, "implicit read");
        let mapping = map(&shared, &device);
        let _guard = shared.export("client").unwrap();
        let timeline = SwSyncTimeline::new();
        let read = sync_file(&timeline, 1);
        memory(&shared)
            .import_sync_file(&read, Access::Read)
            .unwrap();
        proceeds(&device, &mapping, Access::Read);
        waits_and_then_proceeds(&device, &mapping, &shared, Access::Write, || {
            timeline.increment(1);
        });
    });
}

#[test]
fn a_vgem_fence_holds_up_the_queue() {
    within_time_limit(|| {
        let device = device();
        let shared = buffer(&device, "vgem");
        let mapping = map(&shared, &device);
        let guard = shared.export("vgem").unwrap();
        let vgem = Vgem::open();
        let imported = vgem.import(std::os::fd::AsFd::as_fd(&guard.dmabuf().memories()[0]));
        let fence: VgemFence<'_> = imported.attach_fence(true).unwrap();
        waits_and_then_proceeds(&device, &mapping, &shared, Access::Read, || {
            fence.signal().unwrap();
        });
    });
}

/// Not only does the work wait: it reads what was written before the signal.
#[test]
fn a_reader_gets_what_the_other_side_wrote_before_its_fence() {
    within_time_limit(|| {
        let device = device();
        let shared = buffer(&device, "pixels");
        let mapping = map(&shared, &device);
        let (old, new) = (pattern(64 * 32 * 4, 1), pattern(64 * 32 * 4, 2));
        device.transfer().upload(&mapping, &old).unwrap();
        let guard = shared.export("client").unwrap();
        let timeline = SwSyncTimeline::new();
        // Begun first: its beginning waits for the fences that are there.
        let mut access = CpuAccess::begin(guard.dmabuf(), Access::Write).unwrap();
        let write: Fence = sync_file(&timeline, 1).into();
        guard.dmabuf().add_fence(Access::Write, &write).unwrap();
        thread::scope(|scope| {
            let reader = scope.spawn(|| device.transfer().download(&mapping).unwrap());
            thread::sleep(A_WHILE);
            for (row, pixels) in (0..).zip(new.chunks(64 * 4)) {
                access.write_row(0, row, pixels).unwrap();
            }
            drop(access);
            assert!(!reader.is_finished());
            timeline.increment(1);
            assert_same_bytes(&reader.join().unwrap(), &new, "read behind the fence");
        });
    });
}

#[test]
fn an_explicit_buffers_implicit_fences_are_not_waited_for() {
    let device = device();
    let shared = buffer(&device, "explicit");
    let mapping = map(&shared, &device);
    let timeline = SwSyncTimeline::new();
    let write = sync_file(&timeline, 1);
    memory(&shared)
        .import_sync_file(&write, Access::Write)
        .unwrap();
    proceeds(&device, &mapping, Access::Write);
    timeline.increment(1);
}

#[test]
fn an_explicit_sync_file_holds_up_readers_and_writers() {
    let device = device();
    for access in [Access::Read, Access::Write] {
        let shared = buffer(&device, "sync_file");
        let mapping = map(&shared, &device);
        let timeline = SwSyncTimeline::new();
        shared
            .add_fence(Access::Write, sync_file(&timeline, 1).into())
            .unwrap();
        let fence = submit_empty(&device, &mapping, access);
        assert!(matches!(
            fence.wait(A_WHILE),
            Err(FenceError::Timeout { .. })
        ));
        timeline.increment(1);
        fence.wait(LONG).unwrap();
    }
}

/// Vulkan takes a sync_file in error for one that has signalled; our fence does not.
#[test]
fn the_error_of_a_producer_travels_in_our_fence() {
    within_time_limit(|| {
        let device = device();
        let (shared, other) = (buffer(&device, "input"), buffer(&device, "other"));
        let (mapping, unrelated) = (map(&shared, &device), map(&other, &device));
        let timeline = SwSyncTimeline::new();
        shared
            .add_fence(Access::Write, sync_file(&timeline, 1).into())
            .unwrap();
        let fence = submit_empty(&device, &mapping, Access::Read);
        let after = submit_empty(&device, &unrelated, Access::Write);
        assert_eq!(fence.status(), FenceStatus::Pending);
        drop(timeline);
        match fence.wait(LONG) {
            Err(FenceError::Failed { source, .. }) => {
                assert_eq!(source.raw_os_error(), Some(Errno::ENOENT as i32));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(fence.status(), FenceStatus::Failed(Errno::ENOENT));
        // Work that has nothing to do with it is what it was.
        after.wait(LONG).unwrap();
        assert_eq!(after.status(), FenceStatus::Signalled);
        // Readers that come now are told by the reservation, and a new write makes it right.
        assert!(matches!(
            device.submission([mapping.read()]),
            Err(SubmitError::Fence(FenceError::Failed { .. }))
        ));
        proceeds(&device, &mapping, Access::Write);
        proceeds(&device, &mapping, Access::Read);
    });
}

#[test]
fn a_failed_read_is_no_error_of_the_work_after_it() {
    let device = device();
    let shared = buffer(&device, "failed read");
    let mapping = map(&shared, &device);
    let timeline = SwSyncTimeline::new();
    shared
        .add_fence(Access::Read, sync_file(&timeline, 1).into())
        .unwrap();
    let fence: Fence = submit_empty(&device, &mapping, Access::Write);
    drop(timeline);
    fence.wait(LONG).unwrap();
}

/// A client that is killed with a fence pending: our work ends in an error, and nobody hangs.
#[test]
fn i14_a_killed_producer_ends_our_work_in_an_error() {
    const CHILD: &str = "DMASHARE_TEST_CHILD";
    if let Some(fd) = std::env::var_os(CHILD) {
        let raw: i32 = fd.to_str().unwrap().parse().unwrap();
        // SAFETY: the parent has left this descriptor open for us, and nothing else here uses it.
        let fd = unsafe { std::os::fd::FromRawFd::from_raw_fd(raw) };
        let memory = DmaBufMemory::new(fd).unwrap();
        let timeline = SwSyncTimeline::new();
        let fence = sync_file(&timeline, 1);
        memory.import_sync_file(&fence, Access::Write).unwrap();
        writeln!(std::io::stdout(), "\nready").unwrap();
        thread::sleep(Duration::from_secs(3600));
    }
    within_time_limit(|| {
        let device = device();
        let shared = buffer(&device, "killed");
        let mapping = map(&shared, &device);
        let mut guard = shared.export("client").unwrap();
        let fd = guard.take_fds().remove(0);
        nix::fcntl::fcntl(
            &fd,
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
        )
        .unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "i14_a_killed_producer_ends_our_work_in_an_error",
            ])
            .env(CHILD, fd.as_raw_fd().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap() == "ready"),
            "the child is ready"
        );
        let fence = thread::scope(|scope| {
            let submitter = scope.spawn(|| submit_empty(&device, &mapping, Access::Read));
            let start = Instant::now();
            while shared.ready(Access::Write).is_empty() {
                assert!(start.elapsed() < LONG, "it was not submitted");
                thread::yield_now();
            }
            thread::sleep(A_WHILE);
            assert_eq!(shared.ready(Access::Write).status(), FenceStatus::Pending);
            child.kill().unwrap();
            child.wait().unwrap();
            submitter.join().unwrap()
        });
        assert!(matches!(fence.wait(LONG), Err(FenceError::Failed { .. })));
        assert_eq!(fence.status(), FenceStatus::Failed(Errno::ENOENT));
    });
}
