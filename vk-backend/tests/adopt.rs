//! Devices that the application has made: two users of one `VkDevice`, and when it may go.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::ffi::CString;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dmashare::{
    Access, Backing, BufferDesc, Fence, FenceSet, ImportError, Importer, Submission, SubmitError,
    SyncFile,
};
use dmashare_lab_probe::SwSyncTimeline;
use dmashare_vk::ash::{self, ext, khr, vk};
use dmashare_vk::{AdoptedDevice, Device, Instance, QueueLock};
use support::{assert_same_bytes, buffer, device, map, pattern};

const LONG: Duration = Duration::from_secs(30);

/// The application's device; it is destroyed when the last holder is gone.
struct Owner {
    instance: Instance,
    device: ash::Device,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // SAFETY: the library holds this object for as long as it uses the device.
        unsafe { self.device.destroy_device(None) };
    }
}

struct Application {
    owner: Arc<Owner>,
    physical_device: vk::PhysicalDevice,
    extensions: Vec<CString>,
    queue_lock: QueueLock,
}

impl Application {
    fn new() -> Self {
        let instance = support::instance();
        let physical = instance
            .select(&dmashare_vk::DeviceSelector::Any)
            .unwrap_or_else(|error| panic!("{error}; run this test with `cargo lab test`"));
        let extensions: Vec<CString> = [
            khr::external_memory_fd::NAME,
            ext::external_memory_dma_buf::NAME,
            ext::image_drm_format_modifier::NAME,
            khr::external_semaphore_fd::NAME,
        ]
        .map(ToOwned::to_owned)
        .into();
        let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
        let mut features_12 =
            vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
        let mut features_13 = vk::PhysicalDeviceVulkan13Features::default().synchronization2(true);
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .push_next(&mut features_12)
            .push_next(&mut features_13);
        // SAFETY: a device that shares offers all of it; `info` outlives the call.
        let device = unsafe { instance.raw().create_device(physical.raw(), &info, None) }.unwrap();
        Self {
            owner: Arc::new(Owner { instance, device }),
            physical_device: physical.raw(),
            extensions,
            queue_lock: QueueLock::new(),
        }
    }

    fn adopt(&self) -> Device {
        // SAFETY: the device was made with one queue of family 0.
        let queue = unsafe { self.owner.device.get_device_queue(0, 0) };
        let adopted = AdoptedDevice {
            entry: self.owner.instance.entry().clone(),
            instance: self.owner.instance.raw().clone(),
            physical_device: self.physical_device,
            device: self.owner.device.clone(),
            enabled_extensions: self.extensions.clone(),
            timeline_semaphore: true,
            synchronization2: true,
            sampler_ycbcr_conversion: false,
            queue_family: 0,
            queue,
            queue_lock: self.queue_lock.clone(),
            keep_alive: Some(self.owner.clone()),
        };
        // SAFETY: the handles belong together, `keep_alive` keeps them, and everyone who uses the
        // queue takes the lock.
        unsafe { Device::adopt(adopted) }.unwrap()
    }
}

/// Without `VK_EXT_queue_family_foreign`, which this application has not enabled.
#[test]
fn an_adopted_device_shares_with_an_opened_one() {
    let application = Application::new();
    let (adopted, opened) = (application.adopt(), device());
    let shared = buffer(&adopted, "adopted");
    let acquire = map(&shared, &adopted).object().acquire(
        vk::PipelineStageFlags2::COPY,
        vk::AccessFlags2::TRANSFER_READ,
    );
    assert_eq!(acquire.src_queue_family_index, vk::QUEUE_FAMILY_EXTERNAL);
    let pixels = pattern(64 * 32 * 4, 1);
    let (in_adopted, in_opened) = (map(&shared, &adopted), map(&shared, &opened));
    adopted.transfer().upload(&in_adopted, &pixels).unwrap();
    let read = opened.transfer().download(&in_opened).unwrap();
    assert_same_bytes(&read, &pixels, "adopted to opened");
}

#[test]
fn two_users_of_one_device_wait_for_each_others_timeline() {
    let application = Application::new();
    let (first, second) = (application.adopt(), application.adopt());
    let shared = buffer(&first, "neighbours");
    let (in_first, in_second) = (map(&shared, &first), map(&shared, &second));
    // Each has an image of its own, so that each can acquire and release it.
    assert_ne!(in_first.object().raw(), in_second.object().raw());
    let sw_sync = SwSyncTimeline::new();
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    Submission::begin([in_first.write()])
        .unwrap()
        .commit(&file.into());
    let submit = |device: &Device, mapping: &dmashare::Mapping<Device>| {
        let submission = device.submission([mapping.write()]).unwrap();
        let waits = submission.waits().to_vec();
        let signal = submission.signals()[0];
        // SAFETY: there are no command buffers.
        let fence = unsafe { submission.submit(&[]) }.unwrap();
        (waits, signal, fence)
    };
    let (_, signalled, _) = submit(&first, &in_first);
    let (waits, _, fence) = submit(&second, &in_second);
    // A timeline semaphore of the same VkDevice is waited for as it is.
    assert!(
        waits
            .iter()
            .any(|wait| { wait.semaphore == signalled.semaphore && wait.value == signalled.value })
    );
    sw_sync.increment(1);
    fence.wait(LONG).unwrap();
    shared.wait_ready(Access::Write, LONG).unwrap();
}

/// An importer that is no Vulkan device.
#[derive(Clone)]
struct Card;

impl Importer for Card {
    type Object = ();

    fn name(&self) -> &str {
        "card"
    }

    fn import(&self, _desc: &BufferDesc, _backing: &Backing) -> Result<(), ImportError> {
        Ok(())
    }

    fn retire(&self, _object: (), _after: FenceSet) {}
}

#[test]
fn mappings_of_others_are_refused() {
    let application = Application::new();
    let (first, second, other) = (application.adopt(), application.adopt(), device());
    let (own, shared) = (buffer(&first, "own"), buffer(&first, "foreign"));
    let own = map(&own, &first);
    let card = shared.attach(&Card).unwrap().map().unwrap();
    for foreign in [
        map(&shared, &second).read(),
        map(&shared, &other).write(),
        card.read(),
    ] {
        match first.submission([own.write(), foreign]) {
            Err(SubmitError::ForeignMapping { buffer }) => assert_eq!(buffer, "foreign"),
            other => panic!("{other:?}"),
        }
    }
    // Nothing is locked, and a clone of the device is the device.
    let again = map(&shared, &first.clone());
    let submission = first.submission([own.write(), again.read()]).unwrap();
    // SAFETY: there are no command buffers.
    unsafe { submission.submit(&[]) }
        .unwrap()
        .wait(LONG)
        .unwrap();
}

#[test]
fn the_application_shares_the_queue_by_its_lock() {
    let application = Application::new();
    let device = application.adopt();
    let shared = buffer(&device, "lock");
    let mapping = map(&shared, &device);
    let guard = application.queue_lock.lock().unwrap();
    assert!(device.submission([mapping.write()]).is_err());
    drop(guard);
    let submission = device.submission([mapping.write()]).unwrap();
    assert!(application.queue_lock.lock().is_err());
    drop(submission);
    assert!(application.queue_lock.lock().is_ok());
}

#[test]
fn what_was_to_be_kept_is_dropped_with_the_last_object() {
    let application = Application::new();
    let device = application.adopt();
    let shared = buffer(&device, "kept");
    let mapping = map(&shared, &device);
    let submission = device.submission([mapping.write()]).unwrap();
    // SAFETY: there are no command buffers.
    let fence = unsafe { submission.submit(&[]) }.unwrap();
    let owner = Arc::downgrade(&application.owner);
    drop(application);
    drop((device, mapping));
    assert!(owner.upgrade().is_some(), "the buffer is the device's");
    drop(shared);
    fence.wait(LONG).unwrap();
    assert!(owner.upgrade().is_some(), "a fence is left");
    drop(fence);
    assert!(owner.upgrade().is_none());
}

/// Work of `user` that fills `buffer` once the timeline is told. The pool goes with the device.
fn fill_later(
    user: &Device,
    buffer: vk::Buffer,
    sw_sync: &SwSyncTimeline,
) -> (Fence, vk::CommandPool) {
    let shared = support::buffer(user, "gate");
    let mapping = map(&shared, user);
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    Submission::begin([mapping.write()])
        .unwrap()
        .commit(&file.into());
    let info = vk::CommandPoolCreateInfo::default().queue_family_index(user.queue_family());
    // SAFETY: the device is alive and has this family.
    let pool = unsafe { user.raw().create_command_pool(&info, None) }.unwrap();
    let info = vk::CommandBufferAllocateInfo::default()
        .command_pool(pool)
        .command_buffer_count(1);
    // SAFETY: the pool is new.
    let commands = unsafe { user.raw().allocate_command_buffers(&info) }.unwrap()[0];
    let begin = vk::CommandBufferBeginInfo::default();
    // SAFETY: the command buffer is in the initial state.
    unsafe { user.raw().begin_command_buffer(commands, &begin) }.unwrap();
    // SAFETY: the command buffer is recording; the buffer was made for transfers.
    unsafe {
        user.raw()
            .cmd_fill_buffer(commands, buffer, 0, vk::WHOLE_SIZE, 7);
    }
    // SAFETY: the command buffer is recording.
    unsafe { user.raw().end_command_buffer(commands) }.unwrap();
    let submission = user.submission([mapping.write()]).unwrap();
    let info = vk::CommandBufferSubmitInfo::default().command_buffer(commands);
    // SAFETY: the command buffer is executable, and its pool stays until the fence is over.
    let fence = unsafe { submission.submit(&[info]) }.unwrap();
    (fence, pool)
}

#[test]
fn the_last_handle_waits_for_the_other_users_work_on_what_it_retired() {
    let application = Application::new();
    let (first, second) = (application.adopt(), application.adopt());
    let usage = vk::BufferUsageFlags::TRANSFER_DST;
    let plain = first.export_buffer("retired", 4096, usage).unwrap();
    let sw_sync = SwSyncTimeline::new();
    let (fence, pool) = fill_later(&second, plain.raw(), &sw_sync);
    first.retire_buffer(plain, [fence.clone()].into_iter().collect::<FenceSet>());
    assert_eq!(first.retired(), 1);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            sw_sync.increment(1);
        });
        let start = Instant::now();
        drop(first);
        assert!(start.elapsed() >= Duration::from_millis(150));
    });
    assert!(fence.status().is_over());
    // SAFETY: the work is over.
    unsafe { second.raw().destroy_command_pool(pool, None) };
    // Nothing was left behind that keeps the device.
    let owner = Arc::downgrade(&application.owner);
    drop((application, second, fence));
    assert!(owner.upgrade().is_none());
}

#[test]
fn what_the_other_users_endless_work_may_use_is_left_behind() {
    let application = Application::new();
    let (first, second) = (application.adopt(), application.adopt());
    let usage = vk::BufferUsageFlags::TRANSFER_DST;
    let plain = first.export_buffer("endless", 4096, usage).unwrap();
    let sw_sync = SwSyncTimeline::new();
    let (fence, pool) = fill_later(&second, plain.raw(), &sw_sync);
    first.retire_buffer(plain, [fence.clone()].into_iter().collect::<FenceSet>());
    let start = Instant::now();
    drop(first);
    let elapsed = start.elapsed();
    assert!(
        elapsed >= Duration::from_secs(5) && elapsed < LONG,
        "{elapsed:?}"
    );
    assert!(!fence.status().is_over());
    // The work still has its buffer, and goes on with it.
    sw_sync.increment(1);
    fence.wait(LONG).unwrap();
    // SAFETY: the work is over.
    unsafe { second.raw().destroy_command_pool(pool, None) };
    let owner = Arc::downgrade(&application.owner);
    drop((application, second, fence));
    assert!(owner.upgrade().is_some(), "the buffer keeps the device");
}
