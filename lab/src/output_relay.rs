//! Copies what the guest's agent writes into a file of the state folder to one of our streams,
//! while it is being written.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// A relay that runs until the guest has ended.
#[derive(Debug)]
pub(crate) struct OutputRelay {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl OutputRelay {
    /// Makes the empty file `path` and copies what comes into it to `stream`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn start(
        path: &Path,
        mut stream: impl Write + Send + 'static,
    ) -> std::io::Result<Self> {
        File::create_new(path)?;
        let mut file = File::open(path)?;
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut piece = vec![0; 1 << 16];
            loop {
                // Looked at before the read: what was written before the end is then read below.
                let last = flag.load(Ordering::SeqCst);
                let mut length = file.read(&mut piece)?;
                while length > 0 {
                    stream.write_all(piece.get(..length).unwrap_or_default())?;
                    length = file.read(&mut piece)?;
                }
                stream.flush()?;
                if last {
                    return Ok(());
                }
                std::thread::sleep(INTERVAL);
            }
        });
        Ok(Self { ended, thread })
    }

    /// Whether our stream takes no more, so that running on would be for nobody.
    pub(crate) fn is_broken(&self) -> bool {
        self.thread.is_finished()
    }

    /// Copies the rest, once the guest writes no more.
    ///
    /// # Errors
    /// When the stream refused bytes, such as a closed pipe.
    pub(crate) fn finish(self) -> std::io::Result<()> {
        self.ended.store(true, Ordering::SeqCst);
        self.thread
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("the relay of output panicked")))
    }
}
