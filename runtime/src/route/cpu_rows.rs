//! Copies by the CPU, row by row.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::access::Access;
use crate::attachment::dynamic::DynamicAttachment;
use crate::box_error::BoxError;
use crate::buffer::submit_error::SubmitError;
use crate::dmabuf::cpu_access_error::CpuAccessError;
use crate::dmabuf::cpu_mapping::CpuMapping;
use crate::fence::error::FenceError;
use crate::fence::set::FenceSet;
use crate::fence::software_timeline::SoftwareTimeline;
use crate::ids::AttachmentId;
use crate::image::buffer_desc::{BufferDesc, Usage};
use crate::image::damage::Damage;
use crate::locks::{Mutex, lock};
use crate::memory::backing::Backing;
use crate::memory::import_error::ImportError;
use crate::memory::importer::Importer;
use crate::route::copy_engine::{Copier, CopyEngine, check_alike};
use crate::route::error::CopyError;
use crate::shared_buffer::SharedBuffer;
use crate::submission::Submission;

const NAME: &str = "CPU rows";
/// Default time that a copy waits for the buffer's writers and the shadow's readers.
const PATIENCE: Duration = Duration::from_secs(5);

/// The CPU as a [`CopyEngine`] for linear images. It works on any machine. It copies on the thread that
/// maps the shadow, after it has waited there for the buffer's writers and the shadow's readers: at
/// most five seconds, or the time given to [`with_patience`](Self::with_patience).
#[derive(Clone, Debug)]
pub struct CpuRows {
    patience: Duration,
}

impl CpuRows {
    /// An engine that waits at most `patience` for the users of the two buffers.
    pub fn with_patience(patience: Duration) -> Self {
        Self { patience }
    }
}

impl Default for CpuRows {
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

impl CopyEngine for CpuRows {
    fn name(&self) -> &str {
        NAME
    }

    fn shadow_usage(&self) -> Usage {
        Usage::CPU_WRITE
    }

    fn connect(
        &self,
        source: &SharedBuffer,
        shadow: &SharedBuffer,
    ) -> Result<Box<dyn Copier>, CopyError> {
        check_alike(source, shadow)?;
        // Mappings carry their generation, so no notification is needed.
        let attach = |buffer: &SharedBuffer, access| {
            let never_read = Arc::new(AtomicBool::new(false));
            buffer.attach_dynamic(&Cpu { access }, never_read)
        };
        let connected = Connected {
            source: attach(source, Access::Read)?,
            shadow: attach(shadow, Access::Write)?,
            buffers: (source.clone(), shadow.clone()),
            turn: Mutex::new(Turn {
                timeline: SoftwareTimeline::new(NAME),
                copies: 0,
            }),
            patience: self.patience,
        };
        // This fails now if a buffer is not linear.
        drop((connected.source.map()?, connected.shadow.map()?));
        Ok(Box::new(connected))
    }
}

/// Held during a copy, so that copies run one at a time.
struct Turn {
    timeline: SoftwareTimeline,
    copies: u64,
}

struct Connected {
    source: DynamicAttachment<Cpu>,
    shadow: DynamicAttachment<Cpu>,
    buffers: (SharedBuffer, SharedBuffer),
    turn: Mutex<Turn>,
    patience: Duration,
}

impl Copier for Connected {
    fn copy(&self, damage: &Damage) -> Result<u64, CopyError> {
        let mut turn = lock(&self.turn);
        let start = Instant::now();
        loop {
            let left = self.patience.saturating_sub(start.elapsed());
            self.buffers.0.wait_ready(Access::Read, left)?;
            self.buffers.1.wait_ready(Access::Write, left)?;
            let (from, to) = (self.source.map()?, self.shadow.map()?);
            let (mut from_memory, mut to_memory) = (lock(from.object()), lock(to.object()));
            let source = from_memory.begin(Access::Read)?;
            let mut target = to_memory.begin(Access::Write)?;
            // The copy is submitted like work on any device: later uses wait for its fence, and
            // this fails if a buffer has moved since it was mapped.
            let submission = match Submission::begin([from.read(), to.write()]) {
                Ok(submission) => submission,
                Err(SubmitError::Stale { .. }) if !left.is_zero() => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let is_ready = submission.visit_waits(|_, _, _| Err(())).is_ok();
            if !is_ready {
                drop(submission);
                if left.is_zero() {
                    return Err(FenceError::Timeout {
                        producer: NAME.to_owned(),
                    }
                    .into());
                }
                continue;
            }
            turn.copies += 1;
            submission.commit(&turn.timeline.fence(turn.copies));
            let copied = source.copy_to(&mut target, damage);
            // This makes the written data visible to devices, so it comes before the fence signals.
            drop((source, target));
            turn.timeline.signal(turn.copies);
            return Ok(copied?);
        }
    }

    fn writer(&self) -> AttachmentId {
        self.shadow.id()
    }
}

/// The CPU as a device that maps buffers.
#[derive(Clone, Debug)]
struct Cpu {
    access: Access,
}

impl Importer for Cpu {
    type Object = Mutex<CpuMapping>;

    fn name(&self) -> &str {
        NAME
    }

    fn import(
        &self,
        _desc: &BufferDesc,
        backing: &Backing,
    ) -> Result<Mutex<CpuMapping>, ImportError> {
        match CpuMapping::new(backing.dmabuf(), self.access) {
            Ok(mapping) => Ok(Mutex::new(mapping)),
            Err(CpuAccessError::DmaBuf(error)) => Err(error.into()),
            Err(error) => Err(ImportError::Refused {
                importer: NAME.to_owned(),
                operation: "mapping rows",
                source: BoxError::from(error),
            }),
        }
    }

    /// Ignores the fences: a copy never outlives its call, so the CPU is done with the mapping.
    fn retire(&self, object: Mutex<CpuMapping>, _after: FenceSet) {
        drop(object);
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").finish_non_exhaustive()
    }
}
