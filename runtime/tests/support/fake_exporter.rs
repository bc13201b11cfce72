//! An exporter whose memory is a number, whose places are labels, and whose every step can fail.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use dmashare::{
    AccessConstraint, Allocation, Backing, BufferDesc, Copied, DmaBuf, DynamicExporter,
    ExportError, Exporter, Fence, FenceError, FenceSet, FenceStatus, Modifier, Placement,
    Placements, SoftwareTimeline,
};

/// What memory has that nobody has written yet, or that was given back.
pub const POISON: u64 = 0xdead_dead;

/// A step of the exporter that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Placements,
    Allocate,
    Copy,
    Pin,
}

/// Who copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    /// At once, or not yet while a fence is pending.
    Cpu,
    /// Behind whatever fences: the copy is done in [`FakeExporter::finish_copies`].
    Device,
}

/// One piece of memory, and who is known to use it.
#[derive(Debug)]
pub struct Memory {
    pub id: usize,
    pub placement: Placement,
    pub content: AtomicU64,
    /// Objects of importers.
    pub mapped: AtomicUsize,
    pub recycled: AtomicBool,
    pub pinned: AtomicBool,
    /// Everything that was submitted on it.
    pub uses: Mutex<Vec<Fence>>,
}

impl Memory {
    /// The fences of its uses that are pending and that waiting for `after` would not wait for.
    fn unprotected(&self, after: &FenceSet) -> usize {
        let uses = self.uses.lock().unwrap().clone();
        uses.iter()
            .filter(|used| !after.iter().any(|fence| fence.supersedes(used)))
            .filter(|used| !used.status().is_over())
            .count()
    }
}

#[derive(Debug)]
struct PendingCopy {
    timeline: SoftwareTimeline,
    from: Arc<Memory>,
    to: Arc<Memory>,
    after: FenceSet,
}

#[derive(Debug)]
struct Shared {
    offered: Placements,
    mode: Mutex<CopyMode>,
    /// The step that fails, and how many of its calls succeed before that.
    failing: Mutex<Option<(Step, usize)>>,
    /// The step that panics the next time.
    panicking: Mutex<Option<Step>>,
    memories: Mutex<Vec<Arc<Memory>>>,
    copies: Mutex<Vec<PendingCopy>>,
    /// Copies that are done; they keep their timelines, whose fences are signalled.
    done: Mutex<Vec<PendingCopy>>,
    faults: Mutex<Vec<String>>,
}

/// The exporter. Clones are the same.
#[derive(Clone, Debug)]
pub struct FakeExporter {
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// A real dma-buf, so that everything that is checked of one holds.
fn image() -> DmaBuf {
    static IMAGE: OnceLock<DmaBuf> = OnceLock::new();
    let make = || {
        let desc = super::desc("fake");
        let made = super::heap().allocate(&desc, &[Modifier::LINEAR]);
        made.unwrap().dmabuf
    };
    IMAGE.get_or_init(make).clone()
}

/// Fails where a reservation is held by this thread (I16): nothing may wait there.
fn may_block() -> Result<(), FenceError> {
    let timeline = SoftwareTimeline::new("probe");
    timeline.fence(0).wait(Duration::ZERO)
}

impl FakeExporter {
    /// An exporter with these places, which copies with the CPU.
    pub fn new(offered: Placements) -> Self {
        Self {
            shared: Arc::new(Shared {
                offered,
                mode: Mutex::new(CopyMode::Cpu),
                failing: Mutex::new(None),
                panicking: Mutex::new(None),
                memories: Mutex::new(Vec::new()),
                copies: Mutex::new(Vec::new()),
                done: Mutex::new(Vec::new()),
                faults: Mutex::new(Vec::new()),
            }),
        }
    }

    /// One with the places that backends have: device, host and shared memory.
    pub fn with_all_places() -> Self {
        Self::new(Placements::DEVICE | Placements::HOST | Placements::SHMEM)
    }

    pub fn set_mode(&self, mode: CopyMode) {
        *lock(&self.shared.mode) = mode;
    }

    /// The call of `step` after `calls` others fails.
    pub fn fail(&self, step: Step, calls: usize) {
        *lock(&self.shared.failing) = Some((step, calls));
    }

    /// The next call of `step` panics.
    pub fn panic_in(&self, step: Step) {
        *lock(&self.shared.panicking) = Some(step);
    }

    /// Whether nothing was left to fail.
    pub fn stop_failing(&self) -> bool {
        lock(&self.shared.failing).take().is_none()
    }

    fn step(&self, step: Step) -> Result<(), ExportError> {
        let panics = lock(&self.shared.panicking).take_if(|panicking| *panicking == step);
        assert!(panics.is_none(), "{step:?} was told to panic");
        let mut failing = lock(&self.shared.failing);
        match &mut *failing {
            Some((failed, 0)) if *failed == step => {
                *failing = None;
                Err(ExportError::Device {
                    exporter: "fake".into(),
                    operation: "a step that was told to fail",
                    source: format!("{step:?}").into(),
                })
            }
            Some((counted, calls)) if *counted == step => {
                *calls -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn fault(&self, text: String) {
        lock(&self.shared.faults).push(text);
    }

    /// Fails if any rule was broken towards the exporter so far.
    pub fn assert_no_faults(&self) {
        let faults = lock(&self.shared.faults).clone();
        assert!(faults.is_empty(), "{faults:#?}");
    }

    /// All memory that was made and not given back.
    pub fn live(&self) -> Vec<Arc<Memory>> {
        let memories = lock(&self.shared.memories);
        let live = memories
            .iter()
            .filter(|memory| !memory.recycled.load(SeqCst));
        live.cloned().collect()
    }

    /// Copies that a device has not done yet.
    pub fn pending_copies(&self) -> usize {
        lock(&self.shared.copies).len()
    }

    /// Does the copies whose fences are over, in order, and returns how many.
    pub fn finish_copies(&self) -> usize {
        let mut finished = 0;
        let copies = std::mem::take(&mut *lock(&self.shared.copies));
        let mut left = Vec::new();
        for copy in copies {
            if !left.is_empty() || copy.after.status() == FenceStatus::Pending {
                left.push(copy);
                continue;
            }
            self.do_copy(&copy.from, &copy.to);
            copy.timeline.signal(1);
            lock(&self.shared.done).push(copy);
            finished += 1;
        }
        lock(&self.shared.copies).extend(left);
        finished
    }

    fn do_copy(&self, from: &Memory, to: &Memory) {
        if from.recycled.load(SeqCst) {
            self.fault(format!(
                "memory {} was given back before its copy (I6)",
                from.id
            ));
        }
        to.content.store(from.content.load(SeqCst), SeqCst);
    }
}

/// The exporter's memory behind a backing.
pub fn memory_of(backing: &Backing) -> Arc<Memory> {
    backing.origin().unwrap()
}

impl Exporter for FakeExporter {
    fn name(&self) -> &str {
        "fake"
    }

    fn modifiers(&self, _desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        Ok(vec![Modifier::LINEAR])
    }

    fn allocate(&self, desc: &BufferDesc, _: &[Modifier]) -> Result<Allocation, ExportError> {
        self.allocate_in(desc, &AccessConstraint::default())
    }
}

impl DynamicExporter for FakeExporter {
    fn placements(&self, _desc: &BufferDesc) -> Result<Placements, ExportError> {
        self.step(Step::Placements)?;
        Ok(self.shared.offered)
    }

    fn allocate_in(
        &self,
        _desc: &BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Allocation, ExportError> {
        if may_block().is_err() {
            self.fault("allocation under a reservation (I16)".into());
        }
        self.step(Step::Allocate)?;
        let mut places = [Placement::Device, Placement::Host, Placement::Shmem].into_iter();
        let offered = self.shared.offered & wanted.placements;
        let place = places.find(|place| offered.has(*place));
        let placement = place.ok_or_else(|| ExportError::NoPlacement {
            exporter: "fake".into(),
            wanted: wanted.placements,
            offered: self.shared.offered,
        })?;
        let mut memories = lock(&self.shared.memories);
        let memory = Arc::new(Memory {
            id: memories.len(),
            placement,
            content: AtomicU64::new(POISON),
            mapped: AtomicUsize::new(0),
            recycled: AtomicBool::new(false),
            pinned: AtomicBool::new(false),
            uses: Mutex::new(Vec::new()),
        });
        memories.push(memory.clone());
        Ok(Allocation::new(image(), placement, memory))
    }

    fn copy(
        &self,
        _desc: &BufferDesc,
        from: &Backing,
        to: &Backing,
        after: &FenceSet,
    ) -> Result<Copied, ExportError> {
        if may_block().is_err() {
            self.fault("copy under a reservation (I16)".into());
        }
        let (from, to) = (memory_of(from), memory_of(to));
        if from.pinned.load(SeqCst) {
            self.fault(format!(
                "memory {} is moved while it is pinned (I2)",
                from.id
            ));
        }
        let unprotected = from.unprotected(after);
        if unprotected > 0 {
            self.fault(format!(
                "the copy does not wait for {unprotected} uses of before (I4)"
            ));
        }
        self.step(Step::Copy)?;
        let timeline = SoftwareTimeline::new("copy");
        let fence = timeline.fence(1);
        let mode = *lock(&self.shared.mode);
        let copy = PendingCopy {
            timeline,
            from,
            to,
            after: after.clone(),
        };
        match mode {
            CopyMode::Cpu if after.status() == FenceStatus::Pending => Ok(Copied::NotYet),
            CopyMode::Cpu => {
                self.do_copy(&copy.from, &copy.to);
                copy.timeline.signal(1);
                lock(&self.shared.done).push(copy);
                Ok(Copied::By(fence))
            }
            CopyMode::Device => {
                lock(&self.shared.copies).push(copy);
                Ok(Copied::By(fence))
            }
        }
    }

    fn recycle(&self, _desc: &BufferDesc, allocation: Allocation, after: FenceSet) {
        let memory: Arc<Memory> = allocation.origin.clone().downcast().unwrap();
        let id = memory.id;
        if memory.recycled.swap(true, SeqCst) {
            self.fault(format!("memory {id} is given back twice (I6)"));
        }
        let mapped = memory.mapped.load(SeqCst);
        if mapped > 0 {
            self.fault(format!(
                "memory {id} is given back while {mapped} map it (I6)"
            ));
        }
        if memory.pinned.load(SeqCst) {
            self.fault(format!("memory {id} is given back while it is pinned (I2)"));
        }
        let unprotected = memory.unprotected(&after);
        if unprotected > 0 {
            self.fault(format!(
                "memory {id} is given back before {unprotected} uses (I6)"
            ));
        }
        if after.status().is_over() {
            memory.content.store(POISON, SeqCst);
        }
    }

    fn pin(&self, backing: &Backing) -> Result<(), ExportError> {
        self.step(Step::Pin)?;
        let memory = memory_of(backing);
        if memory.pinned.swap(true, SeqCst) {
            self.fault(format!("memory {} is pinned twice (I1)", memory.id));
        }
        Ok(())
    }

    fn unpin(&self, backing: &Backing) {
        let memory = memory_of(backing);
        if !memory.pinned.swap(false, SeqCst) {
            self.fault(format!("memory {} is unpinned twice (I1)", memory.id));
        }
    }
}
