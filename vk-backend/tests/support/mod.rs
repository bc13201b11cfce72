//! What several tests of this crate need.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmashare::host::{DmaHeap, HostMemory, Udmabuf};
use dmashare::{
    Access, AccessConstraint, BufferDesc, CpuAccess, DmaBuf, Extent, Fence, Fourcc, Mapping,
    Modifier, Placement, SharedBuffer, Submission, SyncFile, Usage,
};
use dmashare_lab_probe::SwSyncTimeline;
use dmashare_vk::{Device, DeviceSelector, Instance, InstanceOptions, MovableImages};

/// Nothing in a test takes this long, unless it hangs.
pub const LONG: Duration = Duration::from_secs(30);

pub const COPY: Usage = Usage::TRANSFER_SOURCE.union(Usage::TRANSFER_DESTINATION);

/// Whether this is the lab, where every device and format of `reference` must be there.
pub fn in_lab() -> bool {
    std::env::var_os("DMASHARE_LAB").is_some()
}

/// Tests that count the process's descriptors or dma-bufs exclude each other.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn instance() -> Instance {
    Instance::new(&InstanceOptions::new("dmashare-vk tests"))
        .unwrap_or_else(|error| panic!("no Vulkan: {error}; run this test with `cargo lab test`"))
}

/// A device of its own: each call opens another `VkDevice`.
pub fn device() -> Device {
    let physical = instance()
        .select(&DeviceSelector::Any)
        .unwrap_or_else(|error| {
            panic!("no device that shares: {error}; run this test with `cargo lab test`")
        });
    Device::open(&physical).unwrap()
}

pub fn heap() -> DmaHeap {
    DmaHeap::open("system").unwrap_or_else(|error| {
        panic!("/dev/dma_heap/system: {error}; run this test with `cargo lab test`")
    })
}

pub fn udmabuf() -> Udmabuf {
    Udmabuf::open().unwrap_or_else(|error| {
        panic!("/dev/udmabuf: {error}; run this test with `cargo lab test`")
    })
}

pub fn desc(name: &str, format: Fourcc, extent: Extent) -> BufferDesc {
    BufferDesc::new(name, extent, format, COPY)
}

pub fn small(name: &str) -> BufferDesc {
    desc(name, Fourcc::XRGB8888, Extent::new(64, 32))
}

/// A buffer that nobody has used: its image's first release is owed.
pub fn fresh_buffer(device: &Device, name: &str) -> SharedBuffer {
    SharedBuffer::new(device, small(name), &[Modifier::LINEAR]).unwrap()
}

/// A buffer whose image was released to everyone, so that nothing is in flight.
pub fn buffer(device: &Device, name: &str) -> SharedBuffer {
    let shared = fresh_buffer(device, name);
    drop(map(&shared, device));
    shared.wait_ready(Access::Write, LONG).unwrap();
    device.dispatch();
    shared
}

/// Collects everything that the device has retired, which is over soon.
pub fn collect_all(device: &Device) {
    let start = std::time::Instant::now();
    while device.retired() > 0 {
        assert!(start.elapsed() < LONG, "{} are left", device.retired());
        device.dispatch();
        std::thread::yield_now();
    }
}

pub fn map(buffer: &SharedBuffer, device: &Device) -> Mapping<Device> {
    buffer.attach(device).unwrap().map().unwrap()
}

/// Bytes of all rows of all planes, without padding.
pub fn packed_size(format: Fourcc, extent: Extent) -> usize {
    let planes = format.info().unwrap().planes;
    let bytes: u64 = planes
        .iter()
        .map(|plane| plane.row_bytes(extent.width) * u64::from(plane.rows(extent.height)))
        .sum();
    usize::try_from(bytes).unwrap()
}

/// Bytes that differ from place to place and from seed to seed.
pub fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    (0..length)
        .map(|_| {
            // xorshift32
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        })
        .collect()
}

/// Where two pixel arrays differ, without printing them.
pub fn assert_same_bytes(actual: &[u8], expected: &[u8], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: length");
    let wrong = actual
        .iter()
        .zip(expected)
        .filter(|(actual, expected)| actual != expected)
        .count();
    let first = actual
        .iter()
        .zip(expected)
        .position(|(actual, expected)| actual != expected);
    assert_eq!(
        (wrong, first),
        (0, None),
        "{what}: wrong bytes, and the first of them"
    );
}

/// Writes packed rows with the CPU.
pub fn cpu_write(dmabuf: &DmaBuf, pixels: &[u8]) {
    let mut access = CpuAccess::begin(dmabuf, Access::Write).unwrap();
    let mut at = 0;
    for (plane, info) in dmabuf.format().info().unwrap().planes.iter().enumerate() {
        let bytes = access.row_bytes(plane).unwrap();
        for row in 0..info.rows(dmabuf.extent().height) {
            access
                .write_row(plane, row, &pixels[at..at + bytes])
                .unwrap();
            at += bytes;
        }
    }
}

/// Reads packed rows with the CPU.
pub fn cpu_read(dmabuf: &DmaBuf) -> Vec<u8> {
    let access = CpuAccess::begin(dmabuf, Access::Read).unwrap();
    let mut pixels = vec![0; packed_size(dmabuf.format(), dmabuf.extent())];
    let mut at = 0;
    for (plane, info) in dmabuf.format().info().unwrap().planes.iter().enumerate() {
        let bytes = access.row_bytes(plane).unwrap();
        for row in 0..info.rows(dmabuf.extent().height) {
            access
                .read_row(plane, row, &mut pixels[at..at + bytes])
                .unwrap();
            at += bytes;
        }
    }
    pixels
}

/// Where the kernel's list says that a buffer's memory is from; `None` if it is not there.
pub fn kernel_exporter(inode: u64) -> Option<String> {
    let list = dmashare_lab_probe::bufinfo();
    let found = list.into_iter().find(|info| info.inode == inode);
    found.map(|info| info.exporter)
}

pub fn inode(shared: &SharedBuffer) -> u64 {
    shared.backing().dmabuf().id().inode()
}

/// An exporter whose buffers move between the device, the heap "system" and a memfd.
pub fn movable(device: &Device) -> MovableImages {
    MovableImages::new(device, Some(HostMemory::new(Some(heap()), Some(udmabuf()))))
}

pub fn at(placement: Placement) -> AccessConstraint {
    AccessConstraint::placements(placement.into())
}

/// A buffer that can move, in the device's memory.
pub fn movable_buffer(images: &MovableImages, desc: BufferDesc) -> SharedBuffer {
    let shared = SharedBuffer::new_dynamic(images, desc, &at(Placement::Device)).unwrap();
    assert_eq!(shared.backing().placement(), Placement::Device);
    shared
}

/// Moves a buffer and waits for it.
pub fn move_to(shared: &SharedBuffer, placement: Placement) {
    let moved = shared.move_to(&at(placement)).unwrap();
    moved.wait(LONG).unwrap();
    assert_eq!(shared.backing().placement(), placement);
}

/// Writes a buffer's pixels through a device.
pub fn upload(shared: &SharedBuffer, device: &Device, pixels: &[u8]) {
    let mapping = map_dynamic(shared, device);
    device.transfer().upload(&mapping, pixels).unwrap();
}

/// Reads a buffer's pixels through a device.
pub fn download(shared: &SharedBuffer, device: &Device) -> Vec<u8> {
    let mapping = map_dynamic(shared, device);
    device.transfer().download(&mapping).unwrap()
}

/// A mapping that pins nothing.
pub fn map_dynamic(shared: &SharedBuffer, device: &Device) -> Mapping<Device> {
    let flag = Arc::new(AtomicBool::new(false));
    let attachment = shared.attach_dynamic(device, flag).unwrap();
    attachment.map().unwrap()
}

/// Work on a mapping that is over when `value` is reached on the timeline.
pub fn busy_until(
    device: &Device,
    mapping: &Mapping<Device>,
    sw_sync: &SwSyncTimeline,
    value: u32,
) -> Fence {
    let file = SyncFile::new(sw_sync.fence(value)).unwrap();
    Submission::begin([mapping.read()])
        .unwrap()
        .commit(&file.into());
    submit_empty(device, mapping, Access::Write)
}

/// Submits the waits and signals, without command buffers.
pub fn submit_empty(device: &Device, mapping: &Mapping<Device>, access: Access) -> Fence {
    let submission = device.submission([mapping.used_for(access)]).unwrap();
    // SAFETY: there are no command buffers.
    unsafe { submission.submit(&[]) }.unwrap()
}

/// What everyone reads from the buffer is `pixels`.
pub fn assert_content(shared: &SharedBuffer, devices: &[&Device], pixels: &[u8], what: &str) {
    for device in devices {
        assert_same_bytes(&download(shared, device), pixels, what);
    }
    let backing = shared.backing();
    if backing.dmabuf().layout().modifier().is_linear() {
        shared.wait_ready(Access::Read, LONG).unwrap();
        assert_same_bytes(&cpu_read(backing.dmabuf()), pixels, &format!("{what}, CPU"));
    }
}
