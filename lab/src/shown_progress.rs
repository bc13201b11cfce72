//! A program's standard error, of which the progress is shown and the rest kept.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::progress::Progress;

/// A stream that keeps what is written to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(pub(crate) Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The sample's standard error: its progress is shown as ours, the rest passed on.
#[derive(Debug)]
pub(crate) struct ShownProgress {
    pub(crate) progress: Option<Progress>,
    pub(crate) line: Vec<u8>,
}

impl Write for ShownProgress {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' {
                self.take_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl ShownProgress {
    fn take_line(&mut self) -> std::io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let done = text
            .strip_prefix("progress: ")
            .and_then(|counts| counts.split_once('/'))
            .and_then(|(done, _)| done.parse().ok());
        match (&mut self.progress, done) {
            (Some(progress), Some(done)) => progress.set(done),
            _ => std::io::stderr().write_all(&line)?,
        }
        Ok(())
    }
}

impl Drop for ShownProgress {
    fn drop(&mut self) {
        // What came without a line's end, such as a last word before a crash.
        let _ = std::io::stderr().write_all(&self.line);
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
    }
}
