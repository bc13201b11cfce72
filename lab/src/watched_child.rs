//! Runs a child of a set-up step: its lines are shown to a callback, and it dies with us.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::interrupt;

/// How many of a failed child's last lines go into the error.
const TAIL: usize = 25;

/// Runs `command` to its end and gives each line of its stdout and stderr to `on_line`.
///
/// The child gets its own process group; an interrupt kills the whole group.
///
/// # Errors
/// When the child cannot be started, fails (with its last lines), or we are interrupted.
pub(crate) fn run(command: &mut Command, on_line: impl FnMut(&str)) -> Result<()> {
    watch(command, on_line, true)
}

/// Runs `command` as [`run`] does, but an interrupt is heeded only once the child has ended: for one
/// that leaves the system broken when it is killed.
///
/// # Errors
/// Those of [`run`].
pub(crate) fn run_to_end(command: &mut Command, on_line: impl FnMut(&str)) -> Result<()> {
    watch(command, on_line, false)
}

fn watch(command: &mut Command, mut on_line: impl FnMut(&str), may_be_killed: bool) -> Result<()> {
    let mut told = false;
    let program = command.get_program().to_string_lossy().into_owned();
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("cannot duplicate a pipe")?)
        .stderr(writer)
        .process_group(0);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{program}`"))?;
    // The command keeps the pipe's writing ends; without them the reader sees the child's end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (lines, received) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if lines.send(text).is_err() {
                break;
            }
            line.clear();
        }
    });

    let mut tail = VecDeque::new();
    loop {
        match received.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => {
                on_line(&line);
                if tail.len() == TAIL {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
        if let Err(interrupted) = interrupt::check() {
            if may_be_killed {
                end(&mut child);
                return Err(interrupted.into());
            }
            if !told {
                told = true;
                let _ = writeln!(
                    std::io::stderr(),
                    "lab: interrupted; waiting for `{program}`, which must not be cut short"
                );
            }
        }
    }
    let status = child.wait().context("cannot wait for a child")?;
    interrupt::check()?;
    if !status.success() {
        let tail: Vec<String> = tail.into();
        bail!(
            "`{program}` failed ({status}); its last lines:\n{}",
            tail.join("\n")
        );
    }
    Ok(())
}

/// Asks the child's process group to end, and kills it after two seconds.
fn end(child: &mut Child) {
    let Ok(group) = i32::try_from(child.id()).map(Pid::from_raw) else {
        return;
    };
    let _ = killpg(group, Signal::SIGTERM);
    for _ in 0..40 {
        if matches!(child.try_wait(), Ok(Some(_))) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_seen_and_a_failure_shows_the_last_ones() {
        for run in [
            |command: &mut Command, lines: &mut Vec<String>| {
                run(command, |line| lines.push(line.to_owned()))
            },
            |command: &mut Command, lines: &mut Vec<String>| {
                run_to_end(command, |line| lines.push(line.to_owned()))
            },
        ] {
            let mut lines = Vec::new();
            let mut command = Command::new("sh");
            command.args(["-c", "echo one; echo two >&2; exit 3"]);
            let error = run(&mut command, &mut lines).unwrap_err().to_string();
            assert_eq!(lines, ["one", "two"]);
            assert!(error.contains("two"), "{error}");
        }
    }
}
