//! Waiting for a device, and for a buffer before a device gets it.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use dmashare::{Fence, FenceSet, FenceStatus, MappingUse, SoftwareTimeline, Submission};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::sys::{self, BUFFER_ERROR, BufferType, Dequeued, Memory};
use super::{V4l2Device, V4l2Error};

/// The uses of one slot of a queue, one after the other: the `n`-th is over when the timeline is at `n`.
/// A slot has a timeline of its own because devices may give buffers back in another order.
#[derive(Debug)]
pub(super) struct SlotUses {
    timeline: SoftwareTimeline,
    begun: u64,
}

impl SlotUses {
    pub(super) fn new(device: &V4l2Device) -> Self {
        Self {
            timeline: SoftwareTimeline::new(device.name()),
            begun: 0,
        }
    }

    /// The next use: its fence signals with [`end`](Self::end).
    pub(super) fn begin(&mut self) -> Fence {
        self.begun += 1;
        self.timeline.fence(self.begun)
    }

    /// The buffer was not queued after all.
    pub(super) fn cancel(&mut self) {
        self.begun -= 1;
    }

    /// The device has given the buffer back.
    pub(super) fn end(&self) {
        self.timeline.signal(self.begun);
    }

    /// Whether the device has it.
    pub(super) fn is_used(&self) -> bool {
        self.timeline.signalled() < self.begun
    }
}

/// Hands a buffer to a device with `queue`, which gives the fence of this use: first everything is
/// waited for that the use must wait for, because V4L2 takes no fences. Between the last look and the
/// fence the reservation is locked.
pub(super) fn queue_when_ready(
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
    // A clock is asked only if there is something to wait for.
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
        if waits.status() == FenceStatus::Signalled {
            let fence = queue()?;
            submission.commit(&fence);
            return Ok(());
        }
        drop(submission);
        let begun = begun.get_or_insert_with(Instant::now);
        let left = timeout.saturating_sub(begun.elapsed());
        waits.wait(left).map_err(not_ready)?;
    }
}

/// Takes a buffer off a queue once the device is done with one, for `timeout` at most.
pub(super) fn dequeue(
    device: &V4l2Device,
    kind: BufferType,
    memory: Memory,
    timeout: Duration,
) -> Result<Option<Dequeued>, V4l2Error> {
    let deadline = Instant::now() + timeout;
    let events = match kind {
        BufferType::Capture => PollFlags::POLLIN,
        BufferType::Output => PollFlags::POLLOUT,
    };
    loop {
        let taken = sys::dequeue_buffer(device.as_fd(), kind, memory);
        if let Some(dequeued) = taken.map_err(device.failed("VIDIOC_DQBUF"))? {
            return Ok(Some(dequeued));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(device.as_fd(), events)];
        match poll(&mut fds, timeout) {
            // A signal: whoever called may want to look at what it asks for.
            Err(Errno::EINTR) => return Ok(None),
            Err(errno) => return Err(device.failed("poll")(errno.into())),
            Ok(_)
                if fds[0]
                    .revents()
                    .is_some_and(|r| r.contains(PollFlags::POLLERR)) =>
            {
                return Err(V4l2Error::Driver {
                    device: device.name().to_owned(),
                    what: "it has no buffers, or has stopped".to_owned(),
                });
            }
            Ok(_) => {}
        }
    }
}

/// The same, and it is an error if there is none in time, or what is in it is damaged.
pub(super) fn dequeue_good(
    device: &V4l2Device,
    kind: BufferType,
    memory: Memory,
    timeout: Duration,
) -> Result<Dequeued, V4l2Error> {
    let deadline = Instant::now() + timeout;
    let dequeued = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match dequeue(device, kind, memory, left)? {
            Some(dequeued) => break dequeued,
            None if Instant::now() < deadline => {}
            None => {
                return Err(V4l2Error::Silence {
                    device: device.name().to_owned(),
                    seconds: timeout.as_secs(),
                });
            }
        }
    };
    if dequeued.flags & BUFFER_ERROR != 0 {
        return Err(V4l2Error::Driver {
            device: device.name().to_owned(),
            what: "it says that a frame is damaged (V4L2_BUF_FLAG_ERROR)".to_owned(),
        });
    }
    Ok(dequeued)
}
