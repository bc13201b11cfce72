//! Copies between images that differ, and images that are not what a description says: errors, before
//! the driver sees them.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use dmashare::host::DmaHeap;
use dmashare::route::CopyEngine;
use dmashare::{
    Allocation, BufferDesc, CopyError, Damage, DynamicExporter, ExportError, Exporter, Extent,
    FenceSet, Fourcc, ImportError, Importer, LayoutError, Modifier, SharedBuffer, Usage,
};
use dmashare_vk::TransferError;
use support::{
    assert_same_bytes, cpu_read, desc, device, fresh_buffer, heap, map, movable, movable_buffer,
    packed_size, pattern, small, upload,
};

fn large(name: &str) -> BufferDesc {
    desc(name, Fourcc::XRGB8888, Extent::new(2048, 2048))
}

fn in_heap(desc: BufferDesc) -> SharedBuffer {
    SharedBuffer::new(&heap(), desc, &[Modifier::LINEAR]).unwrap()
}

#[test]
fn an_engine_connects_only_two_images_of_the_same_format_and_extent() {
    let device = device();
    let image = in_heap(large("image"));
    let bytes = desc("bytes", Fourcc::R8, Extent::new(2048, 2048));
    let again = image.backing().dmabuf().clone();
    let again = SharedBuffer::from_dmabuf(large("image again"), again).unwrap();
    for other in [
        in_heap(small("small")),
        in_heap(bytes),
        image.clone(),
        again,
    ] {
        for (from, to) in [(&image, &other), (&other, &image)] {
            let connected = device.connect(from, to).map(drop);
            let name = other.desc().name.clone();
            assert!(
                matches!(connected, Err(CopyError::Mismatch { .. })),
                "{name}: {connected:?}"
            );
        }
    }
    let copier = device.connect(&image, &in_heap(large("copy"))).unwrap();
    copier.copy(&Damage::whole()).unwrap();
}

/// By the exporter's own function, which anyone may call with any two backings.
#[test]
fn a_move_copies_only_between_two_images_of_the_same_format_and_extent() {
    let device = device();
    let images = movable(&device);
    let image = movable_buffer(&images, large("image"));
    let tiny = movable_buffer(&images, small("small"));
    let bytes = desc("bytes", Fourcc::R8, Extent::new(2048, 2048));
    let bytes = movable_buffer(&images, bytes);
    let copy = |from: &SharedBuffer, to: &SharedBuffer| {
        images.copy(
            image.desc(),
            &from.backing(),
            &to.backing(),
            &FenceSet::new(),
        )
    };
    for (from, to) in [
        (&image, &tiny),
        (&tiny, &image),
        (&image, &bytes),
        (&image, &image),
    ] {
        let copied = copy(from, to);
        let is_refused = matches!(
            copied,
            Err(ExportError::Device {
                operation: "vkCmdCopyImage",
                ..
            })
        );
        assert!(is_refused, "{copied:?}");
    }
    // Without the usage that a copy needs.
    let plain = SharedBuffer::new(
        &device,
        BufferDesc::new(
            "for sampling",
            Extent::new(2048, 2048),
            Fourcc::XRGB8888,
            Usage::SAMPLE,
        ),
        &[Modifier::LINEAR],
    );
    assert!(copy(&plain.unwrap(), &image).is_err());
    copy(&image, &movable_buffer(&images, large("copy"))).unwrap();
}

#[test]
fn a_transfer_between_two_images_of_the_same_memory_is_refused() {
    let device = device();
    let image = in_heap(small("image"));
    let again = image.backing().dmabuf().clone();
    let again = SharedBuffer::from_dmabuf(small("image again"), again).unwrap();
    let (from, to) = (map(&image, &device), map(&again, &device));
    let copied = device.transfer().copy(&from, &to);
    let is_refused = matches!(copied, Err(TransferError::Mismatch { .. }));
    assert!(is_refused, "{copied:?}");
}

#[test]
fn an_import_with_the_description_of_another_image_is_refused() {
    let device = device();
    let buffer = in_heap(small("image"));
    for other in [
        large("large"),
        desc("bytes", Fourcc::R8, Extent::new(64, 32)),
    ] {
        let imported = device.import(&other, &buffer.backing());
        let is_refused = matches!(
            imported,
            Err(ImportError::Layout(LayoutError::DescMismatch { .. }))
        );
        assert!(is_refused, "{imported:?}");
    }
    // So is this device's own image.
    let own = fresh_buffer(&device, "own");
    let imported = device.import(&large("large"), &own.backing());
    assert!(imported.is_err(), "{imported:?}");
}

/// An exporter that passes another image of the device off as the origin of its memory.
#[derive(Clone)]
struct Impostor {
    memory: DmaHeap,
    origin: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Impostor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Impostor").finish_non_exhaustive()
    }
}

impl Exporter for Impostor {
    fn name(&self) -> &str {
        "impostor"
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        self.memory.modifiers(desc)
    }

    fn allocate(&self, desc: &BufferDesc, among: &[Modifier]) -> Result<Allocation, ExportError> {
        let mut made = self.memory.allocate(desc, among)?;
        made.origin = self.origin.clone();
        Ok(made)
    }
}

#[test]
fn an_origin_that_is_another_image_is_not_used() {
    let device = device();
    let linear = [Modifier::LINEAR];
    let sampled = BufferDesc::new(
        "for sampling",
        Extent::new(2048, 2048),
        Fourcc::XRGB8888,
        Usage::SAMPLE,
    );
    for other in [small("tiny"), sampled] {
        let impostor = Impostor {
            memory: heap(),
            origin: device.allocate(&other, &linear).unwrap().origin,
        };
        let buffer = SharedBuffer::new(&impostor, large("large"), &linear).unwrap();
        let pixels = pattern(packed_size(Fourcc::XRGB8888, Extent::new(2048, 2048)), 7);
        upload(&buffer, &device, &pixels);
        assert_same_bytes(&cpu_read(buffer.backing().dmabuf()), &pixels, "uploaded");
    }
}
