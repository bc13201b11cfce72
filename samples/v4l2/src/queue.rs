//! Waiting for a device, and for a buffer before a device gets it.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use dmashare::{
    Fence, FenceError, FenceSet, FenceStatus, MappingUse, SoftwareTimeline, Submission,
};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::device::V4l2Device;
use crate::error::V4l2Error;
use crate::sys::{self, BUFFER_ERROR, BufferType, Dequeued, Memory};

/// The uses of one slot of a queue, one after the other: the `n`-th is over when the timeline is at `n`.
/// A slot has a timeline of its own because devices may give buffers back in another order.
#[derive(Debug)]
pub(crate) struct SlotUses {
    timeline: SoftwareTimeline,
    begun: u64,
}

impl SlotUses {
    pub(crate) fn new(device: &V4l2Device) -> Self {
        Self {
            timeline: SoftwareTimeline::new(device.name()),
            begun: 0,
        }
    }

    /// The next use, if `queue` gives the buffer to the device: its fence signals with
    /// [`end`](Self::end).
    pub(crate) fn begin(
        &mut self,
        queue: impl FnOnce() -> Result<(), V4l2Error>,
    ) -> Result<Fence, V4l2Error> {
        queue()?;
        self.begun += 1;
        Ok(self.timeline.fence(self.begun))
    }

    /// The device has given the buffer back.
    pub(crate) fn end(&self) {
        self.timeline.signal(self.begun);
    }

    /// Whether the device has it.
    pub(crate) fn is_used(&self) -> bool {
        self.timeline.signalled() < self.begun
    }
}

/// Hands a buffer to a device with `queue`, which returns the fence of this use. It first waits for
/// every fence that the use must wait for, because V4L2 takes none. Between the last look and the new
/// fence the reservation is locked.
pub(crate) fn queue_when_ready(
    device: &V4l2Device,
    used: &MappingUse,
    timeout: Duration,
    mut queue: impl FnMut() -> Result<Fence, V4l2Error>,
) -> Result<(), V4l2Error> {
    let buffer = || used.buffer_name().to_owned();
    let not_ready = |source| V4l2Error::NotReady {
        device: device.name().to_owned(),
        buffer: buffer(),
        source,
    };
    // The clock is read only if there is something to wait for.
    let mut begun = None;
    loop {
        let submission = Submission::begin([used.clone()]).map_err(|source| V4l2Error::Submit {
            device: device.name().to_owned(),
            buffer: buffer(),
            source: Box::new(source),
        })?;
        let mut waits = FenceSet::new();
        let visited = submission.visit_waits(|fence, _, _| {
            waits.insert(fence.clone());
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(()) = visited;
        let status = waits.status();
        if status == FenceStatus::Signalled {
            let fence = queue()?;
            submission.commit(&fence);
            return Ok(());
        }
        drop(submission);
        let begun = begun.get_or_insert_with(Instant::now);
        let left = timeout.saturating_sub(begun.elapsed());
        match waits.wait(left) {
            // The next round decides what this means, with the buffer locked: the mapping is stale if a
            // move was undone.
            Err(FenceError::Failed { .. }) if status == FenceStatus::Pending => {}
            waited => waited.map_err(not_ready)?,
        }
    }
}

/// Takes a buffer off a queue once the device is done with one, for `timeout` at most.
pub(crate) fn dequeue(
    device: &V4l2Device,
    kind: BufferType,
    memory: Memory,
    timeout: Duration,
) -> Result<Option<Dequeued>, V4l2Error> {
    let start = Instant::now();
    let events = match kind {
        BufferType::Capture => PollFlags::POLLIN,
        BufferType::Output => PollFlags::POLLOUT,
    };
    loop {
        let taken = sys::dequeue_buffer(device.as_fd(), kind, memory);
        if let Some(dequeued) = taken.map_err(device.failed("VIDIOC_DQBUF"))? {
            return Ok(Some(dequeued));
        }
        let left = timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(device.as_fd(), events)];
        match poll(&mut fds, timeout) {
            // A signal, which may ask the caller for something.
            Err(Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(device.failed("poll")(errno.into())),
            Ok(_)
                if fds[0]
                    .revents()
                    .is_some_and(|r| r.contains(PollFlags::POLLERR)) =>
            {
                return Err(device.misbehaves("it has no buffers, or has stopped"));
            }
            Ok(_) => {}
        }
    }
}

/// The same, with an error if there is none in time, or if its content is damaged.
pub(crate) fn dequeue_good(
    device: &V4l2Device,
    kind: BufferType,
    memory: Memory,
    timeout: Duration,
) -> Result<Dequeued, V4l2Error> {
    let start = Instant::now();
    let dequeued = loop {
        let left = timeout.saturating_sub(start.elapsed());
        match dequeue(device, kind, memory, left)? {
            Some(dequeued) => break dequeued,
            None if start.elapsed() < timeout => {}
            None => {
                return Err(V4l2Error::Silence {
                    device: device.name().to_owned(),
                    seconds: timeout.as_secs(),
                });
            }
        }
    };
    if dequeued.flags & BUFFER_ERROR != 0 {
        let what = "it says that a frame is damaged (V4L2_BUF_FLAG_ERROR)";
        return Err(device.misbehaves(what));
    }
    Ok(dequeued)
}
