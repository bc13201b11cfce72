//! The other process of `share --process`: imports what it is sent, checks, draws.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, Result, bail};
use dmashare::SyncFile;
use dmashare_vk::{Instance, InstanceOptions};

use crate::leaks::Baseline;
use crate::program;
use crate::share::message::Message;
use crate::share::party::{Party, sync_file};
use crate::share::share_options::Options;
use crate::share::socket::Socket;

/// Serves the process at the other end of standard input until it asks to close. Errors are sent there.
pub(super) fn serve(options: &Options) -> Result<()> {
    let fd = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("standard input cannot be used")?;
    let socket = Socket::new(fd)?;
    if let Err(error) = answer(&socket, options) {
        let error = program::message(&error);
        socket.send(&Message::Failed { error }, &[])?;
    }
    Ok(())
}

fn answer(socket: &Socket, options: &Options) -> Result<()> {
    let baseline = Baseline::take()?;
    let (message, fds) = socket.receive()?;
    let Message::Share(shared) = message else {
        bail!("expected the memory, got {message:?}");
    };
    let dmabuf = shared.open(&fds)?;
    drop(fds);
    let instance = Instance::new(&InstanceOptions::new("share"))?;
    let physical = instance.select(options.importer())?;
    let mut party = Party::importer_of(&physical, &shared.name, dmabuf)
        .with_context(|| format!("{} cannot import the memory", physical.name()))?;
    let device = physical.name().to_owned();
    socket.send(&Message::Attached { device }, &[])?;
    loop {
        match socket.receive()? {
            (Message::Drawn { frame }, fds) => {
                drawn(&party, fds)?;
                let checked = Message::Checked(party.check(frame)?);
                socket.send(&checked, &[])?;
            }
            (Message::Draw { frame }, _) => {
                let fence = sync_file(&party.draw(frame)?)?;
                let fds: Vec<_> = fence.iter().map(|file| file.as_fd()).collect();
                socket.send(&Message::Drawn { frame }, &fds)?;
            }
            (Message::Close, _) => break,
            (message, _) => bail!("unexpected: {message:?}"),
        }
    }
    let (bytes_copied, bytes_read_back) = party.close()?;
    drop((physical, instance));
    let closed = Message::Closed {
        bytes_copied,
        bytes_read_back,
        files_left: baseline.compare()?.files_left,
    };
    socket.send(&closed, &[])
}

/// Takes over the fence of a frame that the other process drew. None came: the frame is complete.
pub(super) fn drawn(party: &Party, fds: Vec<OwnedFd>) -> Result<()> {
    for fd in fds {
        let fence = SyncFile::new(fd).context("the fence of the other process cannot be used")?;
        party.drawn_elsewhere(fence)?;
    }
    Ok(())
}
