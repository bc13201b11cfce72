//! The guest's first process once the init script is done: runs the command, carries its streams
//! to the state folder, and switches the guest off.
//!
//! hostfs writes to the host when a file is closed, not when it is written: so each piece of
//! output opens, writes and closes. That makes output live and exact without waiting for a disk.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::request::{
    CHANNEL, CommandEnd, GUEST_STATE, REQUEST, Request, STATUS, STDERR, STDIN, STDOUT, VALIDATION,
    VALIDATION_PIPE,
};
use crate::{guest_displays, stdin_pieces};

/// Runs the request of the state folder and switches the guest off; does not return if it could.
///
/// # Errors
/// When the state folder cannot be read or written: the guest then panics, which the host reports.
pub(crate) fn run() -> Result<i32> {
    let state = Path::new(GUEST_STATE);
    let request: Request = serde_json::from_slice(&fs::read(state.join(REQUEST))?)?;
    guest_displays::make(request.displays)?;
    let validation = request.validate.then(|| collect_validation(state));
    let end = if request.terminal.is_some() {
        run_on_terminal(&request)?
    } else {
        run_on_files(&request, state)?
    };
    if let Some(collector) = validation {
        collector?.finish()?;
    }
    let mut status = File::create(state.join(STATUS))?;
    status.write_all(&serde_json::to_vec(&end)?)?;
    drop(status);
    nix::unistd::sync();
    fs::write("/proc/sysrq-trigger", "o").context("cannot switch the guest off")?;
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The command of `request`, its streams not yet set.
fn command(request: &Request) -> Command {
    let program = request.command.first().cloned().unwrap_or_default();
    let mut command = Command::new(program);
    command
        .args(request.command.iter().skip(1))
        .current_dir(&request.folder)
        .env_clear()
        .envs(&request.environment);
    command
}

/// Runs the command with pipes whose content goes to and comes from the host.
fn run_on_files(request: &Request, state: &Path) -> Result<CommandEnd> {
    let mut command = command(request);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(not_started(request, &error)),
    };
    let relays = [
        child
            .stdout
            .take()
            .map(|pipe| relay(pipe, state.join(STDOUT))),
        child
            .stderr
            .take()
            .map(|pipe| relay(pipe, state.join(STDERR))),
    ];
    if let Some(pipe) = child.stdin.take() {
        // Not joined: it ends with the guest, because the command need not read its input.
        let pieces = state.join(STDIN);
        std::thread::spawn(move || stdin_pieces::receive(&pieces, pipe));
    }
    let end = wait(&mut child)?;
    for relay in relays.into_iter().flatten() {
        relay
            .join()
            .map_err(|_| anyhow::anyhow!("a relay of output panicked"))??;
    }
    Ok(end)
}

/// Runs the command as leader of a session on the guest's second console.
fn run_on_terminal(request: &Request) -> Result<CommandEnd> {
    let console = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(CHANNEL)
            .with_context(|| format!("cannot open {CHANNEL}"))
    };
    if let Some(size) = request.terminal {
        Command::new("stty")
            .args(["sane", "rows", &size.rows.to_string()])
            .args(["cols", &size.columns.to_string()])
            .stdin(console()?)
            .status()
            .context("cannot run stty")?;
    }
    let mut wrapped = Command::new("setsid");
    // --ctty makes the console the shell's controlling terminal: job control and Ctrl-C work.
    wrapped
        .args(["--ctty", "--wait"])
        .args(&request.command)
        .current_dir(&request.folder)
        .env_clear()
        .envs(&request.environment)
        .stdin(console()?)
        .stdout(console()?)
        .stderr(console()?);
    match wrapped.spawn() {
        Ok(mut child) => wait(&mut child),
        Err(error) => Ok(not_started(request, &error)),
    }
}

/// The end of a command that could not be started, with the exit status that a shell gives.
fn not_started(request: &Request, error: &std::io::Error) -> CommandEnd {
    let program = request.command.first().cloned().unwrap_or_default();
    let status = if error.kind() == ErrorKind::NotFound {
        127
    } else {
        126
    };
    CommandEnd::NotStarted(
        status,
        format!(
            "cannot start {} in {}: {error}",
            program.display(),
            request.folder.display()
        ),
    )
}

/// Waits for the command; reaps the orphans that the first process inherits meanwhile; then kills
/// whatever the command left running, so that its pipes end.
fn wait(child: &mut Child) -> Result<CommandEnd> {
    let command = Pid::from_raw(i32::try_from(child.id())?);
    loop {
        // Look without reaping: the command itself is reaped through its handle.
        let seen = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        match seen.pid() {
            Some(pid) if pid == command => break,
            Some(orphan) => {
                let _: WaitStatus = waitpid(orphan, None)?;
            }
            None => {}
        }
    }
    let status = child.wait()?;
    // Every process but this one. Fails when there is none left.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => CommandEnd::Exited(code),
        (None, Some(signal)) => CommandEnd::Signalled(signal),
        (None, None) => CommandEnd::Exited(0),
    })
}

/// Copies `pipe` to the host's file `path` until the pipe ends.
fn relay(mut pipe: impl Read + Send + 'static, path: PathBuf) -> JoinHandle<Result<()>> {
    std::thread::spawn(move || {
        let mut piece = vec![0; 1 << 16];
        let mut position = 0;
        loop {
            let length = match pipe.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let file = OpenOptions::new().write(true).open(&path)?;
            file.write_all_at(piece.get(..length).unwrap_or_default(), position)?;
            position += u64::try_from(length)?;
        }
    })
}

/// Collects what the validation layers of all processes write into one pipe.
struct ValidationCollector {
    /// Keeps the pipe from ending while no process has it open.
    writer: File,
    relay: JoinHandle<Result<()>>,
}

/// Makes the pipe for the layers and starts to copy what comes through it.
fn collect_validation(state: &Path) -> Result<ValidationCollector> {
    nix::unistd::mkfifo(VALIDATION_PIPE, Mode::from_bits_truncate(0o666))?;
    let open = |read, write| {
        OpenOptions::new()
            .read(read)
            .write(write)
            .open(VALIDATION_PIPE)
    };
    // Opening one end of a pipe waits for the other end, opening both does not.
    let both = open(true, true)?;
    let reader = open(true, false)?;
    let writer = open(false, true)?;
    drop(both);
    let relay = relay(reader, state.join(VALIDATION));
    Ok(ValidationCollector { writer, relay })
}

impl ValidationCollector {
    /// Waits until everything written so far has reached the host; every other process has ended.
    fn finish(self) -> Result<()> {
        drop(self.writer);
        self.relay
            .join()
            .map_err(|_| anyhow::anyhow!("the relay of validation messages panicked"))?
    }
}
