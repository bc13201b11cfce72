//! A frame's bytes through a socket, as an application without shared memory would send them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use anyhow::{Result, ensure};

use super::pattern;
use crate::{Operation, Size};

/// Bytes go through a Unix stream socket to another thread.
#[derive(Debug)]
pub struct Socket {
    stream: UnixStream,
    from: Vec<u8>,
    thread: Option<JoinHandle<()>>,
}

impl Socket {
    /// # Errors
    /// When what arrives is not what was sent.
    pub fn open(size: Size) -> Result<Self> {
        let (stream, other) = UnixStream::pair()?;
        let bytes = usize::try_from(size.bytes())?;
        let mut from = vec![0; bytes];
        pattern(&mut from);
        let expected = from.clone();
        let thread = std::thread::Builder::new()
            .name("receiver".to_owned())
            .spawn(move || receive(other, expected))?;
        let mut this = Self {
            stream,
            from,
            thread: Some(thread),
        };
        ensure!(this.send()? == 1, "what arrived is not what was sent");
        Ok(this)
    }

    /// Sends a frame; returns how it was acknowledged.
    fn send(&mut self) -> Result<u8> {
        self.stream.write_all(&self.from)?;
        let mut acknowledged = [0];
        self.stream.read_exact(&mut acknowledged)?;
        Ok(acknowledged[0])
    }
}

/// Receives frames, and acknowledges each with a byte, until the other end is closed: the first one
/// with 1 if it is as expected.
fn receive(mut stream: UnixStream, expected: Vec<u8>) {
    // Touched, as the sender's are.
    let mut to = vec![1; expected.len()];
    let mut expected = Some(expected);
    while stream.read_exact(&mut to).is_ok() {
        let is_right = expected.take().is_none_or(|expected| expected == to);
        if stream.write_all(&[u8::from(is_right)]).is_err() {
            return;
        }
    }
}

impl Operation for Socket {
    fn run(&mut self) -> Result<()> {
        self.send().map(drop)
    }

    /// Into the kernel and out of it.
    fn bytes_copied(&self) -> Option<u64> {
        Some(2 * self.from.len() as u64)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The thread sees the end.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            debug_assert!(ended.is_ok(), "the receiver panicked");
        }
    }
}
