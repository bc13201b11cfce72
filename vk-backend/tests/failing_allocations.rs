//! Every allocation of the kernel fails in turn while the library makes and checks dma-bufs.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use dmashare::{DmaBufMemory, Modifier, SharedBuffer, Submission, SubmitError, SyncFile};
use dmashare_lab_probe::{SwSyncTimeline, bufinfo, for_each_failing_allocation, open_files};
use dmashare_vk::ash::vk;
use dmashare_vk::{Device, DeviceSelector};
use support::{alone, device, heap, map, small};

#[test]
fn import_of_a_heap_buffer() {
    let _alone = alone();
    let device = device();
    let shared = SharedBuffer::new(&heap(), small("import"), &[Modifier::LINEAR]).unwrap();
    drop(map(&shared, &device));
    let before = (open_files(), bufinfo());
    let failures = for_each_failing_allocation(
        || {
            shared
                .attach(&device)
                .map(|attachment| attachment.map().map(drop))
        },
        |nth, result| {
            drop(result);
            device.dispatch();
            assert_eq!((open_files(), bufinfo()), before, "allocation {nth}");
            assert!(shared.attachments().is_empty(), "allocation {nth}");
        },
    );
    assert!(failures > 0, "nothing was injected");
    // The device still works.
    drop(map(&shared, &device));
}

/// A plain buffer and not an image, because an image's export waits for the queue: the kernel's fault
/// injection reaches the futex calls of the driver's threads there, which abort in glibc. The system
/// calls of this library are the same.
#[test]
fn export_of_a_plain_buffer() {
    let _alone = alone();
    let device = device();
    let usage = vk::BufferUsageFlags::TRANSFER_SRC;
    let export = || device.export_buffer("export", 8192, usage);
    drop(export().unwrap());
    let before = (open_files(), bufinfo());
    let failures = for_each_failing_allocation(export, |nth, result| {
        drop(result);
        assert_eq!((open_files(), bufinfo()), before, "allocation {nth}");
    });
    assert!(failures > 0, "nothing was injected");
    drop(export().unwrap());
}

#[test]
fn a_dma_buf_is_checked_and_named() {
    let _alone = alone();
    let memory = heap().allocate_memory(8192).unwrap();
    memory.set_name("named").unwrap();
    let before = (open_files(), bufinfo());
    let failures = for_each_failing_allocation(
        || {
            let again = DmaBufMemory::new(memory.duplicate_fd()?)?;
            again.set_name("named")?;
            Ok::<_, dmashare::DmaBufError>(again)
        },
        |nth, result| {
            drop(result);
            assert_eq!(open_files(), before.0, "allocation {nth}");
        },
    );
    assert!(failures > 0, "nothing was injected");
    assert_eq!((open_files(), bufinfo()), before);
}

#[test]
fn a_sync_file_is_waited_for() {
    let _alone = alone();
    // The first device leaves a few descriptors with its instance.
    let instance = support::instance();
    let physical = instance.select(&DeviceSelector::Any).unwrap();
    drop(Device::open(&physical).unwrap());
    let before = (open_files(), bufinfo());
    let device = Device::open(&physical).unwrap();
    let shared = SharedBuffer::new(&heap(), small("wait"), &[Modifier::LINEAR]).unwrap();
    let mapping = map(&shared, &device);
    let sw_sync = SwSyncTimeline::new();
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    Submission::begin([mapping.write()])
        .unwrap()
        .commit(&file.into());
    let failures = for_each_failing_allocation(
        || device.submission([mapping.read()]).map(drop),
        |nth, result| {
            if let Err(error) = result {
                assert!(
                    matches!(error, SubmitError::Fence(_) | SubmitError::Device { .. }),
                    "allocation {nth}: {error:?}"
                );
            }
        },
    );
    assert!(failures > 0, "nothing was injected");
    let fence = {
        let submission = device.submission([mapping.read()]).unwrap();
        // SAFETY: there are no command buffers.
        unsafe { submission.submit(&[]) }.unwrap()
    };
    sw_sync.increment(1);
    fence.wait(Duration::from_secs(10)).unwrap();
    drop((mapping, shared, fence, sw_sync, device));
    assert_eq!((open_files(), bufinfo()), before);
}
