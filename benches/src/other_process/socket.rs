//! The socket between the two processes.

use std::cell::RefCell;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, setsockopt, socketpair,
};
use nix::sys::time::{TimeVal, TimeValLike};
use smallvec::SmallVec;

use super::{Answer, SharedMemory};

/// The longest message, in bytes.
const LONGEST: usize = 4096;
/// A process that does not answer for so many seconds will not answer any more.
const SILENCE: i64 = 60;

/// What a message begins with.
mod kind {
    /// Memory, as JSON, with its descriptors. The answer is `READY`.
    pub(super) const SHARE: u8 = b'S';
    pub(super) const READY: u8 = b'R';
    /// A frame's number, perhaps with a sync_file; the answer is the same.
    pub(super) const FRAME: u8 = b'F';
    /// How many bytes were copied? The answer has the number.
    pub(super) const BYTES: u8 = b'B';
    /// What went wrong, as text.
    pub(super) const FAILED: u8 = b'E';
}

/// Few come with a message, so a frame's takes no allocation.
type Descriptors = SmallVec<[OwnedFd; 4]>;

/// One end of a connected SEQPACKET socket: each message arrives whole, with its descriptors.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    control: RefCell<Vec<u8>>,
}

impl Socket {
    /// This process's end, which does not wait for ever, and the other's.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub(super) fn pair() -> Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .context("socketpair failed")?;
        setsockopt(&ours, ReceiveTimeout, &TimeVal::seconds(SILENCE))?;
        Ok((Self::new(ours), theirs))
    }

    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            // As many descriptors as there are frames, and one more.
            control: RefCell::new(nix::cmsg_space!([RawFd; 4])),
        }
    }

    /// Sends memory, and waits until the other process has imported it.
    pub(super) fn share(&self, memory: &SharedMemory, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let mut text = vec![kind::SHARE];
        serde_json::to_writer(&mut text, memory)?;
        ensure!(text.len() <= LONGEST, "the memory has too many planes");
        self.send(&text, fds)?;
        self.ask(&mut [0; LONGEST], kind::READY).map(drop)
    }

    /// Waits for memory; `None` if the other process has ended.
    pub(super) fn shared(&self) -> Result<Option<(SharedMemory, Vec<OwnedFd>)>> {
        let mut text = [0; LONGEST];
        match self.receive(&mut text)? {
            (0, _) => Ok(None),
            (length, fds) if text[0] == kind::SHARE => {
                let memory = serde_json::from_slice(&text[1..length])
                    .context("what came does not describe memory")?;
                Ok(Some((memory, fds.into_iter().collect())))
            }
            _ => bail!("the first message was not of memory"),
        }
    }

    /// Hands a frame over, and waits for its answer.
    pub(super) fn hand(
        &self,
        index: usize,
        drawn: Option<BorrowedFd<'_>>,
    ) -> Result<Option<OwnedFd>> {
        self.send(&[kind::FRAME, u8::try_from(index)?], drawn.as_slice())?;
        let (_, mut fds) = self.ask(&mut [0; LONGEST], kind::FRAME)?;
        Ok(fds.pop())
    }

    pub(super) fn ask_bytes_copied(&self) -> Result<u64> {
        self.send(&[kind::BYTES], &[])?;
        let mut text = [0; LONGEST];
        let (length, _) = self.ask(&mut text, kind::BYTES)?;
        let bytes = text[1..length].try_into().context("that is no number")?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Answers the process at the other end until it ends.
    ///
    /// # Errors
    /// What the answer fails with.
    pub fn answer(&self, answer: &mut impl Answer) -> Result<()> {
        self.send(&[kind::READY], &[])?;
        let mut text = [0; LONGEST];
        loop {
            let (length, mut fds) = self.receive(&mut text)?;
            match &text[..length] {
                [] => return Ok(()),
                [kind::FRAME, index] => {
                    let read = answer.frame(usize::from(*index), fds.pop())?;
                    let read = read.as_ref().map(std::os::fd::AsFd::as_fd);
                    self.send(&[kind::FRAME, *index], read.as_slice())?;
                }
                [kind::BYTES] => {
                    let mut number = [kind::BYTES; 9];
                    number[1..].copy_from_slice(&answer.bytes_copied().to_ne_bytes());
                    self.send(&number, &[])?;
                }
                other => bail!("a message that nobody sends: {other:?}"),
            }
        }
    }

    /// Says what went wrong.
    pub(super) fn fail(&self, error: &str) -> Result<()> {
        let mut text = vec![kind::FAILED];
        text.extend(error.bytes().take(LONGEST - 1));
        self.send(&text, &[])
    }

    /// Waits for a message of one kind: its length, and its descriptors.
    fn ask(&self, text: &mut [u8; LONGEST], wanted: u8) -> Result<(usize, Descriptors)> {
        let (length, fds) = self.receive(text)?;
        match text[..length].first() {
            Some(kind) if *kind == wanted => Ok((length, fds)),
            Some(&kind::FAILED) => {
                let error = String::from_utf8_lossy(&text[1..length]);
                bail!("the other process failed: {error}")
            }
            Some(_) => bail!("the other process answers something else"),
            None => bail!("the other process has ended"),
        }
    }

    fn send(&self, text: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
        let raw: SmallVec<[RawFd; 4]> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() { &[][..] } else { &rights };
        let data = [IoSlice::new(text)];
        sendmsg::<()>(
            self.fd.as_raw_fd(),
            &data,
            rights,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .context("the other process does not listen any more")?;
        Ok(())
    }

    /// Waits for a message and what comes with it; its length is 0 when the other end was closed.
    fn receive(&self, text: &mut [u8]) -> Result<(usize, Descriptors)> {
        let mut control = self.control.borrow_mut();
        let mut data = [IoSliceMut::new(text)];
        let received = loop {
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.fd.as_raw_fd(), &mut data, Some(&mut *control), flags) {
                Err(Errno::EINTR) => {}
                // It ended with a message unread.
                Err(Errno::ECONNRESET) => return Ok((0, Descriptors::new())),
                Err(Errno::EAGAIN) => bail!("the other process does not answer for {SILENCE} s"),
                other => break other.context("recvmsg failed")?,
            }
        };
        let mut fds = Descriptors::new();
        // An error here means that the control data was cut; the flags say so too.
        for control in received.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(raw) = control {
                fds.extend(raw.into_iter().map(|fd| {
                    // SAFETY: the kernel has just installed this descriptor for the message, and
                    // nobody else knows of it.
                    unsafe { OwnedFd::from_raw_fd(fd) }
                }));
            }
        }
        let cut = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
        ensure!(
            !received.flags.intersects(cut),
            "a message was longer than allowed"
        );
        Ok((received.bytes, fds))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    struct Echo;

    impl Answer for Echo {
        fn frame(&mut self, index: usize, drawn: Option<OwnedFd>) -> Result<Option<OwnedFd>> {
            ensure!(index < 2, "no frame {index}");
            Ok(drawn)
        }

        fn bytes_copied(&self) -> u64 {
            7
        }
    }

    #[test]
    fn frames_errors_and_the_end_arrive() {
        let (ours, theirs) = Socket::pair().unwrap();
        let other = std::thread::spawn(move || {
            let socket = Socket::new(theirs);
            let (memory, fds) = socket.shared().unwrap().unwrap();
            assert_eq!((memory.size().width, fds.len()), (4, 3));
            let error = socket.answer(&mut Echo).unwrap_err();
            socket.fail(&error.to_string()).unwrap();
            assert!(
                socket.shared().unwrap().is_none(),
                "it does not see the end"
            );
        });
        let memory = SharedMemory {
            width: 4,
            height: 4,
            modifier: 0,
            planes: Vec::new(),
        };
        let file = tempfile::tempfile().unwrap();
        ours.share(&memory, &[file.as_fd(); 3]).unwrap();
        assert!(ours.hand(1, Some(file.as_fd())).unwrap().is_some());
        assert!(ours.hand(0, None).unwrap().is_none());
        assert_eq!(ours.ask_bytes_copied().unwrap(), 7);
        let error = ours.hand(2, None).unwrap_err().to_string();
        assert_eq!(error, "the other process failed: no frame 2");
        drop(ours);
        other.join().unwrap();
    }
}
