//! Event dispatch and release of buffers that are no longer shown.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dmashare::{FenceStatus, Moment};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{EpollEvent, EpollTimeout};
use smallvec::SmallVec;

use crate::card::event::{CommitId, Event, Events, FlipComplete};
use crate::card::state::{Freed, State};
use crate::card::{Card, CardInner, event};
use crate::error::DeviceError;

/// Epoll token of the device file.
pub(crate) const DEVICE_TOKEN: u64 = 0;
/// Epoll token of the uevent socket.
pub(crate) const UEVENT_TOKEN: u64 = 1;

/// Epoll token of a capture's out-fence.
pub(crate) fn capture_token(serial: u64) -> u64 {
    UEVENT_TOKEN + serial
}

/// The kernel queues at most 4 KiB of events per file (`drm_file_alloc`), so one read returns all.
const EVENT_BYTES: usize = 4096;

impl Card {
    /// Reads pending events, signals the fences of buffers that the display no longer uses, and
    /// destroys retired framebuffers. Does not block. Call it when the card's file descriptor
    /// ([`AsFd`]) becomes readable.
    ///
    /// # Errors
    /// [`DeviceError`]: a system call failed; the call can be repeated.
    pub fn dispatch(&self) -> Result<Events, DeviceError> {
        let inner = self.inner();
        let mut events = Events::default();
        let mut freed = Freed::new();
        let result = {
            let mut state = inner.state();
            let result = inner.read_all(&mut state, &mut events, &mut freed);
            state.release(&mut freed);
            inner.held.store(state.held(), Ordering::Release);
            result
        };
        drop(freed);
        inner.collect();
        result.map(|()| events)
    }

    /// Waits up to `timeout` for events and dispatches them. This is for simple tools; a program with
    /// an event loop polls the card's file descriptor instead.
    ///
    /// # Errors
    /// Same as [`dispatch`](Self::dispatch).
    pub fn wait_events(&self, timeout: Duration) -> Result<Events, DeviceError> {
        let start = Instant::now();
        loop {
            let events = self.dispatch()?;
            let left = timeout.saturating_sub(start.elapsed());
            if !events.is_empty() || left.is_zero() {
                return Ok(events);
            }
            let timeout =
                PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Err(self.inner().device.error("poll", errno.into())),
            }
        }
    }
}

/// The file descriptor becomes readable when [`Card::dispatch`] has work: a page flip, a completed
/// capture, or a hotplug.
impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner().epoll.0.as_fd()
    }
}

/// The commit that an event belongs to. A file that another program used before may still have that
/// program's events queued, with arbitrary `user_data`, often an address.
fn commit_of(flip: &FlipComplete, last_commit: u64) -> Option<CommitId> {
    let ours = (1..=last_commit).contains(&flip.user_data);
    ours.then(|| CommitId::new(flip.user_data))
}

impl CardInner {
    fn read_all(
        &self,
        state: &mut State,
        events: &mut Events,
        freed: &mut Freed,
    ) -> Result<(), DeviceError> {
        let mut ready = [EpollEvent::empty(); 16];
        let mut reported: SmallVec<[u64; 16]> = SmallVec::new();
        let count = match self.epoll.wait(&mut ready, EpollTimeout::ZERO) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(self.device.error("epoll_wait", errno.into())),
        };
        for event in &ready[..count] {
            match event.data() {
                DEVICE_TOKEN => self.read_device(state, events)?,
                UEVENT_TOKEN => self.read_uevents(state, events)?,
                token => reported.push(token - UEVENT_TOKEN),
            }
        }
        self.check_captures(state, &reported, events, freed);
        Ok(())
    }

    fn read_device(&self, state: &mut State, events: &mut Events) -> Result<(), DeviceError> {
        let mut bytes = [0; EVENT_BYTES];
        let length = match nix::unistd::read(&self.device, &mut bytes) {
            Ok(length) => length,
            Err(Errno::EAGAIN | Errno::EINTR) => 0,
            Err(errno) => return Err(self.device.error("read", io::Error::from(errno))),
        };
        event::parse(&bytes[..length], |flip| self.flipped(state, flip, events));
        Ok(())
    }

    fn flipped(&self, state: &mut State, flip: FlipComplete, events: &mut Events) {
        let mut crtcs = self.resources.crtcs.iter();
        let Some(crtc) = crtcs.position(|crtc| crtc.id == flip.crtc_id) else {
            return;
        };
        let Some(commit) = commit_of(&flip, state.last_commit) else {
            return;
        };
        let at = Moment::from_monotonic(flip.time);
        state.last_event = Some(at);
        for plane in &mut state.planes {
            plane.flipped(crtc, commit, |held| held.appeared(at));
        }
        while let Some((pending, output)) = state.crtcs[crtc].pending.front().copied() {
            if pending > commit {
                break;
            }
            state.crtcs[crtc].pending.pop_front();
            if pending == commit {
                self.statistics.flips.fetch_add(1, Ordering::Relaxed);
                events.push(Event::Flip {
                    output,
                    commit,
                    sequence: flip.sequence,
                    time: flip.time,
                });
            }
        }
    }

    fn read_uevents(&self, state: &mut State, events: &mut Events) -> Result<(), DeviceError> {
        let Some(uevents) = &self.uevents else {
            return Ok(());
        };
        let read = uevents.read(self.device.number(), |hotplug| {
            // A different monitor may have different limits.
            state.accepted.clear();
            events.push(Event::Hotplug {
                connector: hotplug.connector,
            });
        });
        read.map_err(|errno| self.device.error("recvfrom (uevent)", errno.into()))
    }

    fn check_captures(
        &self,
        state: &mut State,
        reported: &[u64],
        events: &mut Events,
        freed: &mut Freed,
    ) {
        let mut index = 0;
        while let Some(capture) = state.captures.get_mut(index) {
            let status = capture.status(reported.contains(&capture.serial));
            if status == FenceStatus::Pending {
                capture.watch(&self.epoll, capture_token(capture.serial));
                index += 1;
                continue;
            }
            capture.unwatch(&self.epoll);
            let capture = state.captures.remove(index);
            for plane in &mut state.planes {
                plane.captured(capture.serial);
            }
            events.push(Event::Written {
                output: capture.target.output,
                commit: capture.commit,
                status,
            });
            freed.push(capture.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_another_program_is_of_no_commit() {
        let commit_of = |user_data, last_commit| {
            let flip = FlipComplete {
                crtc_id: 40,
                user_data,
                sequence: 1,
                time: Duration::ZERO,
            };
            super::commit_of(&flip, last_commit).map(CommitId::as_u64)
        };
        assert_eq!(commit_of(1, 3), Some(1));
        assert_eq!(commit_of(3, 3), Some(3));
        for user_data in [0, 4, 0x7ffd_1234_5678, u64::MAX] {
            assert_eq!(commit_of(user_data, 3), None);
        }
        // Before the first commit, no event is ours.
        assert_eq!(commit_of(0, 0), None);
        assert_eq!(commit_of(1, 0), None);
    }
}
