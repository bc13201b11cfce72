//! Runs a child on our own streams; an interrupt reaches it and is waited for, so that guests that
//! it started are cleaned up.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::interrupt;

/// How long an interrupted child may clean up.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// Runs `command` to its end, without standard input.
///
/// # Errors
/// When it cannot be started, or we are interrupted; the child's group has ended by then.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            return Ok(status);
        }
        if let Err(interrupted) = interrupt::check() {
            end([&mut child]);
            return Err(interrupted.into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks children, each of a process group of its own, to end, waits until their groups have, and
/// kills those that have not after a while.
pub(crate) fn end<'a>(children: impl IntoIterator<Item = &'a mut Child>) {
    let mut children: Vec<(&mut Child, Pid)> = children
        .into_iter()
        .filter_map(|child| {
            let group = Pid::from_raw(i32::try_from(child.id()).ok()?);
            Some((child, group))
        })
        .collect();
    for (_, group) in &children {
        let _ = killpg(*group, Signal::SIGTERM);
    }
    let asked = Instant::now();
    for (child, group) in &mut children {
        // The whole group: cargo ends at once, the runners below it need a moment.
        while killpg(*group, None).is_ok() && asked.elapsed() < CLEAN_UP {
            let _ = child.try_wait();
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = killpg(*group, Signal::SIGKILL);
        let _ = child.wait();
    }
}
