//! Plain buffers: exported by one device, imported by another, and made by others.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::{
    DmaBuf, DmaBufMemory, ExportError, Extent, Fourcc, ImportError, LayoutError, Modifier,
    PlaneLayout,
};
use dmashare_vk::ash::vk;
use dmashare_vk::{Device, PlainBuffer, PlainBufferError};
use support::{cpu_read, cpu_write, device, pattern};

const USAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::from_raw(
    vk::BufferUsageFlags::TRANSFER_SRC.as_raw() | vk::BufferUsageFlags::TRANSFER_DST.as_raw(),
);

const COPY: vk::PipelineStageFlags2 = vk::PipelineStageFlags2::ALL_TRANSFER;

/// The bytes of a memory as an image of one row, for `CpuAccess`.
fn as_row(memory: &DmaBufMemory, size: u32) -> DmaBuf {
    let plane = PlaneLayout {
        memory: 0,
        offset: 0,
        stride: size,
    };
    let extent = Extent::new(size, 1);
    DmaBuf::from_memories(
        Fourcc::R8,
        extent,
        Modifier::LINEAR,
        &[plane],
        [memory.clone()],
    )
    .unwrap()
}

/// Records with `record` between the buffers' acquires and releases, submits and waits.
fn run(device: &Device, buffers: &[&PlainBuffer], record: impl FnOnce(vk::CommandBuffer)) {
    let raw = device.raw();
    let info = vk::CommandPoolCreateInfo::default().queue_family_index(device.queue_family());
    // SAFETY: the device is alive and has this family.
    let pool = unsafe { raw.create_command_pool(&info, None) }.unwrap();
    let info = vk::CommandBufferAllocateInfo::default()
        .command_pool(pool)
        .command_buffer_count(1);
    // SAFETY: the pool is new.
    let commands = unsafe { raw.allocate_command_buffers(&info) }.unwrap()[0];
    let begin = vk::CommandBufferBeginInfo::default();
    // SAFETY: the buffer is in the initial state.
    unsafe { raw.begin_command_buffer(commands, &begin) }.unwrap();
    let access = vk::AccessFlags2::TRANSFER_READ | vk::AccessFlags2::TRANSFER_WRITE;
    let acquires: Vec<_> = buffers
        .iter()
        .map(|buffer| buffer.acquire(COPY, access))
        .collect();
    let info = vk::DependencyInfo::default().buffer_memory_barriers(&acquires);
    // SAFETY: the command buffer is recording.
    unsafe { raw.cmd_pipeline_barrier2(commands, &info) };
    record(commands);
    let releases: Vec<_> = buffers
        .iter()
        .map(|buffer| buffer.release(COPY, access))
        .collect();
    let info = vk::DependencyInfo::default().buffer_memory_barriers(&releases);
    // SAFETY: the command buffer is recording.
    unsafe { raw.cmd_pipeline_barrier2(commands, &info) };
    // SAFETY: the command buffer is recording.
    unsafe { raw.end_command_buffer(commands) }.unwrap();
    let infos = [vk::CommandBufferSubmitInfo::default().command_buffer(commands)];
    let submit = [vk::SubmitInfo2::default().command_buffer_infos(&infos)];
    let queue = device.queue().unwrap();
    // SAFETY: the queue's lock is held, the command buffer is executable.
    unsafe { raw.queue_submit2(queue.raw(), &submit, vk::Fence::null()) }.unwrap();
    // SAFETY: the queue's lock is held.
    unsafe { raw.queue_wait_idle(queue.raw()) }.unwrap();
    drop(queue);
    // SAFETY: the work is over.
    unsafe { raw.destroy_command_pool(pool, None) };
}

#[test]
fn bytes_are_equal_between_two_devices_and_the_cpu() {
    const SIZE: u32 = 70_000;
    let size = u64::from(SIZE);
    let (a, b) = (device(), device());
    let exported = a.export_buffer("plain", size, USAGE).unwrap();
    assert!(exported.memory().size() >= size);
    let imported = b.import_buffer(exported.memory(), size, USAGE).unwrap();
    assert_eq!(imported.memory().id(), exported.memory().id());
    // A fills, the CPU sees it.
    run(&a, &[&exported], |commands| {
        // SAFETY: the command buffer is recording; the size is the buffer's, a multiple of 4.
        unsafe {
            a.raw()
                .cmd_fill_buffer(commands, exported.raw(), 0, size, 0x0403_0201);
        }
    });
    let row = as_row(exported.memory(), SIZE);
    let expected: Vec<u8> = [1, 2, 3, 4].into_iter().cycle().take(70_000).collect();
    assert_eq!(cpu_read(&row), expected);
    // The CPU writes, B copies the first half over the second, and A's memory has it.
    let mut bytes = pattern(70_000, 1);
    cpu_write(&row, &bytes);
    run(&b, &[&imported], |commands| {
        let region = vk::BufferCopy::default()
            .dst_offset(size / 2)
            .size(size / 2);
        // SAFETY: the command buffer is recording; the halves do not overlap.
        unsafe {
            b.raw()
                .cmd_copy_buffer(commands, imported.raw(), imported.raw(), &[region]);
        }
    });
    bytes.copy_within(..35_000, 35_000);
    assert_eq!(cpu_read(&row), bytes);
}

#[test]
fn dmabufs_of_others_are_imported() {
    let device = device();
    let memories = [
        support::heap().allocate_memory(8192).unwrap(),
        support::udmabuf().allocate_memory(8192).unwrap(),
    ];
    for memory in memories {
        let buffer = device.import_buffer(&memory, 8192, USAGE).unwrap();
        run(&device, &[&buffer], |commands| {
            // SAFETY: the command buffer is recording, and the range is inside the buffer.
            unsafe {
                device
                    .raw()
                    .cmd_fill_buffer(commands, buffer.raw(), 0, 8192, 0x0707_0707);
            }
        });
        assert!(
            cpu_read(&as_row(&memory, 8192))
                .iter()
                .all(|byte| *byte == 7)
        );
    }
}

#[test]
fn bad_imports_are_refused() {
    let device = device();
    let memory = support::heap().allocate_memory(4096).unwrap();
    let refuse = |size, usage| device.import_buffer(&memory, size, usage).unwrap_err();
    assert!(matches!(
        refuse(4097, USAGE),
        PlainBufferError::Import(ImportError::MemoryTooSmall {
            required: 4097,
            actual: 4096,
            ..
        })
    ));
    assert!(matches!(
        refuse(u64::MAX, USAGE),
        PlainBufferError::TooLarge { .. }
    ));
    assert!(matches!(refuse(0, USAGE), PlainBufferError::EmptySize));
    assert!(matches!(
        refuse(4096, vk::BufferUsageFlags::empty()),
        PlainBufferError::EmptyUsage
    ));
}

#[test]
fn bad_exports_are_refused() {
    let device = device();
    let refuse = |name, size, usage| device.export_buffer(name, size, usage).unwrap_err();
    assert!(matches!(
        refuse("", 4096, USAGE),
        PlainBufferError::Export(ExportError::Layout(LayoutError::EmptyName))
    ));
    let empty = refuse("empty", 0, USAGE);
    assert!(matches!(empty, PlainBufferError::EmptySize));
    assert!(empty.to_string().contains("0 bytes"), "{empty}");
    let useless = refuse("useless", 4096, vk::BufferUsageFlags::empty());
    assert!(matches!(useless, PlainBufferError::EmptyUsage));
    assert!(useless.to_string().contains("usage"), "{useless}");
    match refuse("endless", u64::MAX, USAGE) {
        PlainBufferError::TooLarge { size, maximum, .. } => {
            assert_eq!(size, u64::MAX);
            // Vulkan 1.3 promises 2^30 bytes at least ("Required Limits").
            assert!((1 << 30..u64::MAX).contains(&maximum), "{maximum}");
            // The driver is not asked for one byte too many either.
            assert!(matches!(
                refuse("one more", maximum + 1, USAGE),
                PlainBufferError::TooLarge { .. }
            ));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_buffer_is_named_in_the_kernels_list() {
    let device = device();
    let buffer = device.export_buffer("a plain name", 4096, USAGE).unwrap();
    let inode = buffer.memory().id().inode();
    let info = dmashare_lab_probe::bufinfo();
    let entry = info.iter().find(|entry| entry.inode == inode).unwrap();
    assert_eq!(entry.name, "a plain name");
}
