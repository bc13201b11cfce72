//! Interpretation of the kernel's error for a commit.

use std::io;
use std::sync::atomic::Ordering;

use nix::libc;

use crate::card::state::State;
use crate::commit::attempt::{Attempt, Outcome};
use crate::device::master;
use crate::error::CommitError;
use crate::kms::output::OutputId;

impl Attempt<'_> {
    /// Maps the kernel's error to a [`CommitError`], or to the outcome that makes the caller retry.
    pub(crate) fn failed(&self, source: io::Error) -> Result<Outcome, CommitError> {
        let names = |busy: &dyn Fn(OutputId) -> bool| -> Vec<String> {
            let outputs = self.commit.outputs.iter().map(|output| &output.output);
            outputs
                .filter(|output| busy(output.id()))
                .map(|output| output.name().to_owned())
                .collect()
        };
        match source.raw_os_error() {
            Some(libc::EBUSY) => {
                self.inner.statistics.busy.fetch_add(1, Ordering::Relaxed);
                let pending = || self.state.crtcs.iter().flat_map(|crtc| &crtc.pending);
                let mut busy = names(&|id| pending().any(|(_, output)| *output == id));
                if busy.is_empty() {
                    busy = names(&|_| true);
                }
                Err(CommitError::Busy { outputs: busy })
            }
            Some(libc::EPERM) if self.fences.any() => Ok(Outcome::RefusesInFences),
            Some(libc::EACCES | libc::EPERM) => {
                Err(master::no_master(&self.inner.device, source).into())
            }
            Some(libc::EINVAL | libc::ERANGE | libc::ENOSPC | libc::ENOENT | libc::EOPNOTSUPP) => {
                // The driver reports the same error if the display was unplugged in the meantime.
                let gone = self.commit.outputs.iter().find(|output| {
                    let status = output.output.connector().status(&self.inner.device, false);
                    output.active && status.is_ok_and(|status| !status.connected)
                });
                Err(match gone {
                    Some(output) => CommitError::Disconnected {
                        output: output.output.name().to_owned(),
                    },
                    None => CommitError::Rejected {
                        card: self.inner.device.name().to_owned(),
                        configuration: describe(self.state),
                        source,
                    },
                })
            }
            _ => Err(self.inner.device.error("MODE_ATOMIC", source).into()),
        }
    }
}

/// Describes the rejected configuration for the error message.
fn describe(state: &State) -> String {
    let mut text = String::new();
    for crtc in state.next.crtcs.iter().flatten() {
        let name = state
            .connectors
            .iter()
            .find(|known| known.connector.id == crtc.connector)
            .map_or("?", |known| &*known.connector.name);
        text += &format!("{name} {}", crtc.mode);
        if let Some(capture) = crtc.capture {
            text += &format!(" captured as {} {}", capture.format, capture.extent);
        }
        text += "; ";
    }
    for (index, plane) in state.next.planes.iter().enumerate() {
        if let Some(plane) = plane {
            text += &format!("plane {index}: {plane}; ");
        }
    }
    text.truncate(text.trim_end_matches("; ").len());
    text
}
