//! Images that move between device memory and host memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ash::vk;
use dmashare::{
    AccessConstraint, Allocation, Backing, BackingPool, BufferDesc, Copied, DynamicExporter,
    ExportError, Exporter, FenceSet, Modifier, Placement, Placements, Usage, host::HostMemory,
};

use crate::device::retired::Retired;
use crate::device::{Device, movable_allocation, move_copy};
use crate::failure::Failure;
use crate::image::copy_image;
use crate::image::shared_image::SharedImage;

/// Default size of the pool in bytes.
const POOL: u64 = 256 << 20;

struct Shared {
    pool: BackingPool,
    bytes_moved: AtomicU64,
    host: Option<HostMemory>,
    // Last: the drop of the pool uses its retire queue.
    device: Device,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for (allocation, after) in self.pool.drain() {
            self.device
                .retire_object(Retired::Allocation(allocation), after);
        }
    }
}

/// An exporter of images that can move between the device's own memory ([`Placement::Device`]) and
/// host memory that the device imports ([`Placement::Host`] from a dma-heap, [`Placement::Shmem`]
/// from a memfd through udmabuf). The device copies them on its queue, after the fences of all
/// previous users; no CPU thread waits.
///
/// ```no_run
/// # use dmashare::{AccessConstraint, BufferDesc, Extent, Fourcc, Placements, SharedBuffer, Usage};
/// # use dmashare_vk::{Device, MovableImages};
/// # use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
/// # fn example(device: &Device) -> Result<(), Box<dyn std::error::Error>> {
/// let images = MovableImages::open(device);
/// let desc = BufferDesc::new("layer", Extent::new(640, 480), Fourcc::XRGB8888, Usage::RENDER);
/// let buffer = SharedBuffer::new_dynamic(&images, desc, &AccessConstraint::default())?;
/// let moved = Arc::new(AtomicBool::new(false));
/// let attachment = buffer.attach_dynamic(device, moved.clone())?;
/// let mapping = attachment.map()?;
/// // Make room on the device: `mapping` goes stale, and its next use waits for the copy.
/// buffer.move_to(&AccessConstraint::placements(Placements::HOST | Placements::SHMEM))?;
/// assert!(moved.swap(false, Ordering::Acquire) && mapping.is_stale());
/// let mapping = attachment.map()?;
/// # Ok(()) }
/// ```
///
/// # What it makes
///
/// - On the device: an image as made by [`Device`]'s own exporter, with one of the wanted
///   modifiers. If no modifier gives a stride that is a multiple of the wanted alignment, the error
///   is [`StrideMisaligned`](crate::StrideMisaligned). A buffer also moves within the device's
///   memory, from one modifier to another.
/// - In host memory: a linear image whose strides are multiples of 256 bytes and of the wanted
///   alignment. It is imported when it is made, so a copy needs no import, and the attachments of
///   this device share that image.
///
/// Every image can be a copy source and destination, whatever the usage in the description.
///
/// # Who owns what
///
/// Memory that a buffer has left is pooled for the next buffer of the same shape and not cleared: a
/// new buffer may show what the memory last held. The pool keeps at most 256 MiB, unless
/// [`with_pool`](Self::with_pool) sets another size. Freed memory and what copies in flight use go
/// through the device's retire queue: call [`Device::dispatch`]. The last clone, buffer or mapping
/// keeps the device alive; clones share everything.
///
/// # Locks
///
/// Allocating device memory and copying lock the device's queue. On a thread that already holds it
/// ([`Device::queue`]), they fail.
///
/// # A lost device
///
/// Allocations and copies fail; buffers stay where they are.
#[derive(Clone)]
pub struct MovableImages {
    shared: Arc<Shared>,
}

impl MovableImages {
    /// An exporter of device memory and, if given, host memory.
    pub fn new(device: &Device, host: Option<HostMemory>) -> Self {
        Self::with_pool(device, host, POOL)
    }

    /// An exporter of device memory and of as much of the heap "system" and udmabuf as can be
    /// opened. Without either, its buffers move within device memory only.
    pub fn open(device: &Device) -> Self {
        Self::new(device, HostMemory::open().ok())
    }

    /// Like [`new`](Self::new), with a pool of at most `bytes`.
    pub fn with_pool(device: &Device, host: Option<HostMemory>, bytes: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                pool: BackingPool::new(bytes),
                bytes_moved: AtomicU64::new(0),
                host,
                device: device.clone(),
            }),
        }
    }

    /// The device that makes and copies the images.
    pub fn device(&self) -> &Device {
        &self.shared.device
    }

    /// Bytes of pixels, without padding, that moves have copied or are about to copy.
    /// [`Device::bytes_copied`] does not include them.
    pub fn bytes_moved(&self) -> u64 {
        self.shared.bytes_moved.load(Ordering::Relaxed)
    }

    /// Bytes in the pool for a placement.
    pub fn pooled(&self, placement: Placement) -> u64 {
        self.shared.pool.bytes(placement)
    }

    /// Frees at least `bytes` of pooled memory of a placement, or all there is, and returns how
    /// many bytes were freed. Memory with pending fences stays. A
    /// [`Residency`](dmashare::Residency) does this on its own.
    pub fn shrink(&self, placement: Placement, bytes: u64) -> u64 {
        // Finished work keeps its images until it is collected.
        self.shared.device.dispatch();
        let freed = self.shared.pool.shrink(placement, bytes);
        freed.iter().map(Allocation::bytes).sum()
    }

    /// The description with the uses that a copy needs.
    fn copyable(desc: &BufferDesc) -> BufferDesc {
        let mut desc = desc.clone();
        desc.usage |= Usage::TRANSFER_SOURCE | Usage::TRANSFER_DESTINATION;
        desc
    }

    fn may_work(&self, operation: &'static str) -> Result<(), ExportError> {
        let device = &self.shared.device;
        if !device.is_lost() {
            // Frees what is finished, including command buffers.
            device.dispatch();
            return Ok(());
        }
        let failure = Failure {
            operation,
            source: vk::Result::ERROR_DEVICE_LOST,
        };
        Err(failure.export(&device.core().name))
    }

    /// The host placements in which the device can use such an image.
    fn host_placements(&self, desc: &BufferDesc) -> Result<Placements, ExportError> {
        let device = &self.shared.device;
        let failed = |failure: Failure| failure.export(&device.core().name);
        match &self.shared.host {
            Some(host) if device.core().imports_linear(desc).map_err(failed)? => {
                host.placements(desc)
            }
            _ => Ok(Placements::empty()),
        }
    }

    fn allocate_at(
        &self,
        desc: &BufferDesc,
        wanted: &AccessConstraint,
        placement: Placement,
    ) -> Result<Allocation, ExportError> {
        let shared = &*self.shared;
        let mut here = wanted.clone();
        here.placements = placement.into();
        if let Some(allocation) = shared.pool.take(desc, &here) {
            return Ok(allocation);
        }
        let desc = Self::copyable(desc);
        match (placement, &shared.host) {
            (Placement::Device, _) => {
                movable_allocation::on_the_device(&shared.device, &desc, &here)
            }
            (_, Some(host)) => {
                movable_allocation::in_host_memory(&shared.device, host, &desc, &here)
            }
            // Not reached: such a placement is not offered.
            (_, None) => Err(self.no_placement(wanted.placements, Placements::empty())),
        }
    }

    fn no_placement(&self, wanted: Placements, offered: Placements) -> ExportError {
        ExportError::NoPlacement {
            exporter: self.name().to_owned(),
            wanted,
            offered,
        }
    }

    /// The device's image of a backing.
    fn image_of(&self, backing: &Backing) -> Result<Arc<SharedImage>, ExportError> {
        let core = self.shared.device.core();
        let image = backing
            .origin::<SharedImage>()
            .filter(|image| Arc::ptr_eq(&image.core, core));
        image.ok_or_else(|| ExportError::Device {
            exporter: core.name.clone(),
            operation: "copying",
            source: "the memory belongs to another exporter".into(),
        })
    }
}

impl Exporter for MovableImages {
    fn name(&self) -> &str {
        &self.shared.device.core().name
    }

    /// The modifiers of the device, and LINEAR where host memory can be used.
    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        let desc = Self::copyable(desc);
        let linear = !self.host_placements(&desc)?.is_empty();
        match self.shared.device.modifiers(&desc) {
            Ok(mut modifiers) => {
                if linear && !modifiers.contains(&Modifier::LINEAR) {
                    modifiers.push(Modifier::LINEAR);
                }
                Ok(modifiers)
            }
            Err(_) if linear => Ok(vec![Modifier::LINEAR]),
            Err(error) => Err(error),
        }
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        let mut wanted = AccessConstraint::default();
        wanted.modifiers = Some(modifiers.to_vec());
        self.allocate_in(desc, &wanted)
    }
}

impl DynamicExporter for MovableImages {
    fn placements(&self, desc: &BufferDesc) -> Result<Placements, ExportError> {
        let desc = Self::copyable(desc);
        let mut placements = self.host_placements(&desc)?;
        match self.shared.device.core().exportable(&desc) {
            Ok(_) => placements |= Placements::DEVICE,
            // The driver cannot answer, or there is no other placement.
            Err(error @ ExportError::Device { .. }) => return Err(error),
            Err(error) if placements.is_empty() => return Err(error),
            Err(_) => {}
        }
        Ok(placements)
    }

    /// Tries device, host and shmem in this order, as far as they are wanted, and takes the first
    /// with a fitting layout, from the pool if it has one.
    fn allocate_in(
        &self,
        desc: &BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Allocation, ExportError> {
        self.may_work("vkCreateImage")?;
        let offered = self.placements(desc)?;
        let mut misfit = None;
        for placement in [Placement::Device, Placement::Host, Placement::Shmem] {
            if !(offered & wanted.placements).has(placement) {
                continue;
            }
            match self.allocate_at(desc, wanted, placement) {
                Err(error) if movable_allocation::is_misfit(&error) => {
                    misfit.get_or_insert(error);
                }
                made => return made,
            }
        }
        Err(misfit.unwrap_or_else(|| self.no_placement(wanted.placements, offered)))
    }

    /// Submits `vkCmdCopyImage` after every fence that the queue can wait for: points of this
    /// device, and sync_files and points of other devices as semaphores. If a fence of another kind
    /// (a software fence) is pending, the result is [`Copied::NotYet`]; a failed fence counts as
    /// over. Converting another device's fence to a semaphore may block in that device's driver.
    ///
    /// # Errors
    /// [`ExportError::Device`]: a Vulkan command failed, the device is lost, or this thread holds its
    /// queue.
    fn copy(
        &self,
        desc: &BufferDesc,
        from: &Backing,
        to: &Backing,
        after: &FenceSet,
    ) -> Result<Copied, ExportError> {
        self.may_work("vkQueueSubmit2")?;
        let shared = &*self.shared;
        let (source, target) = (self.image_of(from)?, self.image_of(to)?);
        let device = &shared.device;
        let copied = move_copy::copy(device, source, target, after, &desc.name)?;
        if let Copied::By(_) = &copied {
            let bytes = copy_image::pixel_bytes(desc.format, desc.extent);
            shared.bytes_moved.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(copied)
    }

    fn recycle(&self, desc: &BufferDesc, mut allocation: Allocation, mut after: FenceSet) {
        let shared = &*self.shared;
        if let Some(fence) = allocation.usable_after.take() {
            after.insert(fence);
        }
        let out = if shared.device.is_lost() {
            vec![(allocation, after)]
        } else {
            shared.pool.put(desc, allocation, after)
        };
        for (allocation, after) in out {
            shared
                .device
                .retire_object(Retired::Allocation(allocation), after);
        }
    }

    fn pool(&self) -> Option<&BackingPool> {
        Some(&self.shared.pool)
    }
}

impl fmt::Debug for MovableImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MovableImages")
            .field("device", &self.shared.device.core().name)
            .field("host", &self.shared.host)
            .field("pool", &self.shared.pool)
            .finish_non_exhaustive()
    }
}
