//! A process that is killed in the middle of everything.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use dmashare::{
    Access, DmaBufMemory, FenceError, FenceStatus, Modifier, SharedBuffer, Submission, SyncFile,
};
use dmashare_lab_probe::{SwSyncTimeline, bufinfo, within_time_limit};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use support::device::Device;

/// The kernel takes back what a process had that was killed, whatever it was in the middle of.
#[test]
fn i14_a_process_that_is_killed_leaves_nothing() {
    const CHILD: &str = "DMASHARE_TEST_CHILD";
    const NAME: &str = "killed";
    if std::env::var_os(CHILD).is_some() {
        let desc = support::desc(NAME);
        let buffer = SharedBuffer::new(&support::heap(), desc, &[Modifier::LINEAR]).unwrap();
        let _guard = buffer.export("client").unwrap();
        let mapping = buffer
            .attach(&Device::anywhere("gpu"))
            .unwrap()
            .map()
            .unwrap();
        let _open = Submission::begin([mapping.write()]).unwrap();
        writeln!(std::io::stdout(), "\nready").unwrap();
        thread::sleep(Duration::from_secs(3600));
    }
    let named = || bufinfo().iter().filter(|info| info.name == NAME).count();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "i14_a_process_that_is_killed_leaves_nothing",
        ])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap() == "ready"),
        "the child is ready"
    );
    assert_eq!(named(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(named(), 0);
}

/// A producer that is killed with a fence pending: whoever waits for it is told of the failure, and does
/// not wait for ever.
#[test]
fn i14_the_fence_of_a_process_that_is_killed_ends_in_an_error() {
    const CHILD: &str = "DMASHARE_TEST_PRODUCER";
    if let Ok(number) = std::env::var(CHILD) {
        let number: i32 = number.parse().unwrap();
        // SAFETY: the parent has left this descriptor of a dma-buf open for us, and nothing else here
        // uses it.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        let memory = DmaBufMemory::new(fd).unwrap();
        let timeline = SwSyncTimeline::new();
        let fence = SyncFile::new(timeline.fence(1)).unwrap();
        memory.import_sync_file(&fence, Access::Write).unwrap();
        writeln!(std::io::stdout(), "\nready").unwrap();
        thread::sleep(Duration::from_secs(3600));
    }
    within_time_limit(|| {
        let desc = support::desc("producer");
        let buffer = SharedBuffer::new(&support::heap(), desc, &[Modifier::LINEAR]).unwrap();
        let mut guard = buffer.export("client").unwrap();
        let fd = guard.take_fds().remove(0);
        fcntl(&fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "i14_the_fence_of_a_process_that_is_killed_ends_in_an_error",
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
        let fences = guard.dmabuf().fences(Access::Read).unwrap();
        let polled = fences.iter().next().unwrap().pollable().unwrap();
        let deadlined = fences
            .iter()
            .next()
            .unwrap()
            .with_deadline(Duration::from_secs(5));
        assert_eq!(fences.status(), FenceStatus::Pending);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| buffer.wait_ready(Access::Read, Duration::from_secs(8)));
            child.kill().unwrap();
            child.wait().unwrap();
            // It may have begun to wait only after the fence was gone from the dma-buf.
            let waited = waiter.join().unwrap();
            assert!(
                matches!(waited, Ok(()) | Err(FenceError::Failed { .. })),
                "{waited:?}"
            );
        });
        for fence in [fences.iter().next().unwrap(), &deadlined] {
            assert!(matches!(
                fence.wait(Duration::from_secs(5)),
                Err(FenceError::Failed { .. })
            ));
            assert_eq!(fence.status(), FenceStatus::Failed(Errno::ENOENT));
        }
        let mut fds = [PollFd::new(polled.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::ZERO).unwrap(), 1);
    });
}
