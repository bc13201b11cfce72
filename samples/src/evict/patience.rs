//! Trying again after a failure that passes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dmashare::{AttachError, ExportError, ImportError, MapError, MoveError, PinError, SubmitError};
use dmashare_drm::CommitError;
use dmashare_vk::TransferError;

/// How long something may go on failing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts what was tried again.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Because the buffer had moved meanwhile.
    pub(super) stale: u64,
    /// Because a failure was injected, or there was no room.
    pub(super) failed: u64,
}

enum Passing {
    Stale,
    Failed,
}

/// Whether an error comes from a buffer that moves, or from memory that is short at the moment.
fn passing(error: &anyhow::Error, faults: bool) -> Option<Passing> {
    let mut causes = error.chain();
    causes.find_map(|cause| {
        let submit = |error: &SubmitError| match error {
            SubmitError::Stale { .. } | SubmitError::NotReady { .. } => Some(Passing::Stale),
            _ => None,
        };
        let pin = |error: &PinError| match error {
            PinError::Stale { .. } | PinError::Moving { .. } => Some(Passing::Stale),
            PinError::Move { .. } => Some(Passing::Failed),
            _ => None,
        };
        if let Some(error) = cause.downcast_ref::<SubmitError>() {
            return submit(error);
        }
        // A transparent error does not have the one inside it among its causes.
        match cause.downcast_ref::<TransferError>() {
            Some(TransferError::Submit(error)) => return submit(error),
            // Memory through which the pixels were to be read.
            Some(TransferError::Device { .. }) if faults => return Some(Passing::Failed),
            _ => {}
        }
        if let Some(error) = cause.downcast_ref::<CommitError>() {
            return match error {
                CommitError::Submit(error) => submit(error),
                CommitError::Pin(error) => pin(error),
                CommitError::NotReady { .. } => Some(Passing::Stale),
                _ => None,
            };
        }
        if let Some(error) = cause.downcast_ref::<PinError>() {
            return pin(error);
        }
        match cause.downcast_ref::<MapError>() {
            Some(MapError::Restless { .. }) => return Some(Passing::Stale),
            Some(MapError::Move { .. }) => return Some(Passing::Failed),
            Some(MapError::Import(ImportError::Device { .. })) if faults => {
                return Some(Passing::Failed);
            }
            _ => {}
        }
        match cause.downcast_ref::<AttachError>() {
            Some(AttachError::Moving { .. }) => return Some(Passing::Stale),
            Some(AttachError::Move { .. }) => return Some(Passing::Failed),
            Some(AttachError::Import { .. }) if faults => return Some(Passing::Failed),
            _ => {}
        }
        match cause.downcast_ref::<MoveError>() {
            Some(MoveError::Pinned { .. } | MoveError::NoSpace { .. }) => {
                return Some(Passing::Failed);
            }
            Some(MoveError::Moving { .. }) => return Some(Passing::Stale),
            Some(MoveError::Copy { .. } | MoveError::Export { .. }) if faults => {
                return Some(Passing::Failed);
            }
            _ => {}
        }
        match cause.downcast_ref::<ExportError>() {
            Some(ExportError::Device { .. }) if faults => Some(Passing::Failed),
            _ => None,
        }
    })
}

/// Whether an error is one that users of buffers that move have to live with.
pub(super) fn is_passing(error: &anyhow::Error, faults: bool) -> bool {
    passing(error, faults).is_some()
}

impl Patience {
    /// Tries until it succeeds, or fails for a reason that does not pass. Each `attempt` maps again.
    pub(super) fn again<T>(
        &mut self,
        what: &str,
        faults: bool,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            let error = match attempt() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match passing(&error, faults) {
                Some(_) if begun.elapsed() > PATIENCE => {
                    return Err(error).with_context(|| format!("{what} fails again and again"));
                }
                Some(Passing::Stale) => self.stale += 1,
                Some(Passing::Failed) => self.failed += 1,
                None => return Err(error.context(what.to_owned())),
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}
