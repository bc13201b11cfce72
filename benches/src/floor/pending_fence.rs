//! Fences that wait until they are told, of the kernel's sw_sync.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use anyhow::{Context, Result};

use super::signalled_fence;
use crate::{Machine, Size};

mod request {
    //! Of the kernel's `drivers/dma-buf/sw_sync.c`.

    /// `struct sw_sync_create_fence_data`.
    #[derive(Debug)]
    #[repr(C)]
    pub(super) struct CreateFence {
        pub(super) value: u32,
        pub(super) name: [u8; 32],
        pub(super) fence: i32,
    }

    nix::ioctl_readwrite!(create_fence, b'W', 0, CreateFence);
    nix::ioctl_write_ptr!(increment, b'W', 1, u32);
}

/// A timeline that this program counts on. When it goes, its fences signal with an error.
#[derive(Debug)]
pub struct SoftwareSync(File);

impl SoftwareSync {
    /// A timeline at 0.
    ///
    /// # Errors
    /// When the kernel has no sw_sync, or this user may not use it.
    pub fn open() -> Result<Self> {
        let path = "/sys/kernel/debug/sync/sw_sync";
        let file = OpenOptions::new().read(true).write(true).open(path);
        Ok(Self(file.with_context(|| {
            format!("no pending fences without {path}")
        })?))
    }

    /// A sync_file that signals when the timeline reaches `value`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn fence(&self, value: u32) -> Result<OwnedFd> {
        let mut create = request::CreateFence {
            value,
            name: [0; 32],
            fence: -1,
        };
        // SAFETY: the struct is the ioctl's own; the descriptor is open.
        unsafe { request::create_fence(self.0.as_raw_fd(), &raw mut create) }
            .context("SW_SYNC_IOC_CREATE_FENCE")?;
        // SAFETY: the ioctl gave a new descriptor, owned by its caller.
        Ok(unsafe { OwnedFd::from_raw_fd(create.fence) })
    }

    /// Counts on by one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn increment(&self) -> Result<()> {
        let one = 1;
        // SAFETY: the kernel reads one u32, which outlives the call.
        unsafe { request::increment(self.0.as_raw_fd(), &raw const one) }
            .context("SW_SYNC_IOC_INC")?;
        Ok(())
    }
}

/// So many sync_files for a merge, pending if there is sw_sync, with the timelines that keep them so.
///
/// # Errors
/// When there is no sw_sync, and no device that has a dma-buf.
pub(crate) fn to_merge(machine: &Machine, count: u32) -> Result<(Vec<OwnedFd>, Vec<SoftwareSync>)> {
    if SoftwareSync::open().is_err() {
        let exported = machine.floor_exporter(Size::COMMON[0])?.export()?;
        let files = (0..count).map(|_| signalled_fence(exported.fd.as_fd()));
        return Ok((files.collect::<Result<_>>()?, Vec::new()));
    }
    // One timeline for each: of two fences of one timeline a merge keeps only the later.
    let timelines = (0..count).map(|_| SoftwareSync::open());
    let timelines = timelines.collect::<Result<Vec<_>>>()?;
    let files = timelines.iter().map(|timeline| timeline.fence(1));
    Ok((files.collect::<Result<_>>()?, timelines))
}

/// A thread that counts on whenever it is asked to.
#[derive(Debug)]
pub(crate) struct Signaller {
    sync: Arc<SoftwareSync>,
    made: u32,
    // Taken when it is dropped: the thread ends then.
    ask: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Signaller {
    /// Starts the thread.
    pub(crate) fn start(sync: SoftwareSync) -> Result<Self> {
        let sync = Arc::new(sync);
        let (ask, asked) = channel();
        let counting = sync.clone();
        let thread = std::thread::Builder::new()
            .name("signaller".to_owned())
            .spawn(move || asked.iter().try_for_each(|()| counting.increment()))?;
        Ok(Self {
            sync,
            made: 0,
            ask: Some(ask),
            thread: Some(thread),
        })
    }

    /// A fence that is signalled when the thread was asked once more.
    pub(crate) fn fence(&mut self) -> Result<OwnedFd> {
        self.made += 1;
        self.sync.fence(self.made)
    }

    /// Asks the thread to signal the next fence.
    pub(crate) fn ask(&self) -> Result<()> {
        let ask = self.ask.as_ref().context("the thread has ended")?;
        ask.send(()).context("the thread has failed")
    }
}

impl Drop for Signaller {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            debug_assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
        }
    }
}
