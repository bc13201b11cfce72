//! Fences by hand.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::pending_fence::{Signaller, to_merge};
use super::{Semaphore, Signal, SoftwareSync, Submitter, signalled_fence};
use crate::{Machine, Operation, Size};

mod request {
    //! Of `linux/sync_file.h`.

    /// `struct sync_merge_data`.
    #[derive(Debug)]
    #[repr(C)]
    pub(super) struct Merge {
        pub(super) name: [u8; 32],
        pub(super) fd2: i32,
        pub(super) fence: i32,
        pub(super) flags: u32,
        pub(super) pad: u32,
    }

    nix::ioctl_readwrite!(merge, b'>', 3, Merge);
}

/// A submission waits for the point and signals a semaphore, which becomes a sync_file.
#[derive(Debug)]
pub struct Create {
    submitter: Submitter,
    semaphore: Semaphore,
}

impl Create {
    /// # Errors
    /// When Vulkan refuses a semaphore.
    pub fn open(machine: &Machine) -> Result<Self> {
        let mut submitter = Submitter::new(machine.exporter())?;
        submitter.submit()?;
        submitter.wait()?;
        Ok(Self {
            submitter,
            semaphore: Semaphore::for_export(machine.exporter())?,
        })
    }
}

impl Operation for Create {
    fn run(&mut self) -> Result<()> {
        self.submitter.pass_on(&self.semaphore)?;
        self.semaphore.export().map(drop)
    }

    fn settle(&mut self) -> Result<()> {
        self.submitter.wait()
    }
}

fn merge(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<OwnedFd> {
    let mut merge = request::Merge {
        name: [0; 32],
        fd2: other.as_raw_fd(),
        fence: -1,
        flags: 0,
        pad: 0,
    };
    // SAFETY: the struct is the ioctl's own; both descriptors are open.
    unsafe { request::merge(one.as_raw_fd(), &raw mut merge) }
        .map_err(io::Error::from)
        .context("SYNC_IOC_MERGE")?;
    // SAFETY: the ioctl gave a new descriptor, owned by its caller.
    Ok(unsafe { OwnedFd::from_raw_fd(merge.fence) })
}

/// A chain of SYNC_IOC_MERGE.
#[derive(Debug)]
pub struct Merge {
    files: Vec<OwnedFd>,
    _timelines: Vec<SoftwareSync>,
}

impl Merge {
    /// # Errors
    /// When there are no sync_files to be had.
    pub fn open(machine: &Machine, count: u32) -> Result<Self> {
        ensure!(count >= 2, "a merge takes at least 2");
        let (files, timelines) = to_merge(machine, count)?;
        Ok(Self {
            files,
            _timelines: timelines,
        })
    }
}

impl Operation for Merge {
    fn run(&mut self) -> Result<()> {
        let [first, second, others @ ..] = self.files.as_slice() else {
            return Ok(());
        };
        let mut merged = merge(first.as_fd(), second.as_fd())?;
        for other in others {
            merged = merge(merged.as_fd(), other.as_fd())?;
        }
        Ok(())
    }
}

fn wait(fence: BorrowedFd<'_>) -> Result<()> {
    let mut fds = [PollFd::new(fence, PollFlags::POLLIN)];
    ensure!(
        poll(&mut fds, PollTimeout::from(10_000_u16))? == 1,
        "the fence has not signalled"
    );
    Ok(())
}

/// A poll of a sync_file that has signalled.
#[derive(Debug)]
pub struct Wait(OwnedFd);

impl Wait {
    /// # Errors
    /// When there is no device that has a dma-buf.
    pub fn open(machine: &Machine) -> Result<Self> {
        let exported = machine.floor_exporter(Size::COMMON[0])?.export()?;
        Ok(Self(signalled_fence(exported.fd.as_fd())?))
    }
}

impl Operation for Wait {
    fn run(&mut self) -> Result<()> {
        wait(self.0.as_fd())
    }
}

/// A poll of a sync_file that another thread signals.
#[derive(Debug)]
pub struct WaitPending {
    signaller: Signaller,
    fences: VecDeque<OwnedFd>,
}

impl WaitPending {
    /// # Errors
    /// When no thread can be started.
    pub fn new(sync: SoftwareSync) -> Result<Self> {
        Ok(Self {
            signaller: Signaller::start(sync)?,
            fences: VecDeque::new(),
        })
    }
}

impl Operation for WaitPending {
    fn prepare(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.fences.push_back(self.signaller.fence()?);
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let fence = self.fences.pop_front().context("no fence was prepared")?;
        self.signaller.ask()?;
        wait(fence.as_fd())
    }
}

/// A submission's semaphore becomes a sync_file, that a semaphore of the other device, and that is
/// waited for; all but the last only if the first is not done by then.
#[derive(Debug)]
pub struct Convert {
    writer: Submitter,
    written: Signal,
    reader: Submitter,
    received: Semaphore,
}

impl Convert {
    /// # Errors
    /// When Vulkan refuses a semaphore.
    pub fn open(machine: &Machine) -> Result<Self> {
        Ok(Self {
            writer: Submitter::new(machine.exporter())?,
            written: Signal::new(machine.exporter())?,
            reader: Submitter::new(machine.importer())?,
            received: Semaphore::for_import(machine.importer())?,
        })
    }
}

impl Operation for Convert {
    fn run(&mut self) -> Result<()> {
        let (left_over, signal) = self.written.begin();
        self.writer.signal(left_over, Some(signal))?;
        let written = self.written.export_unless_done(&self.writer)?;
        let wait = self.received.wait_for(written)?;
        self.reader.signal(wait, None)?;
        self.reader.wait()
    }
}
