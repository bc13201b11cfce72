//! Images that move because of the strides that importers demand.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dmashare::{
    AccessConstraint, Backing, BufferDesc, DynamicExporter, ExportError, Extent, FenceSet, Fourcc,
    ImportError, Importer, MoveError, Placement, Placements, SharedBuffer,
};
use dmashare_lab_probe::{bufinfo, open_files};
use dmashare_vk::{Device, Image, StrideMisaligned};
use support::{
    LONG, alone, assert_content, at, desc, device, movable, movable_buffer, move_to, packed_size,
    pattern, upload,
};

/// The layout that the driver gives the image does not fit, so it is made in host memory.
#[test]
fn a_stride_that_the_device_does_not_have_moves_an_image_to_host_memory() {
    let _alone = alone();
    let device = device();
    let images = movable(&device);
    let extent = Extent::new(333, 77);
    let shared = movable_buffer(&images, desc("stride", Fourcc::XRGB8888, extent));
    let stride = |shared: &SharedBuffer| shared.backing().dmabuf().layout().planes()[0].stride;
    let pixels = pattern(packed_size(Fourcc::XRGB8888, extent), 9);
    upload(&shared, &device, &pixels);
    if support::in_lab() {
        assert_eq!(stride(&shared), 1344);
    }
    let mut wanted = AccessConstraint::default();
    wanted.stride_alignment = 256;
    let fits = stride(&shared).is_multiple_of(256);
    shared.move_to(&wanted).unwrap().wait(LONG).unwrap();
    assert!(stride(&shared).is_multiple_of(256));
    let placement = shared.backing().placement();
    assert_eq!(
        placement,
        if fits {
            Placement::Device
        } else {
            Placement::Host
        }
    );
    assert_content(&shared, &[&device], &pixels, "with another stride");
    // On the device only, there is nothing to be had, and nothing is left behind.
    wanted.stride_alignment = 4096 + 4;
    wanted.placements = Placements::DEVICE;
    shared.dispatch();
    let before = (open_files(), bufinfo());
    let error = images.allocate_in(shared.desc(), &wanted).unwrap_err();
    let ExportError::Device { source, .. } = &error else {
        panic!("{error:?}");
    };
    let misaligned = source.downcast_ref::<StrideMisaligned>().unwrap();
    assert_eq!(misaligned.alignment, 4100);
    assert_eq!((open_files(), bufinfo()), before);
    let refused = shared.move_to(&wanted).unwrap_err();
    assert!(matches!(refused, MoveError::Export { .. }), "{refused}");
    assert_eq!((open_files(), bufinfo()), before);
    // Host memory has any stride.
    wanted.placements = Placements::HOST;
    shared.move_to(&wanted).unwrap().wait(LONG).unwrap();
    assert!(stride(&shared).is_multiple_of(4100));
    assert_content(&shared, &[&device], &pixels, "with an odd stride");
}

/// A Vulkan device that uses rows of 256 bytes only.
#[derive(Clone)]
struct Picky(Device);

impl Importer for Picky {
    type Object = Image;

    fn name(&self) -> &str {
        "a device that wants its rows aligned"
    }

    fn constraint(&self, _desc: &BufferDesc) -> AccessConstraint {
        let mut constraint = AccessConstraint::default();
        constraint.stride_alignment = 256;
        constraint
    }

    fn import(&self, desc: &BufferDesc, backing: &Backing) -> Result<Image, ImportError> {
        self.0.import(desc, backing)
    }

    fn retire(&self, object: Image, after: FenceSet) {
        self.0.retire(object, after);
    }
}

fn is_aligned(shared: &SharedBuffer) -> bool {
    let backing = shared.backing();
    let mut planes = backing.dmabuf().layout().planes().iter();
    planes.all(|plane| plane.stride.is_multiple_of(256))
}

#[test]
fn an_importer_that_demands_a_stride_brings_the_buffer_to_where_it_has_one() {
    let _alone = alone();
    let (device, other) = (support::device(), support::device());
    let images = movable(&device);
    let extent = Extent::new(333, 77);
    let shared = movable_buffer(&images, desc("demanded", Fourcc::XRGB8888, extent));
    let pixels = pattern(packed_size(Fourcc::XRGB8888, extent), 3);
    upload(&shared, &device, &pixels);
    assert!(!support::in_lab() || !is_aligned(&shared));
    let picky = Picky(other.clone());
    let attachment = shared
        .attach_dynamic(&picky, Arc::new(AtomicBool::new(false)))
        .unwrap();
    let mapping = attachment.map().unwrap();
    assert!(is_aligned(&shared));
    if support::in_lab() {
        assert_eq!(shared.backing().placement(), Placement::Host);
    }
    assert!(
        mapping.backing().dmabuf().layout().planes()[0]
            .stride
            .is_multiple_of(256)
    );
    assert_content(&shared, &[&device, &other], &pixels, "aligned");
    // Moved away, the next map brings it back.
    drop(mapping);
    move_to(&shared, Placement::Device);
    let mapping = attachment.map().unwrap();
    assert!(is_aligned(&shared) && !mapping.is_stale());
    // A static attachment does it at once, and holds it.
    drop((mapping, attachment));
    move_to(&shared, Placement::Device);
    let held = shared.attach(&picky).unwrap();
    assert!(is_aligned(&shared));
    shared.move_to(&at(Placement::Device)).unwrap_err();
    drop(held);
    assert_content(&shared, &[&device, &other], &pixels, "in the end");
}
