//! The fences that a commit waits for: those that the application specifies, and those in the
//! buffers' reservations.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use dmashare::{Fence, FenceError, FenceSet, FenceStatus, SyncFile};
use smallvec::SmallVec;

use crate::commit::Commit;
use crate::error::CommitError;

/// CPU wait limit for drivers that do not accept in-fences.
const CPU_WAIT: Duration = Duration::from_secs(1);

/// The in-fences of a commit, as sync_files. They are exported before any reservation is locked,
/// because the export may block in a driver (invariant I16).
#[derive(Debug, Default)]
pub(crate) struct InFences {
    /// The fences that the display waits for.
    covered: FenceSet,
    /// The application's fence of each plane of the commit, in order.
    explicit: SmallVec<[Explicit; 4]>,
    /// All other fences, set on the first plane. A commit waits for the fences of all its planes.
    merged: Option<SyncFile>,
    /// The driver does not accept in-fences, so the commit waits on the CPU.
    wait_on_cpu: bool,
}

#[derive(Debug)]
enum Explicit {
    /// No fence, or a fence that has signalled.
    None,
    /// The application's own sync_file, passed to the kernel as it is.
    Shared(Fence),
    Exported(SyncFile),
}

impl InFences {
    /// Collects the fences that the application specified.
    pub(crate) fn new(commit: &Commit, wait_on_cpu: bool) -> Result<Self, CommitError> {
        let mut this = Self {
            wait_on_cpu,
            ..Self::default()
        };
        for plane in commit.planes() {
            let explicit = match &plane.fence {
                None => Explicit::None,
                Some(fence) => {
                    this.covered.insert(fence.clone());
                    this.explicit(fence, plane.mapping.buffer_name())?
                }
            };
            this.explicit.push(explicit);
        }
        Ok(this)
    }

    fn explicit(&self, fence: &Fence, buffer: &str) -> Result<Explicit, CommitError> {
        if self.wait_on_cpu {
            wait(fence, buffer)?;
            return Ok(Explicit::None);
        }
        match fence {
            // Reading the status costs a system call, and the kernel checks it anyway.
            Fence::SyncFile(_) => Ok(Explicit::Shared(fence.clone())),
            _ => match fence.status() {
                FenceStatus::Signalled => Ok(Explicit::None),
                FenceStatus::Failed(errno) => Err(FenceError::Failed {
                    producer: fence.producer().to_owned(),
                    source: errno.into(),
                }
                .into()),
                FenceStatus::Pending => export(fence, buffer)
                    .map(|file| file.map_or(Explicit::None, Explicit::Exported)),
            },
        }
    }

    /// Whether the display already waits for `fence`.
    pub(crate) fn covers(&self, fence: &Fence) -> bool {
        self.covered.iter().any(|covered| covered.supersedes(fence))
    }

    /// Makes the display wait for one more fence.
    pub(crate) fn cover(&mut self, fence: &Fence, buffer: &str) -> Result<(), CommitError> {
        let exported = match self.wait_on_cpu {
            true => wait(fence, buffer).map(|()| None),
            false => export(fence, buffer),
        };
        let exported = match exported {
            // The failed fence may belong to a move that was undone. The next round decides with the
            // buffers locked: either the mapping is stale, or a failed writer left the contents.
            Err(_) if matches!(fence.status(), FenceStatus::Failed(_)) => return Ok(()),
            exported => exported?,
        };
        if let Some(file) = exported {
            let others = self
                .merged
                .as_ref()
                .or_else(|| self.explicit.first().and_then(Explicit::sync_file));
            let merged = match others {
                Some(others) => others.merge(&file).map_err(FenceError::from)?,
                None => file,
            };
            self.merged = Some(merged);
        }
        self.covered.insert(fence.clone());
        Ok(())
    }

    /// The value of `IN_FENCE_FD` for the `index`-th plane of the commit.
    pub(crate) fn fd(&self, index: usize) -> Option<i32> {
        let first = self.merged.as_ref().filter(|_| index == 0);
        let file = first.or_else(|| self.explicit.get(index).and_then(Explicit::sync_file))?;
        Some(file.as_fd().as_raw_fd())
    }

    /// Whether the commit has any in-fence.
    pub(crate) fn any(&self) -> bool {
        self.merged.is_some()
            || self
                .explicit
                .iter()
                .any(|fence| fence.sync_file().is_some())
    }
}

impl Explicit {
    fn sync_file(&self) -> Option<&SyncFile> {
        match self {
            Self::Exported(file) => Some(file),
            Self::Shared(Fence::SyncFile(file)) => Some(file),
            Self::Shared(_) | Self::None => None,
        }
    }
}

/// Exports a fence as a sync_file; `None` if the fence has signalled in the meantime.
fn export(fence: &Fence, buffer: &str) -> Result<Option<SyncFile>, CommitError> {
    match fence.export_sync_file() {
        Ok(file) => Ok(Some(file)),
        Err(FenceError::NoSyncFile { .. }) if fence.status().is_over() => Ok(None),
        Err(FenceError::NoSyncFile { producer }) => Err(CommitError::NotReady {
            buffer: buffer.to_owned(),
            producer,
        }),
        Err(error) => Err(error.into()),
    }
}

fn wait(fence: &Fence, buffer: &str) -> Result<(), CommitError> {
    match fence.wait(CPU_WAIT) {
        Err(FenceError::Timeout { producer }) => Err(CommitError::NotReady {
            buffer: buffer.to_owned(),
            producer,
        }),
        result => Ok(result?),
    }
}
