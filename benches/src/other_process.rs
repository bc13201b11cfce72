//! The other process of what is handed from one to another: this program, started once more.
//!
//! Its standard input is a SEQPACKET socket. It ends when the other end of that is closed, and that
//! happens in whatever way this process ends.

mod socket;

use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::floor::{Exported, Plane};
use crate::{By, Size, exit_code, floor, library};

pub use socket::Socket;

/// Says which side the process is to be the other half of.
const VARIABLE: &str = "DMASHARE_BENCH_OTHER_PROCESS";
/// So long it may take to end after its socket is closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is started as the other process, if not this program.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Names a program that is to be started as the other process: one whose main function begins with
/// [`serve_if_asked`]. A test's own main function does not.
pub fn start_as_other_process(program: PathBuf) {
    // The first one stays: all tests of a program name the same.
    let _ = PROGRAM.set(program);
}

/// Does what the other process does if this is one, and gives its exit status. To be called before
/// anything else.
pub fn serve_if_asked() -> Option<ExitCode> {
    let by = env::var(VARIABLE).ok()?;
    Some(exit_code(serve(&by)))
}

/// An image's memory, as it is told to the other process; the descriptors of some go along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedMemory {
    width: u32,
    height: u32,
    /// The modifier of all.
    pub modifier: u64,
    /// Where the planes are in each.
    pub planes: Vec<Plane>,
}

impl SharedMemory {
    /// The size of the images.
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

/// What the other process does with each frame.
pub trait Answer {
    /// Submits a reading of the frame that begins after `drawn` (`None`: at once), and gives the
    /// sync_file that signals with its end (`None`: it is over).
    ///
    /// # Errors
    /// When that fails.
    fn frame(&mut self, index: usize, drawn: Option<OwnedFd>) -> Result<Option<OwnedFd>>;

    /// How many bytes this process has copied in order to share.
    fn bytes_copied(&self) -> u64;
}

/// The other process, seen from this one. It ends when this is dropped.
#[derive(Debug)]
pub struct OtherProcess {
    // Taken when it is dropped: the other process sees its end.
    socket: Option<Socket>,
    child: Child,
}

impl OtherProcess {
    /// Starts it for this side, sends it the images, and waits until it has imported them.
    ///
    /// # Errors
    /// It cannot be started, or says what it cannot do.
    pub fn start(by: By, size: Size, exported: &[Exported]) -> Result<Self> {
        let program = match PROGRAM.get() {
            Some(program) => program.clone(),
            None => env::current_exe().context("the program has no path")?,
        };
        let (ours, theirs) = Socket::pair()?;
        let child = Command::new(&program)
            .env(VARIABLE, by.to_string())
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let this = Self {
            socket: Some(ours),
            child,
        };
        let first = exported.first().context("there is no memory to share")?;
        let memory = SharedMemory {
            width: size.width,
            height: size.height,
            modifier: first.modifier,
            planes: first.planes.clone(),
        };
        let fds: Vec<_> = exported.iter().map(|image| image.fd.as_fd()).collect();
        this.socket()?.share(&memory, &fds)?;
        Ok(this)
    }

    fn socket(&self) -> Result<&Socket> {
        self.socket.as_ref().context("the other process has ended")
    }

    /// Gives it a frame that is there when `drawn` has signalled; returns the sync_file that signals
    /// when it has read it (`None`: it has).
    ///
    /// # Errors
    /// What the other process says, or that it does not answer.
    pub fn hand(&self, index: usize, drawn: Option<BorrowedFd<'_>>) -> Result<Option<OwnedFd>> {
        self.socket()?.hand(index, drawn)
    }

    /// How many bytes it has copied in order to share.
    ///
    /// # Errors
    /// As [`hand`](Self::hand).
    pub fn bytes_copied(&self) -> Result<u64> {
        self.socket()?.ask_bytes_copied()
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        self.socket = None;
        let closed = Instant::now();
        while closed.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // It hangs. Whether it can be killed makes no difference to what this process can do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the process at the other end of standard input. What fails here is told there.
fn serve(by: &str) -> Result<()> {
    let fd = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("standard input cannot be used")?;
    let socket = Socket::new(fd);
    if let Err(error) = consume(&socket, by) {
        // If that fails, too, the other process has ended and there is nobody to tell.
        let _ = socket.fail(&format!("{error:#}"));
    }
    Ok(())
}

fn consume(socket: &Socket, by: &str) -> Result<()> {
    let Some((memory, fds)) = socket.shared()? else {
        return Ok(());
    };
    ensure!(!fds.is_empty(), "no memory came");
    match by {
        "floor" => floor::handoff::Consumer::serve(socket, &memory, fds),
        "dmashare" => library::Consumer::serve(socket, &memory, fds),
        by => bail!("{VARIABLE} is {by:?}, which has no other process"),
    }
}
