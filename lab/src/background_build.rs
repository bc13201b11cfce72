//! Building what is needed later while something else runs.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A build in the background, with the lowest priority; ended when dropped. Nobody depends on it: the
/// build that needs the results makes what is missing, and says what fails.
#[derive(Debug)]
pub(crate) struct BackgroundBuild(Option<Child>);

impl BackgroundBuild {
    /// Starts `cargo`, quietly; it waits for builds that run in the same folder.
    pub(crate) fn start(cargo: &Command) -> Self {
        let mut nice = Command::new("nice");
        nice.args(["-n", "19"]).arg(cargo.get_program());
        nice.args(cargo.get_args());
        if let Some(folder) = cargo.get_current_dir() {
            nice.current_dir(folder);
        }
        for (name, value) in cargo.get_envs() {
            match value {
                Some(value) => nice.env(name, value),
                None => nice.env_remove(name),
            };
        }
        nice.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        Self(nice.spawn().ok())
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.wait();
        }
    }
}

impl Drop for BackgroundBuild {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else {
            return;
        };
        if let Ok(group) = i32::try_from(child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
        }
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn it_runs_to_its_end_when_it_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("touch");
        command.current_dir(folder.path()).arg("built");
        BackgroundBuild::start(&command).wait();
        assert!(folder.path().join("built").exists());
    }

    #[test]
    fn it_ends_when_it_is_dropped() {
        let started = Instant::now();
        let mut command = Command::new("sleep");
        command.arg("60");
        drop(BackgroundBuild::start(&command));
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
