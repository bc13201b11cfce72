//! What the contract itself costs: attach, map, use, pin, move, choose a victim, with few buffers
//! and with many, on one thread and on several.
//!
//! The importer has no device. With the exporter that has no memory ([`dmashare::in_memory`]) what is
//! measured is the runtime's bookkeeping alone, on any machine; with host memory, each buffer is a
//! dma-buf of the kernel's.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use criterion::Criterion;
use dmashare::host::{DmaHeap, HostMemory, Udmabuf};
use dmashare::in_memory::InMemory;
use dmashare::{
    AccessConstraint, Backing, BufferDesc, DynamicAttachment, Extent, Fence, FenceSet, Fourcc,
    ImportError, Importer, Placement, Priority, Residency, SharedBuffer, SoftwareTimeline,
    Submission, Usage,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// One operation on the next buffer of a walk.
pub type Operation = fn(&Buffers, &mut Walk) -> Result<()>;

/// What is measured, by the names of the benches, but for moves that come in pairs.
pub const OPERATIONS: [(&str, Operation); 5] = [
    ("map_unmap", Buffers::map_unmap),
    ("map_use_unmap", Buffers::map_use_unmap),
    ("attach_detach", Buffers::attach_detach),
    ("pin_unpin", Buffers::pin_unpin),
    ("move_and_map", Buffers::move_and_map),
];

/// How long each of them is measured.
pub fn configuration() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .without_plots()
}

/// An importer without a device.
#[derive(Clone, Debug)]
pub struct NoDevice;

impl Importer for NoDevice {
    type Object = ();

    fn name(&self) -> &str {
        "no device"
    }

    fn import(&self, _desc: &BufferDesc, _backing: &Backing) -> Result<(), ImportError> {
        Ok(())
    }

    fn retire(&self, _object: (), _after: FenceSet) {}
}

/// Where buffers are, and where they are moved when they are in the way.
#[derive(Clone, Copy, Debug)]
struct Places {
    near: Placement,
    far: Placement,
}

/// A number of buffers, each attached and mapped once.
#[derive(Debug)]
pub struct Buffers {
    exporter: Exporter,
    places: Places,
    residency: Residency,
    buffers: Vec<SharedBuffer>,
    attachments: Vec<DynamicAttachment<NoDevice>>,
}

/// One thread's way through the buffers, with a device, a display and a flag of its own.
#[derive(Debug)]
pub struct Walk {
    _timeline: SoftwareTimeline,
    fence: Fence,
    label: Arc<str>,
    flag: Arc<AtomicBool>,
    /// The first of this thread's buffers, and the number of them.
    first: usize,
    buffers: usize,
    next: usize,
}

/// Whose buffers they are.
#[derive(Debug)]
enum Exporter {
    InMemory(InMemory),
    Host(HostMemory),
}

/// As many buffers are used over and over: the working set of a frame.
const WORKING_SET: usize = 64;

impl Buffers {
    /// `count` buffers without memory.
    ///
    /// # Errors
    /// The exporter's file cannot be made, or a buffer.
    pub fn in_memory(count: usize) -> Result<Self> {
        let places = Places {
            near: Placement::Device,
            far: Placement::Host,
        };
        Self::new(Exporter::InMemory(InMemory::new()?), places, count)
    }

    /// The same, and nobody has attached to any.
    ///
    /// # Errors
    /// As [`in_memory`](Self::in_memory).
    pub fn idle(count: usize) -> Result<Self> {
        let places = Places {
            near: Placement::Device,
            far: Placement::Host,
        };
        let mut this = Self::new(Exporter::InMemory(InMemory::new()?), places, 0)?;
        this.buffers.reserve_exact(count);
        for index in 0..count {
            let buffer = this.create(&format!("bench {index}"))?;
            this.buffers.push(buffer);
        }
        Ok(this)
    }

    /// `count` dma-bufs, of a heap; they move to memfds.
    ///
    /// # Errors
    /// There is no heap "system" or no udmabuf, or not as many descriptors may be open.
    pub fn dmabufs(count: usize) -> Result<Self> {
        let heap = DmaHeap::open("system").context("cannot open the heap \"system\"")?;
        let udmabuf = Udmabuf::open().context("cannot open udmabuf")?;
        // Each buffer's dma-buf, and those in the pool.
        let wanted = count as u64 * 2 + 1024;
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        ensure!(
            hard >= wanted,
            "{count} buffers take {wanted} open files, and at most {hard} may be open (ulimit -Hn)"
        );
        setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard)?;
        let exporter = HostMemory::new(Some(heap), Some(udmabuf));
        let places = Places {
            near: Placement::Host,
            far: Placement::Shmem,
        };
        Self::new(Exporter::Host(exporter), places, count)
    }

    fn new(exporter: Exporter, places: Places, count: usize) -> Result<Self> {
        let residency = Residency::new();
        let mut this = Self {
            exporter,
            places,
            residency,
            buffers: Vec::with_capacity(count),
            attachments: Vec::with_capacity(count),
        };
        let flag = Arc::<AtomicBool>::default();
        for index in 0..count {
            let buffer = this.create(&format!("bench {index}"))?;
            let attachment = buffer.attach_dynamic(&NoDevice, flag.clone())?;
            drop(attachment.map()?);
            this.buffers.push(buffer);
            this.attachments.push(attachment);
        }
        Ok(this)
    }

    fn create(&self, name: &str) -> Result<SharedBuffer> {
        let extent = Extent::new(64, 64);
        let desc = BufferDesc::new(name, extent, Fourcc::XRGB8888, Usage::SAMPLE);
        let wanted = AccessConstraint::placements(self.places.near.into());
        let (residency, priority) = (&self.residency, Priority(1));
        let buffer = match &self.exporter {
            Exporter::InMemory(exporter) => residency.create(exporter, desc, &wanted, priority),
            Exporter::Host(exporter) => residency.create(exporter, desc, &wanted, priority),
        };
        Ok(buffer?)
    }

    /// `count` buffers that `open` makes, and one thread's way through them.
    ///
    /// # Panics
    /// When they cannot be made: criterion can be told in no other way.
    pub fn with_walk(open: fn(usize) -> Result<Self>, count: usize) -> (Self, Walk) {
        let opened = open(count).and_then(|buffers| {
            let walk = buffers.walks(1).next().context("one thread walks")?;
            Ok((buffers, walk))
        });
        opened.unwrap_or_else(|error| panic!("{count} buffers cannot be made: {error:#}"))
    }

    /// The buffers in as many parts as there are threads, one for each.
    pub fn walks(&self, threads: usize) -> impl Iterator<Item = Walk> {
        let buffers = self.buffers.len() / threads;
        (0..threads).map(move |thread| {
            let timeline = SoftwareTimeline::new("bench");
            Walk {
                fence: timeline.fence(0),
                _timeline: timeline,
                label: "scanout bench".into(),
                flag: Arc::default(),
                first: thread * buffers,
                buffers,
                next: 0,
            }
        })
    }

    /// Maps a buffer, submits a use of it with a fence, and lets go of the mapping.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn map_use_unmap(&self, walk: &mut Walk) -> Result<()> {
        let mapping = self.attachments[walk.step()].map()?;
        Submission::begin([mapping.write()])?.commit(&walk.fence);
        Ok(())
    }

    /// Maps a buffer and lets go of the mapping.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn map_unmap(&self, walk: &mut Walk) -> Result<()> {
        drop(self.attachments[walk.step()].map()?);
        Ok(())
    }

    /// Attaches one more device to a buffer, and detaches it.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn attach_detach(&self, walk: &mut Walk) -> Result<()> {
        let buffer = &self.buffers[walk.step()];
        drop(buffer.attach_dynamic(&NoDevice, walk.flag.clone())?);
        Ok(())
    }

    /// Pins a buffer as a display does, and lets go.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn pin_unpin(&self, walk: &mut Walk) -> Result<()> {
        let mapping = self.attachments[walk.step()].map()?;
        let since = dmashare::Moment::default();
        drop(mapping.hold_in_place(&walk.label, since)?);
        Ok(())
    }

    /// Moves a buffer away, or back, and maps it there: all of a move but the memory and the copy.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn move_and_map(&self, walk: &mut Walk) -> Result<()> {
        let index = walk.step();
        let buffer = &self.buffers[index];
        let to = if buffer.backing().placement() == self.places.near {
            self.places.far
        } else {
            self.places.near
        };
        buffer.move_to(&AccessConstraint::placements(to.into()))?;
        drop(self.attachments[index].map()?);
        Ok(())
    }

    /// Chooses the buffer that was used least recently, and moves it out of the way.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn evict(&self) -> Result<()> {
        let report = self.residency.trim(self.places.near, 1);
        ensure!(report.moved == 1, "{report:?}");
        Ok(())
    }

    /// Brings the buffers that were moved out of the way back, each by a use. They are found in the
    /// order in which they went, which is that of their last uses: `walk` takes all buffers, and none
    /// was used in another order.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn restore(&self, walk: &mut Walk, count: usize) -> Result<()> {
        for _ in 0..count {
            let index = walk.step_through_all();
            drop(self.attachments[index].map()?);
            let placement = self.buffers[index].backing().placement();
            ensure!(placement == self.places.near, "another one was moved");
        }
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.buffers.len()
    }
}

impl Walk {
    /// The next buffer of the working set, which is spread over all of the thread's.
    fn step(&mut self) -> usize {
        let set = WORKING_SET.min(self.buffers);
        self.next = (self.next + 1) % set;
        self.first + self.next * (self.buffers / set)
    }

    /// The next of all of the thread's buffers.
    fn step_through_all(&mut self) -> usize {
        let index = self.next;
        self.next = (self.next + 1) % self.buffers;
        self.first + index
    }
}
