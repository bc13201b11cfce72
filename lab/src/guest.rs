//! One guest: a user-mode Linux kernel with its own state folder, from start to end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::guest_memory::{self, MemorySize};
use crate::interrupt::{self, Interrupted};
use crate::kernel_log::KernelLog;
use crate::output_relay::OutputRelay;
use crate::request::{
    CommandEnd, LAYER_SETTINGS, REQUEST, Request, STATUS, STDERR, STDIN, STDOUT, VALIDATION,
};
use crate::setup::Built;
use crate::{management_console, mountable, one_processor, stdin_pieces, validation};

/// Longest time between the agent's answer and the kernel's end.
const POWER_OFF: Duration = Duration::from_secs(10);

/// What a guest is made of and what it runs.
#[derive(Debug)]
pub(crate) struct Guest {
    /// What the agent is asked to run.
    pub(crate) request: Request,
    /// Host folders mounted at the same paths.
    pub(crate) mounts: Vec<PathBuf>,
    /// Memory.
    pub(crate) memory: MemorySize,
    /// Processors.
    pub(crate) cpus: u32,
    /// When to give up.
    pub(crate) time_limit: Option<Duration>,
    /// Where the kernel log is copied to.
    pub(crate) kernel_log: Option<PathBuf>,
}

/// How a guest ended.
#[derive(Debug)]
pub(crate) enum GuestEnd {
    /// The command ended.
    Command(CommandEnd),
    /// The command ended, but the kernel did not when it was switched off.
    StillOn(CommandEnd),
    /// The time limit was reached.
    TimedOut,
    /// We were interrupted by a signal.
    Interrupted(Interrupted),
    /// Nobody reads our output any more.
    OutputClosed,
    /// The kernel ended before the command.
    KernelEnded(String),
}

/// What a guest left behind.
#[derive(Debug)]
pub(crate) struct GuestReport {
    /// How it ended.
    pub(crate) end: GuestEnd,
    /// The whole kernel log.
    pub(crate) kernel_log: Vec<String>,
    /// What the Vulkan validation layers said.
    pub(crate) validation: String,
}

impl Guest {
    /// Runs the guest to its end; the command's output goes to `stdout` and `stderr` as it comes,
    /// our standard input to the command. Leaves no process and no file, whatever happens.
    ///
    /// # Errors
    /// When the guest cannot be prepared or started. What happens inside is in the report.
    pub(crate) fn run(
        self,
        built: &Built,
        stdout: impl Write + Send + 'static,
        stderr: impl Write + Send + 'static,
    ) -> Result<GuestReport> {
        let memory = guest_memory::folder(self.memory)?;
        let state = self.prepare_state()?;
        let folder = state.path();
        let copy = match &self.kernel_log {
            Some(path) => Some(
                File::create(path)
                    .with_context(|| format!("cannot write the kernel log {}", path.display()))?,
            ),
            None => None,
        };
        let relays = [
            OutputRelay::start(&folder.join(STDOUT), stdout)?,
            OutputRelay::start(&folder.join(STDERR), stderr)?,
        ];
        let mut command = self.kernel_command(built, folder, &memory);
        let mut kernel = Kernel::start(&mut command, self.cpus == 1)?;
        let log = kernel.log(copy);
        send_stdin(
            self.request.terminal.is_some(),
            folder.join(STDIN),
            kernel.console()?,
        );
        let screen = kernel.child.stdout.take().map(show_screen);
        let mut end = self.wait(&mut kernel, folder, &relays)?;
        kernel.kill();
        if let Some(screen) = screen {
            let _ = screen.join();
        }
        let kernel_log = log.finish();
        for relay in relays {
            if relay.finish().is_err() && matches!(end, GuestEnd::Command(_)) {
                end = GuestEnd::OutputClosed;
            }
        }
        let validation = String::from_utf8_lossy(&fs::read(folder.join(VALIDATION))?).into_owned();
        state.close().context("cannot remove the state folder")?;
        Ok(GuestReport {
            end,
            kernel_log,
            validation,
        })
    }

    /// Makes the run's own folder with everything that init script and agent read.
    fn prepare_state(&self) -> Result<tempfile::TempDir> {
        let state = tempfile::Builder::new()
            .prefix("dmashare-lab-")
            .tempdir()
            .context("cannot make a folder for the run's state")?;
        let folder = state.path();
        mountable::check(folder).context("set TMPDIR to another folder")?;
        for mount in &self.mounts {
            mountable::check(mount)?;
        }
        let mounts: Vec<String> = self
            .mounts
            .iter()
            .map(|mount| format!("{}\n", mount.display()))
            .collect();
        fs::write(folder.join("init"), include_str!("../guest/init.sh"))?;
        fs::write(folder.join("mounts"), mounts.concat())?;
        fs::write(folder.join(REQUEST), serde_json::to_vec(&self.request)?)?;
        fs::write(folder.join(LAYER_SETTINGS), validation::settings())?;
        File::create_new(folder.join(VALIDATION))?;
        fs::create_dir(folder.join(STDIN))?;
        fs::create_dir(folder.join("uml"))?;
        // The agent is this very program. A link keeps it even when a build replaces it meanwhile;
        // when one already has, the kernel still has the file.
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let agent = folder.join("agent");
        if fs::hard_link(&program, &agent).is_err() {
            fs::copy("/proc/self/exe", &agent)
                .with_context(|| format!("cannot copy {}", program.display()))?;
        }
        Ok(state)
    }

    /// The kernel's process: its arguments are the kernel's command line.
    fn kernel_command(&self, built: &Built, state: &Path, memory: &Path) -> Command {
        let mut kernel = Command::new(built.kernel.join("linux"));
        kernel
            .arg(format!("mem={}", self.memory.kernel_value()))
            .arg(format!("ncpus={}", self.cpus))
            .args(["seccomp=on", "root=/dev/root", "rootfstype=hostfs", "ro"])
            .arg(format!("rootflags={}", built.root.display()))
            // Everything the kernel says goes to its standard error; the second console is the
            // channel to the command.
            .args(["quiet", "loglevel=7"])
            .args(["con=null", "con0=null,fd:2"])
            .arg(if self.request.terminal.is_some() {
                "con1=fd:0,fd:1"
            } else {
                "con1=fd:0,null"
            })
            .arg("vkms.create_default_dev=0")
            .arg(format!("uml_dir={}/", state.join("uml").display()))
            .args(["umid=guest", "init=/bin/sh", "--", "-c"])
            .arg(format!(
                "\"mount -t hostfs -o hostfs={} none /mnt && exec sh /mnt/init\"",
                state.display()
            ))
            .env_clear()
            .env("TMPDIR", memory)
            .current_dir("/")
            // Not the caller's terminal itself: the kernel would change its mode and be stopped.
            .stdout(if self.request.terminal.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            });
        kernel
    }

    /// Waits for the guest's end or a reason to end it.
    fn wait(&self, kernel: &mut Kernel, state: &Path, relays: &[OutputRelay]) -> Result<GuestEnd> {
        let started = Instant::now();
        let status_file = state.join(STATUS);
        let mut answered: Option<(CommandEnd, Instant)> = None;
        loop {
            let ended = kernel
                .child
                .try_wait()
                .context("cannot wait for the kernel")?;
            if answered.is_none() {
                // Unreadable until it has been written whole.
                answered = fs::read(&status_file)
                    .ok()
                    .and_then(|text| serde_json::from_slice(&text).ok())
                    .map(|end| (end, Instant::now()));
            }
            match (ended, &answered) {
                (Some(_), Some((end, _))) => return Ok(GuestEnd::Command(end.clone())),
                (Some(status), None) => return Ok(GuestEnd::KernelEnded(status.to_string())),
                (None, Some((end, at))) if at.elapsed() > POWER_OFF => {
                    // As below, a kernel that answers no more has said all that it will.
                    let _ = management_console::log_blocked_tasks(state);
                    return Ok(GuestEnd::StillOn(end.clone()));
                }
                (None, _) => {}
            }
            if let Err(interrupted) = interrupt::check() {
                return Ok(GuestEnd::Interrupted(interrupted));
            }
            if answered.is_none() {
                if self
                    .time_limit
                    .is_some_and(|limit| started.elapsed() >= limit)
                {
                    // A kernel that answers no more has said all that it will.
                    let _ = management_console::log_blocked_tasks(state);
                    return Ok(GuestEnd::TimedOut);
                }
                if relays.iter().any(OutputRelay::is_broken) {
                    return Ok(GuestEnd::OutputClosed);
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The kernel's process; killed with everything that it started when dropped.
///
/// It owns the writing end of the guest's second console: the kernel crashes when a console's
/// input ends while it is open.
struct Kernel {
    child: Child,
}

impl Kernel {
    fn start(command: &mut Command, on_one_processor: bool) -> Result<Self> {
        // Without a process group of its own, Ctrl-C would reach the kernel before us.
        let parent = nix::unistd::getpid();
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let processor = match on_one_processor {
            // Without it, the guest is only slower.
            true => one_processor::here().ok(),
            false => None,
        };
        // SAFETY: the closure runs between fork and exec and calls only prctl, getppid and
        // sched_setaffinity, which are async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                // The kernel dies even when this program is killed without a chance to clean up.
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                if let Some(processor) = &processor {
                    let _ = one_processor::stay_on(processor);
                }
                if nix::unistd::getppid() == parent {
                    Ok(())
                } else {
                    Err(std::io::Error::other("the lab has ended"))
                }
            });
        }
        let child = command.spawn().with_context(|| {
            format!(
                "cannot start the kernel {}",
                command.get_program().display()
            )
        })?;
        Ok(Self { child })
    }

    /// A second handle on the writing end of the guest's second console.
    fn console(&self) -> Result<File> {
        let console = self
            .child
            .stdin
            .as_ref()
            .context("the kernel has no console")?;
        let console = console.as_fd().try_clone_to_owned();
        Ok(console.context("cannot duplicate the console")?.into())
    }

    fn log(&mut self, copy: Option<File>) -> KernelLog {
        match self.child.stderr.take() {
            Some(pipe) => KernelLog::follow(pipe, copy),
            None => KernelLog::follow(std::io::empty(), copy),
        }
    }

    /// Kills the kernel and its processes, all of one process group, and waits for its end.
    fn kill(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            // Also after the kernel's own end: nothing of the group may stay.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        // wait() would first close the console, see above.
        let console = self.child.stdin.take();
        let _ = self.child.wait();
        drop(console);
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends our standard input to the guest: as it is to a terminal, else in pieces. The thread ends
/// with the program: it may be waiting for input that never comes.
fn send_stdin(terminal: bool, pieces: PathBuf, mut console: File) {
    std::thread::spawn(move || {
        if terminal {
            // A shell that has ended reads no more.
            let _ = std::io::copy(&mut std::io::stdin(), &mut console);
        } else {
            stdin_pieces::send(std::io::stdin(), &pieces);
        }
    });
}

/// Shows what the guest's terminal shows, as it comes, until the kernel has ended.
fn show_screen(mut screen: ChildStdout) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut piece) {
            let mut terminal = std::io::stdout().lock();
            let shown = terminal.write_all(piece.get(..length).unwrap_or_default());
            // A terminal that has gone away ends the run by its hang-up signal.
            if shown.and_then(|()| terminal.flush()).is_err() {
                return;
            }
        }
    })
}
