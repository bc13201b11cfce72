//! What the contract itself costs: attach, map, use, pin, move, choose a victim, with few buffers
//! and with many.
//!
//! The importer has no device. With the exporter that has no memory ([`dmashare::in_memory`]) what is
//! measured is the runtime's bookkeeping alone, on any machine; with host memory, each buffer is a
//! dma-buf of the kernel's.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, ensure};
use dmashare::host::{DmaHeap, HostMemory, Udmabuf};
use dmashare::in_memory::InMemory;
use dmashare::{
    AccessConstraint, Backing, BufferDesc, DynamicAttachment, Extent, Fence, FenceSet, Fourcc,
    ImportError, Importer, Placement, Priority, Residency, SharedBuffer, SoftwareTimeline,
    Submission, Usage,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

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
    timeline: SoftwareTimeline,
    fence: Fence,
    label: Arc<str>,
    flag: Arc<AtomicBool>,
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
        let timeline = SoftwareTimeline::new("bench");
        let mut this = Self {
            exporter,
            places,
            residency,
            buffers: Vec::with_capacity(count),
            attachments: Vec::with_capacity(count),
            fence: timeline.fence(0),
            timeline,
            label: "scanout bench".into(),
            flag: Arc::default(),
            next: 0,
        };
        for index in 0..count {
            let buffer = this.create(&format!("bench {index}"))?;
            let attachment = buffer.attach_dynamic(&NoDevice, this.flag.clone())?;
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

    /// The next buffer of the working set, which is spread over all of them.
    fn index(&mut self) -> usize {
        let count = self.buffers.len();
        self.next = (self.next + 1) % WORKING_SET.min(count);
        self.next * (count / WORKING_SET.min(count))
    }

    /// Maps a buffer, submits a use of it with a fence, and lets go of the mapping.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn map_use_unmap(&mut self) -> Result<()> {
        let index = self.index();
        let mapping = self.attachments[index].map()?;
        Submission::begin([mapping.write()])?.commit(&self.fence);
        Ok(())
    }

    /// Maps a buffer and lets go of the mapping.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn map_unmap(&mut self) -> Result<()> {
        let index = self.index();
        drop(self.attachments[index].map()?);
        Ok(())
    }

    /// Attaches one more device to a buffer, and detaches it.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn attach_detach(&mut self) -> Result<()> {
        let index = self.index();
        drop(self.buffers[index].attach_dynamic(&NoDevice, self.flag.clone())?);
        Ok(())
    }

    /// Pins a buffer as a display does, and lets go.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn pin_unpin(&mut self) -> Result<()> {
        let index = self.index();
        let mapping = self.attachments[index].map()?;
        let since = dmashare::Moment::default();
        drop(mapping.hold_in_place(&self.label, since)?);
        Ok(())
    }

    /// Moves a buffer away and maps it there: all of a move but the memory and the copy.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn move_and_map(&mut self) -> Result<()> {
        let index = self.index();
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

    /// Chooses the buffer that was used least recently, moves it out of the way, and brings it back by
    /// a use.
    ///
    /// # Errors
    /// None, unless the library is broken.
    pub fn evict_and_restore(&mut self) -> Result<()> {
        let report = self.residency.trim(self.places.near, 1);
        ensure!(report.moved == 1, "{report:?}");
        // The one that was moved is the oldest: they come up in their order.
        let index = self.next % self.buffers.len();
        self.next += 1;
        drop(self.attachments[index].map()?);
        Ok(())
    }

    /// Signals what was submitted, for whoever waits.
    pub fn signal(&self) {
        self.timeline.signal(1);
    }
}
