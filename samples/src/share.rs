//! The program `share`: one device draws, another reads the same memory, and the other way round.

mod message;
mod party;
mod serve;
mod share_options;
mod share_report;
mod socket;

use std::env;
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use dmashare_vk::{Instance, InstanceOptions};

use crate::leaks::Baseline;
use crate::program::Outcome;
use crate::progress::Progress;
use crate::run_report;
use message::{Message, Shared};
use party::{Party, shared_modifiers, sync_file};
pub use share_options::Options;
use share_report::Report;
use socket::Socket;

/// Runs the program.
///
/// # Errors
/// The devices have nothing in common, or one of them or the other process failed.
pub fn run(options: &Options) -> Result<Outcome> {
    if options.serve {
        serve::serve(options)?;
        return Ok(Outcome {
            output: String::new(),
            status: 0,
        });
    }
    run_report::run(options.json, |baseline| share(options, baseline))
}

fn share(options: &Options, baseline: &mut Baseline) -> Result<Report> {
    let instance = Instance::new(&InstanceOptions::new("share"))?;
    let exporter = instance.select(&options.device)?;
    let importer = instance.select(options.importer())?;
    let modifiers = shared_modifiers(&exporter, &importer, options.format)?;
    let name = format!("share {} buffer", std::process::id());
    baseline.made_named(&name);
    let ours = Party::exporter(&exporter, &name, options.extent, options.format, &modifiers)?;
    let dmabuf = ours.shared().backing().dmabuf().clone();
    let mut report = Report {
        exporter: exporter.name().to_owned(),
        importer: importer.name().to_owned(),
        process: options.process,
        format: options.format.to_string(),
        modifier: dmabuf.layout().modifier().to_string(),
        extent: [options.extent.width, options.extent.height],
        frames: options.frames,
        inode: dmabuf.id().inode(),
        ..Report::default()
    };
    drop(dmabuf);
    if options.process {
        let mut other = OtherProcess::start(options)?;
        let shared = other.share_with(ours, options.frames, &mut report);
        let ended = other.end();
        baseline.left_elsewhere(shared?);
        ended?;
    } else {
        let theirs = Party::importer(&importer, ours.shared())
            .with_context(|| format!("{} cannot import the memory", importer.name()))?;
        share_with_device(ours, theirs, options.frames, &mut report)?;
    }
    Ok(report)
}

/// Both devices are in this process: the buffer's reservation orders their work.
fn share_with_device(
    mut ours: Party,
    mut theirs: Party,
    frames: u32,
    report: &mut Report,
) -> Result<()> {
    let mut progress = Progress::new(u64::from(frames), "frames");
    for frame in 0..frames {
        ours.draw(2 * frame)?;
        report.add("the importer", 2 * frame, theirs.check(2 * frame)?);
        theirs.draw(2 * frame + 1)?;
        report.add("the exporter", 2 * frame + 1, ours.check(2 * frame + 1)?);
        progress.step();
    }
    for party in [theirs, ours] {
        let (copied, read_back) = party.close()?;
        report.bytes_copied += copied;
        report.bytes_read_back += read_back;
    }
    Ok(())
}

/// The process that imports, and our end of the socket to it.
struct OtherProcess {
    socket: Socket,
    child: Child,
}

impl OtherProcess {
    fn start(options: &Options) -> Result<Self> {
        let (socket, theirs) = Socket::pair()?;
        let program = env::current_exe().context("this program cannot find itself")?;
        let child = Command::new(&program)
            .arg("--serve")
            .arg(format!("--importer={}", options.importer()))
            .stdin(theirs)
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self { socket, child })
    }

    /// Returns the files that the other process has left open.
    fn share_with(
        &mut self,
        mut ours: Party,
        frames: u32,
        report: &mut Report,
    ) -> Result<Vec<String>> {
        // The guard holds the buffer in its place while the other process has its descriptors.
        let export = ours.shared().export("share --process")?;
        let (shared, fds) = Shared::describe(&ours.shared().desc().name, export.dmabuf());
        self.socket.send(&Message::Share(shared), &fds)?;
        match self.socket.receive()?.0 {
            Message::Attached { device } => report.importer = device,
            other => bail!("expected that the memory is attached, got {other:?}"),
        }
        let mut progress = Progress::new(u64::from(frames), "frames");
        for frame in 0..frames {
            self.check_elsewhere(&mut ours, 2 * frame, report)?;
            self.draw_elsewhere(&mut ours, 2 * frame + 1, report)?;
            progress.step();
        }
        self.socket.send(&Message::Close, &[])?;
        let (closed, _) = self.socket.receive()?;
        let Message::Closed {
            bytes_copied,
            bytes_read_back,
            files_left,
        } = closed
        else {
            bail!("expected that everything is closed, got {closed:?}");
        };
        drop(export);
        let (copied, read_back) = ours.close()?;
        report.bytes_copied += copied + bytes_copied;
        report.bytes_read_back += read_back + bytes_read_back;
        Ok(files_left)
    }

    fn check_elsewhere(&self, ours: &mut Party, frame: u32, report: &mut Report) -> Result<()> {
        let fence = sync_file(&ours.draw(frame)?)?;
        let fds: Vec<_> = fence.iter().map(|file| file.as_fd()).collect();
        report.fences_sent += u32::from(!fds.is_empty());
        self.socket.send(&Message::Drawn { frame }, &fds)?;
        match self.socket.receive()?.0 {
            Message::Checked(comparison) => report.add("the importer", frame, comparison),
            other => bail!("expected the result of a check, got {other:?}"),
        }
        Ok(())
    }

    fn draw_elsewhere(&self, ours: &mut Party, frame: u32, report: &mut Report) -> Result<()> {
        self.socket.send(&Message::Draw { frame }, &[])?;
        let (message, fds) = self.socket.receive()?;
        ensure!(
            message == Message::Drawn { frame },
            "expected frame {frame}, got {message:?}"
        );
        serve::drawn(ours, fds)?;
        report.add("the exporter", frame, ours.check(frame)?);
        Ok(())
    }

    /// Closes the socket, on which the other process ends, and waits for that.
    fn end(self) -> Result<()> {
        let Self { socket, mut child } = self;
        drop(socket);
        let status = child
            .wait()
            .context("the other process cannot be waited for")?;
        ensure!(status.success(), "the other process ended with {status}");
        Ok(())
    }
}
