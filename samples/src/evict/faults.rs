//! Failures on purpose: an exporter some of whose operations fail, and a device some of whose memory
//! allocations do.

use std::ffi::CString;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use dmashare::{
    AccessConstraint, Allocation, Backing, BackingPool, BufferDesc, Copied, DynamicExporter,
    ExportError, Exporter, FenceSet, Modifier, Placements,
};
use dmashare_vk::ash::{self, vk};
use dmashare_vk::{AdoptedDevice, Device, MovableImages, QueueLock};

use crate::evict::random::Random;

/// What an injected failure says.
const INJECTED: &str = "this failure was asked for with --faults";

/// Decides what fails.
#[derive(Debug)]
pub(super) struct Faults {
    permille: u32,
    random: Mutex<Random>,
    pub(super) injected: AtomicU64,
}

impl Faults {
    pub(super) fn new(permille: u32, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            permille,
            random: Mutex::new(Random::new(seed ^ 0xfa17)),
            injected: AtomicU64::new(0),
        })
    }

    /// Whether this time it fails.
    fn strikes(&self) -> bool {
        if self.permille == 0 {
            return false;
        }
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let strikes = random.below(1000) < self.permille as usize;
        if strikes {
            self.injected.fetch_add(1, Ordering::Relaxed);
        }
        strikes
    }
}

/// Images that move, some of whose allocations and copies fail.
#[derive(Clone, Debug)]
pub(super) struct FaultyImages {
    pub(super) images: MovableImages,
    pub(super) faults: Arc<Faults>,
    /// Nothing fails before this.
    pub(super) armed: Arc<AtomicU32>,
}

impl FaultyImages {
    fn maybe(&self, operation: &'static str) -> Result<(), ExportError> {
        if self.armed.load(Ordering::Acquire) == 1 && self.faults.strikes() {
            return Err(ExportError::Device {
                exporter: self.name().to_owned(),
                operation,
                source: INJECTED.into(),
            });
        }
        Ok(())
    }
}

impl Exporter for FaultyImages {
    fn name(&self) -> &str {
        self.images.name()
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        self.images.modifiers(desc)
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        self.images.allocate(desc, modifiers)
    }
}

impl DynamicExporter for FaultyImages {
    fn placements(&self, desc: &BufferDesc) -> Result<Placements, ExportError> {
        self.images.placements(desc)
    }

    fn allocate_in(
        &self,
        desc: &BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Allocation, ExportError> {
        self.maybe("allocating")?;
        self.images.allocate_in(desc, wanted)
    }

    fn copy(
        &self,
        desc: &BufferDesc,
        from: &Backing,
        to: &Backing,
        after: &FenceSet,
    ) -> Result<Copied, ExportError> {
        self.maybe("copying")?;
        self.images.copy(desc, from, to, after)
    }

    fn recycle(&self, desc: &BufferDesc, allocation: Allocation, after: FenceSet) {
        self.images.recycle(desc, allocation, after);
    }

    fn pool(&self) -> Option<&BackingPool> {
        self.images.pool()
    }
}

type AllocateMemory = unsafe extern "system" fn(
    vk::Device,
    *const vk::MemoryAllocateInfo<'_>,
    *const vk::AllocationCallbacks<'_>,
    *mut vk::DeviceMemory,
) -> vk::Result;

/// What the shim of `vkAllocateMemory` needs: a function of Vulkan has no parameter for it.
static SHIM: Mutex<Option<(Arc<Faults>, AllocateMemory)>> = Mutex::new(None);

/// `vkAllocateMemory`, some of whose calls fail without reaching the driver.
unsafe extern "system" fn faulty_allocate_memory(
    device: vk::Device,
    info: *const vk::MemoryAllocateInfo<'_>,
    callbacks: *const vk::AllocationCallbacks<'_>,
    memory: *mut vk::DeviceMemory,
) -> vk::Result {
    let shim = SHIM.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shim {
        Some((faults, _)) if faults.strikes() => vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
        // SAFETY: the caller's arguments, passed on to the function that they were meant for.
        Some((_, allocate)) => unsafe { allocate(device, info, callbacks, memory) },
        None => vk::Result::ERROR_INITIALIZATION_FAILED,
    }
}

/// The same `VkDevice`, adopted with a function table in which some memory allocations fail.
///
/// # Errors
/// As [`Device::adopt`].
pub(super) fn faulty(device: &Device, faults: &Arc<Faults>) -> Result<Device> {
    let raw = device.raw();
    let mut functions = raw.fp_v1_0().clone();
    let real = functions.allocate_memory;
    *SHIM.lock().unwrap_or_else(PoisonError::into_inner) = Some((faults.clone(), real));
    functions.allocate_memory = faulty_allocate_memory;
    let table = ash::Device::from_parts_1_3(
        raw.handle(),
        functions,
        raw.fp_v1_1().clone(),
        raw.fp_v1_2().clone(),
        raw.fp_v1_3().clone(),
    );
    let physical = device.physical_device();
    // Those that `Device::open` enables.
    let extensions = physical.sharing_extensions().into_iter();
    // SAFETY: the queue is of the device's only family, which `Device::open` made one queue of.
    let queue = unsafe { raw.get_device_queue(device.queue_family(), 0) };
    let adopted = AdoptedDevice {
        entry: device.instance().entry().clone(),
        instance: device.instance().raw().clone(),
        physical_device: physical.raw(),
        device: table,
        enabled_extensions: extensions.map(CString::from).collect(),
        timeline_semaphore: true,
        synchronization2: true,
        sampler_ycbcr_conversion: false,
        queue_family: device.queue_family(),
        queue,
        queue_lock: QueueLock::new(),
        keep_alive: Some(Arc::new(device.clone())),
    };
    // SAFETY: everything is as `device` says, which the new one keeps; nothing submits to the queue
    // through `device` any more, whose lock is another one.
    Ok(unsafe { Device::adopt(adopted) }?)
}

/// Lets go of what the shim holds.
pub(super) fn forget() {
    *SHIM.lock().unwrap_or_else(PoisonError::into_inner) = None;
}
