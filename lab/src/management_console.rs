//! User-mode Linux's management console: a socket on the host that reaches the kernel even when
//! nothing runs in the guest any more.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

/// First word of every request.
const MAGIC: u32 = 0xcafe_babe;
/// The protocol's version.
const VERSION: u32 = 2;
/// Size of a request's text.
const TEXT: usize = 512;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks the kernel to log which tasks are blocked and which locks are held.
///
/// # Errors
/// When the kernel does not answer.
pub(crate) fn log_blocked_tasks(state: &Path) -> std::io::Result<()> {
    for command in ["sysrq w", "sysrq d"] {
        request(state, command)?;
    }
    Ok(())
}

/// Sends one command and waits for its answer, which comes when the command is done.
fn request(state: &Path, command: &str) -> std::io::Result<()> {
    let answer_path = state.join("answer");
    let _ = std::fs::remove_file(&answer_path);
    let socket = UnixDatagram::bind(&answer_path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut message = Vec::with_capacity(12 + TEXT);
    let length = u32::try_from(command.len()).unwrap_or_default();
    for word in [MAGIC, VERSION, length] {
        message.extend_from_slice(&word.to_ne_bytes());
    }
    message.extend_from_slice(command.as_bytes());
    message.resize(12 + TEXT, 0);
    socket.send_to(&message, state.join("uml/guest/mconsole"))?;
    socket.recv(&mut [0; 4096])?;
    Ok(())
}
