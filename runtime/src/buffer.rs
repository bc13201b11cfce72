//! The shared state behind a buffer's handles: its current memory, attachments and pins.

pub(crate) mod allocation;
pub(crate) mod attachment_core;
pub(crate) mod attachment_error;
pub(crate) mod attachment_list;
pub(crate) mod bring_within_reach;
pub(crate) mod callback_gate;
pub(crate) mod content_watch;
pub(crate) mod foreign_holders;
pub(crate) mod implicit_sync_error;
pub(crate) mod invalidation;
pub(crate) mod keeper;
pub(crate) mod last_use;
pub(crate) mod move_error;
pub(crate) mod moving;
pub(crate) mod pinning;
pub(crate) mod publish_fences;
pub(crate) mod state;
pub(crate) mod submit_error;

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::{Arc, Weak};

use crate::buffer::content_watch::ContentWatch;
use crate::buffer::foreign_holders::ForeignHolders;
use crate::buffer::keeper::Keeper;
use crate::buffer::last_use::LastUse;
use crate::buffer::state::{State, Status};
use crate::fence::reservation::Reservation;
use crate::fence::usage::FenceUsage;
use crate::ids::{AttachmentId, BufferKey};
use crate::image::buffer_desc::BufferDesc;
use crate::locks::{AtomicBool, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::memory::backing::{Backing, Generation};
use crate::memory::dynamic_exporter::DynamicExporter;
use crate::memory::export_error::ExportError;
use crate::memory::exporter::Exporter;

/// How long an importer may keep a stale mapping before it is declared dead, in milliseconds.
const STALE_DEADLINE: u32 = 5000;

pub(crate) struct BufferInner {
    pub(crate) key: BufferKey,
    desc: BufferDesc,
    exporter: Option<Arc<dyn Exporter>>,
    pub(crate) dynamic: Option<Arc<dyn DynamicExporter>>,
    reservation: Reservation,
    /// Generation of the backing, for threads that hold the reservation but not the lock of the state.
    generation: AtomicU64,
    pub(crate) foreign: ForeignHolders,
    /// Whether the residency has evicted the buffer, to move it back when it is next used.
    pub(crate) displaced: AtomicBool,
    pub(crate) last_use: LastUse,
    /// The residency that the buffer was created in, if any.
    keeper: Option<Arc<dyn Keeper>>,
    /// The shadows that are kept fresh, which collect the damage of each write.
    pub(crate) content: ContentWatch,
    /// If this buffer is a shadow, the number of the attachment that keeps it fresh; otherwise 0.
    only_writer: AtomicU64,
    pub(crate) moves: AtomicU32,
    pub(crate) refusals: AtomicU32,
    /// How long importers may keep stale mappings, in milliseconds.
    pub(crate) stale_deadline: AtomicU32,
    state: Mutex<State>,
}

impl BufferInner {
    pub(crate) fn new(
        desc: BufferDesc,
        exporter: Option<Arc<dyn Exporter>>,
        dynamic: Option<Arc<dyn DynamicExporter>>,
        reservation: Reservation,
        backing: Backing,
        keeper: Option<Arc<dyn Keeper>>,
    ) -> Arc<Self> {
        let inner = Arc::new(Self {
            key: BufferKey::unique(),
            desc,
            exporter,
            dynamic,
            reservation,
            generation: AtomicU64::new(backing.generation().as_u64()),
            foreign: ForeignHolders::default(),
            displaced: AtomicBool::new(false),
            last_use: LastUse::default(),
            keeper,
            content: ContentWatch::default(),
            only_writer: AtomicU64::new(0),
            moves: AtomicU32::new(0),
            refusals: AtomicU32::new(0),
            stale_deadline: AtomicU32::new(STALE_DEADLINE),
            state: Mutex::new(State {
                backing,
                status: Status::Resident,
                entries: Vec::new(),
                pins: Vec::new(),
                old: Vec::new(),
            }),
        });
        register(&inner);
        inner
    }

    pub(crate) fn name(&self) -> &str {
        &self.desc.name
    }

    pub(crate) fn desc(&self) -> &BufferDesc {
        &self.desc
    }

    /// If this buffer is a shadow, the only attachment that may write to it.
    pub(crate) fn only_writer(&self) -> Option<AttachmentId> {
        AttachmentId::from_number(self.only_writer.load(Ordering::Acquire))
    }

    /// Lets only this attachment write from now on. Only the first call has an effect.
    pub(crate) fn restrict_writes(&self, writer: AttachmentId) {
        let (new, order) = (writer.as_number(), Ordering::AcqRel);
        // A later call finds a number other than 0, and changes nothing.
        let _ = (self.only_writer).compare_exchange(0, new, order, Ordering::Acquire);
    }

    pub(crate) fn keeper(&self) -> Option<&Arc<dyn Keeper>> {
        self.keeper.as_ref()
    }

    pub(crate) fn exporter(&self) -> Option<&Arc<dyn Exporter>> {
        self.exporter.as_ref()
    }

    #[inline]
    pub(crate) fn reservation(&self) -> &Reservation {
        &self.reservation
    }

    /// Locks the state. This is a leaf lock: only the lock of an attachment's mapping is taken while
    /// it is held. A panic cannot leave the state half changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    #[inline]
    pub(crate) fn generation(&self) -> Generation {
        Generation::from_u64(self.generation.load(Ordering::Acquire))
    }

    /// Replaces the backing and returns the old one. The caller must hold the reservation.
    pub(crate) fn replace_backing(&self, state: &mut State, backing: Backing) -> Backing {
        self.generation
            .store(backing.generation().as_u64(), Ordering::Release);
        std::mem::replace(&mut state.backing, backing)
    }

    pub(crate) fn backing(&self) -> Backing {
        self.state().backing.clone()
    }

    /// Lets the exporter do the work that it has deferred until the memory is first used, and adds that
    /// work's fence, if any, to the reservation. Every path that hands out a mapping or descriptors calls
    /// this first, so no use misses the fence.
    pub(crate) fn prepare(&self, backing: &Backing) -> Result<(), Box<ExportError>> {
        let Some(exporter) = &self.exporter else {
            return Ok(());
        };
        let Some(fence) = exporter.prepare(backing).map_err(Box::new)? else {
            return Ok(());
        };
        let locked = self.reservation.lock_alone();
        let locked = locked.ok_or_else(|| ExportError::WouldDeadlock {
            name: self.name().to_owned(),
        });
        let locked = locked.map_err(Box::new)?;
        let removed = self.reservation.add(FenceUsage::Move, fence, None);
        drop(locked);
        drop(removed);
        Ok(())
    }

    #[inline]
    pub(crate) fn is_displaced(&self) -> bool {
        self.displaced.load(Ordering::Relaxed)
    }

    /// Notes that the buffer is used now.
    #[inline]
    pub(crate) fn touch(&self) {
        if self.keeper.is_some() {
            self.last_use.note();
        }
    }
}

impl Drop for BufferInner {
    fn drop(&mut self) {
        unregister(self.key);
        if let Some(keeper) = &self.keeper {
            keeper.buffer_gone();
        }
        self.release_memory();
    }
}

impl std::fmt::Debug for BufferInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferInner")
            .field("name", &self.name())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

type Buffers = BTreeMap<BufferKey, Weak<BufferInner>>;

/// The list of all buffers. It is locked to add, remove or list buffers, never while a buffer's state
/// or reservation is locked.
fn buffers() -> MutexGuard<'static, Buffers> {
    static BUFFERS: Mutex<Buffers> = Mutex::new(BTreeMap::new());
    BUFFERS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn register(buffer: &Arc<BufferInner>) {
    buffers().insert(buffer.key, Arc::downgrade(buffer));
}

pub(crate) fn unregister(key: BufferKey) {
    buffers().remove(&key);
}

/// All buffers, in the order of creation.
pub(crate) fn all_buffers() -> Vec<Arc<BufferInner>> {
    // Any of these may become the last reference to its buffer. None may be dropped while the list is
    // locked, because dropping a buffer locks the list too.
    let all: Vec<_> = buffers().values().filter_map(Weak::upgrade).collect();
    all
}
