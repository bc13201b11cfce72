//! A socket between two processes that carries messages and file descriptors.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, setsockopt, socketpair,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::share::message::Message;

/// The longest message, in bytes.
const LONGEST: usize = 4096;
/// A process that does not answer for so many seconds has hung.
const SILENCE: i64 = 60;

/// One end of a connected SEQPACKET socket: each message arrives whole, with its descriptors.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Two connected ends; the second is for the other process.
    pub(super) fn pair() -> Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .context("socketpair failed")?;
        Ok((Self::new(ours)?, theirs))
    }

    /// Wraps an end that was inherited.
    pub(super) fn new(fd: OwnedFd) -> Result<Self> {
        setsockopt(&fd, ReceiveTimeout, &TimeVal::seconds(SILENCE))
            .context("standard input is not the socket of another `share`")?;
        Ok(Self { fd })
    }

    /// Sends a message with descriptors; the other side gets duplicates.
    pub(super) fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let text = serde_json::to_vec(message)?;
        ensure!(
            text.len() <= LONGEST,
            "a message of {} bytes is too long",
            text.len()
        );
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() { &[][..] } else { &rights };
        let data = [IoSlice::new(&text)];
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

    /// Waits for a message and the descriptors that come with it.
    pub(super) fn receive(&self) -> Result<(Message, Vec<OwnedFd>)> {
        let mut text = [0; LONGEST];
        let (length, fds, flags) = self.receive_into(&mut text)?;
        ensure!(length > 0, "the other process has ended");
        let cut = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
        ensure!(!flags.intersects(cut), "a message was longer than allowed");
        let message = serde_json::from_slice(&text[..length])
            .context("the other process sent something that is no message")?;
        match message {
            Message::Failed { error } => anyhow::bail!("the other process failed: {error}"),
            message => Ok((message, fds)),
        }
    }

    fn receive_into(&self, text: &mut [u8]) -> Result<(usize, Vec<OwnedFd>, MsgFlags)> {
        // Room for one memory a plane and a fence.
        let mut control = nix::cmsg_space!([std::os::fd::RawFd; 5]);
        let mut data = [IoSliceMut::new(text)];
        let received = loop {
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.fd.as_raw_fd(), &mut data, Some(&mut control), flags) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    anyhow::bail!("the other process does not answer for {SILENCE} s")
                }
                other => break other.context("recvmsg failed")?,
            }
        };
        let mut fds = Vec::new();
        // An error here means that the control data was cut; the flags say so too.
        for control in received.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(raw) = control {
                fds.extend(raw.into_iter().map(|fd| {
                    // SAFETY: the kernel has just installed this descriptor for the message, and
                    // nothing else owns it.
                    unsafe { OwnedFd::from_raw_fd(fd) }
                }));
            }
        }
        Ok((received.bytes, fds, received.flags))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn messages_arrive_with_their_descriptors() {
        let (ours, theirs) = Socket::pair().unwrap();
        let theirs = Socket::new(theirs).unwrap();
        let file = tempfile::tempfile().unwrap();
        let fds = [file.as_fd(), file.as_fd()];
        ours.send(&Message::Drawn { frame: 7 }, &fds).unwrap();
        ours.send(&Message::Close, &[]).unwrap();
        let (message, fds) = theirs.receive().unwrap();
        assert_eq!((message, fds.len()), (Message::Drawn { frame: 7 }, 2));
        let (message, fds) = theirs.receive().unwrap();
        assert_eq!((message, fds.len()), (Message::Close, 0));
    }

    #[test]
    fn an_end_an_error_and_noise_are_told_apart() {
        let (ours, theirs) = Socket::pair().unwrap();
        nix::unistd::write(&theirs, b"noise").unwrap();
        let noise = ours.receive().unwrap_err().to_string();
        assert!(noise.contains("no message"), "{noise}");
        let theirs = Socket::new(theirs).unwrap();
        let error = "no device".to_owned();
        theirs.send(&Message::Failed { error }, &[]).unwrap();
        let failed = ours.receive().unwrap_err().to_string();
        assert!(failed.contains("failed: no device"), "{failed}");
        drop(theirs);
        let ended = ours.receive().unwrap_err().to_string();
        assert!(ended.contains("has ended"), "{ended}");
        assert!(ours.send(&Message::Close, &[]).is_err());
    }

    #[test]
    fn too_many_descriptors_are_refused_and_closed() {
        let (ours, theirs) = Socket::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        ours.send(&Message::Close, &[file.as_fd(); 9]).unwrap();
        let error = Socket::new(theirs).unwrap().receive().unwrap_err();
        assert!(error.to_string().contains("longer than allowed"), "{error}");
    }

    #[test]
    fn another_file_is_no_socket() {
        let file = tempfile::tempfile().unwrap();
        let error = Socket::new(file.into()).unwrap_err();
        assert!(error.to_string().contains("not the socket"), "{error}");
    }
}
