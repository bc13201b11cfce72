//! Reports on buffers: attachments, pins, stale mappings and pending fences.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::buffer;
use crate::buffer::BufferInner;
use crate::buffer::state::{Entry, Kind, Status};
use crate::clock::Moment;
use crate::fence::Fence;
use crate::fence::status::FenceStatus;
use crate::fence::usage::FenceUsage;
use crate::ids::AttachmentId;
use crate::locks::Ordering;
use crate::memory::backing::Generation;
use crate::memory::pins::PinReport;
use crate::memory::placement::Placement;
use crate::sync_mode::SyncMode;

/// The kind of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AttachmentKind {
    /// A device that is not notified of moves, and pins the buffer.
    Static,
    /// Descriptors that left the library, and pin the buffer.
    Export,
    /// A device that is notified of moves.
    Dynamic,
}

/// The state of one attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AttachmentReport {
    /// The attachment's identity.
    pub id: AttachmentId,
    /// Name of the importer, or the purpose of an export.
    pub name: String,
    /// Static, export or dynamic.
    pub kind: AttachmentKind,
    /// Number of pins that it holds.
    pub pins: u32,
    /// Generations that it maps; those before the buffer's current one are stale.
    pub mapped: Vec<Generation>,
    /// Whether it was declared dead, because it did not react to a move in time.
    pub dead: bool,
    /// How its uses are synchronized with users that the library does not see.
    pub sync: SyncMode,
    /// Time of the attach.
    pub since: Moment,
}

impl AttachmentReport {
    fn new(entry: &Entry, pins: usize) -> Self {
        Self {
            id: entry.id,
            name: entry.name.to_string(),
            kind: match entry.kind {
                Kind::Static => AttachmentKind::Static,
                Kind::Export => AttachmentKind::Export,
                Kind::Dynamic => AttachmentKind::Dynamic,
            },
            pins: u32::try_from(pins).unwrap_or(u32::MAX),
            mapped: entry
                .maps
                .iter()
                .map(|(generation, _)| *generation)
                .collect(),
            dead: entry.marks.is_dead(),
            sync: entry.marks.sync_mode(),
            since: entry.since,
        }
    }
}

/// Whether a buffer's memory is resident, moving or revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BufferState {
    /// The memory is in place.
    Resident,
    /// Mappings are stale, and the copy to the new memory is not submitted yet.
    Moving,
    /// The memory is revoked from its importers.
    Revoked,
}

/// The state of one fence in a buffer's reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FenceReport {
    /// Class of the fence.
    pub usage: FenceUsage,
    /// Producer of the fence, with the drivers behind a sync_file.
    pub producer: String,
    /// "pending", "signalled", or "failed" with the error.
    pub status: String,
}

impl FenceReport {
    fn new(usage: FenceUsage, fence: &Fence) -> Self {
        Self {
            usage,
            producer: producer(fence),
            status: match fence.status() {
                FenceStatus::Pending => "pending".to_owned(),
                FenceStatus::Signalled => "signalled".to_owned(),
                FenceStatus::Failed(errno) => format!("failed: {errno}"),
            },
        }
    }
}

/// The producer of a fence. The kernel knows the drivers behind a sync_file.
fn producer(fence: &Fence) -> String {
    let info = match fence {
        Fence::SyncFile(file) => file.info().ok(),
        Fence::Point { .. } => None,
    };
    let mut drivers: Vec<_> = info
        .map(|info| info.fences.into_iter().map(|fence| fence.driver).collect())
        .unwrap_or_default();
    drivers.sort();
    drivers.dedup();
    match drivers.is_empty() {
        true => fence.producer().to_owned(),
        false => format!("{} of {}", fence.producer(), drivers.join(", ")),
    }
}

/// Memory that a buffer has left and that is still in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OldBackingReport {
    /// The buffer's generation in that memory.
    pub generation: Generation,
    /// Placement of the memory.
    pub placement: Placement,
    /// Size in bytes.
    pub bytes: u64,
    /// Number of stale mappings.
    pub maps: usize,
    /// Producers of the pending fences on it.
    pub waits_for: Vec<String>,
    /// Time at which the buffer left it.
    pub since: Moment,
    /// Whether the importers that map it were declared dead.
    pub overdue: bool,
}

/// The state of one buffer, as text ([`Display`](fmt::Display)) and as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BufferReport {
    /// Name of the buffer.
    pub name: String,
    /// Inodes of its dma-bufs, as in `bufinfo` and `fdinfo`.
    pub inodes: Vec<u64>,
    /// Placement of its current memory.
    pub placement: Placement,
    /// Current generation.
    pub generation: Generation,
    /// Size of its memory in bytes.
    pub bytes: u64,
    /// Resident, moving or revoked.
    pub state: BufferState,
    /// Whether its exporter can move it.
    pub dynamic: bool,
    /// Whether its residency has evicted it, and moves it back when it is used.
    pub evicted: bool,
    /// Its attachments.
    pub attachments: Vec<AttachmentReport>,
    /// Its pins.
    pub pins: Vec<PinReport>,
    /// The fences in its reservation.
    pub fences: Vec<FenceReport>,
    /// Memory that it has left and that is still in use.
    pub old_backings: Vec<OldBackingReport>,
    /// Number of moves.
    pub moves: u64,
    /// Number of refused moves.
    pub refusals: u64,
}

impl BufferInner {
    pub(crate) fn attachment_reports(&self) -> Vec<AttachmentReport> {
        let state = self.state();
        let pins = |id| {
            let pins = state.pins.iter();
            pins.filter(|pin| pin.report.attachment == id).count()
        };
        let entries = state.entries.iter();
        entries
            .map(|entry| AttachmentReport::new(entry, pins(entry.id)))
            .collect()
    }

    pub(crate) fn report(&self) -> BufferReport {
        let attachments = self.attachment_reports();
        let fences = self.reservation().snapshot();
        let fences = fences.iter();
        let fences = fences.map(|(usage, fence)| FenceReport::new(*usage, fence));
        let fences = fences.collect();
        // Timelines may call the library, so the state is not locked meanwhile.
        let old_fences = self.old_fences();
        let pending = old_fences.iter().map(|(of, after)| {
            let pending = after.iter().filter(|fence| !fence.status().is_over());
            let producers = pending.map(|fence| fence.producer().to_owned());
            (*of, producers.collect::<Vec<String>>())
        });
        let pending: BTreeMap<Generation, Vec<String>> = pending.collect();
        let state = self.state();
        let backing = &state.backing;
        let memories = backing.dmabuf().memories().iter();
        BufferReport {
            name: self.name().to_owned(),
            inodes: memories.map(|memory| memory.id().inode()).collect(),
            placement: backing.placement(),
            generation: backing.generation(),
            bytes: backing.bytes(),
            state: match state.status {
                Status::Resident => BufferState::Resident,
                Status::Moving(_) => BufferState::Moving,
                Status::Revoked => BufferState::Revoked,
            },
            dynamic: self.dynamic.is_some(),
            evicted: self.is_displaced(),
            attachments,
            pins: state.pin_reports(),
            fences,
            old_backings: state
                .old
                .iter()
                .map(|old| OldBackingReport {
                    generation: old.backing.generation(),
                    placement: old.backing.placement(),
                    bytes: old.backing.bytes(),
                    maps: old.backing.maps(),
                    waits_for: pending
                        .get(&old.backing.generation())
                        .cloned()
                        .unwrap_or_default(),
                    since: old.since,
                    overdue: old.overdue,
                })
                .collect(),
            moves: self.moves.load(Ordering::Relaxed).into(),
            refusals: self.refusals.load(Ordering::Relaxed).into(),
        }
    }
}

/// The state of every buffer of the process, in the order of creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RuntimeReport {
    /// The buffers.
    pub buffers: Vec<BufferReport>,
}

impl RuntimeReport {
    /// Reports every buffer. Locks each for a moment; meant for debugging and bug reports.
    pub fn new() -> Self {
        let buffers = buffer::all_buffers();
        let buffers = buffers
            .iter()
            .map(|buffer: &Arc<BufferInner>| buffer.report());
        Self {
            buffers: buffers.collect(),
        }
    }

    /// The report as one line of JSON.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

impl Default for RuntimeReport {
    fn default() -> Self {
        Self::new()
    }
}

impl BufferReport {
    /// The report as one line of JSON.
    pub fn to_json(&self) -> String {
        json(self)
    }
}

fn json(report: &impl Serialize) -> String {
    // Serializing a report cannot fail: it has no maps and no foreign `Serialize` implementations.
    serde_json::to_string(report).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

impl fmt::Display for BufferReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' inode {:?}: {} bytes in {}, generation {}, {}",
            self.name,
            self.inodes,
            self.bytes,
            self.placement,
            self.generation.as_u64(),
            match self.state {
                BufferState::Resident if self.evicted => "evicted",
                BufferState::Resident => "resident",
                BufferState::Moving => "moving",
                BufferState::Revoked => "revoked",
            }
        )?;
        write!(f, ", moved {} times, refused {}", self.moves, self.refusals)?;
        for attachment in &self.attachments {
            write!(
                f,
                "\n  attached  {} ({:?}, since {})",
                attachment.name, attachment.kind, attachment.since
            )?;
            for generation in &attachment.mapped {
                let stale = if *generation < self.generation {
                    ", stale"
                } else {
                    ""
                };
                write!(f, ", maps generation {}{stale}", generation.as_u64())?;
            }
            if attachment.dead {
                f.write_str(", dead")?;
            }
        }
        for pin in &self.pins {
            write!(f, "\n  pinned    by {pin}")?;
        }
        for fence in &self.fences {
            write!(
                f,
                "\n  fence     {:?} of {}: {}",
                fence.usage, fence.producer, fence.status
            )?;
        }
        for old in &self.old_backings {
            write!(
                f,
                "\n  left      generation {} in {}, {} bytes, since {}: {} stale mappings, waits for {:?}",
                old.generation.as_u64(),
                old.placement,
                old.bytes,
                old.since,
                old.maps,
                old.waits_for
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for RuntimeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, buffer) in self.buffers.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{buffer}")?;
        }
        Ok(())
    }
}
