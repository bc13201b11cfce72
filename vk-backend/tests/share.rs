//! Export → import → pixels equal, between two `VkDevice`s, in both directions.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::{
    Access, AttachError, ExportError, Exporter, Extent, Fourcc, ImportError, LayoutError, Modifier,
    Placement, SharedBuffer, Usage,
};
use dmashare_vk::Device;
use support::{
    COPY, assert_same_bytes, buffer, cpu_read, cpu_write, desc, device, map, packed_size, pattern,
};

/// The formats that the lab's device must have; elsewhere those that the device has are tested.
const FORMATS: [Fourcc; 8] = [
    Fourcc::XRGB8888,
    Fourcc::ARGB8888,
    Fourcc::ABGR8888,
    Fourcc::RGB565,
    Fourcc::ARGB2101010,
    Fourcc::ABGR2101010,
    Fourcc::ABGR16161616,
    Fourcc::ABGR16161616F,
];

/// A exports, B imports; A writes and B reads; then B writes and A reads.
fn share_both_ways(a: &Device, b: &Device, format: Fourcc, extent: Extent) {
    let what = format!("{format} {extent}");
    let modifiers = [Modifier::LINEAR];
    let shared = SharedBuffer::new(a, desc("share", format, extent), &modifiers).unwrap();
    let (in_a, in_b) = (map(&shared, a), map(&shared, b));
    assert_ne!(in_a.object().raw(), in_b.object().raw());
    let size = packed_size(format, extent);
    let before = (a.bytes_copied(), b.bytes_copied());

    let pixels = pattern(size, 1);
    a.transfer().upload(&in_a, &pixels).unwrap();
    assert_same_bytes(&b.transfer().download(&in_b).unwrap(), &pixels, &what);
    let pixels = pattern(size, 2);
    b.transfer().upload(&in_b, &pixels).unwrap();
    assert_same_bytes(&a.transfer().download(&in_a).unwrap(), &pixels, &what);

    // Two transfers on each device, and nothing else was copied.
    let copied = 2 * u64::try_from(size).unwrap();
    assert_eq!(a.bytes_copied() - before.0, copied, "{what}");
    assert_eq!(b.bytes_copied() - before.1, copied, "{what}");
}

#[test]
fn pixels_are_equal_in_every_format() {
    let (a, b) = (device(), device());
    let offered = a.physical_device().formats(COPY);
    let mut tested = 0;
    for format in FORMATS {
        if !support::in_lab() && !offered.contains(&format) {
            continue;
        }
        assert!(offered.contains(&format), "the lab's device lacks {format}");
        share_both_ways(&a, &b, format, Extent::new(64, 48));
        tested += 1;
    }
    assert!(tested >= 3, "a device has the 8-bit formats at least");
}

/// Luma and chroma: what the dma-buf says of its planes is where the device writes them, and where
/// another device and the CPU read them.
#[test]
fn planes_are_where_an_export_says() {
    let (a, b) = (device(), device());
    for format in [Fourcc::NV12, Fourcc::NV16, Fourcc::P010, Fourcc::YUV420] {
        let offered = a.physical_device().modifiers(format, COPY).unwrap();
        if offered.is_empty() {
            assert!(!support::in_lab(), "the lab's device lacks {format}");
            continue;
        }
        for (width, height) in [(64, 48), (334, 78), (2, 2)] {
            let extent = Extent::new(width, height);
            share_both_ways(&a, &b, format, extent);
            let desc = desc("planes", format, extent);
            let shared = SharedBuffer::new(&a, desc, &[Modifier::LINEAR]).unwrap();
            let pixels = pattern(packed_size(format, extent), 5);
            let mapping = map(&shared, &a);
            a.transfer().upload(&mapping, &pixels).unwrap();
            let what = format!("{format} {extent} by the CPU");
            assert_same_bytes(&cpu_read(shared.backing().dmabuf()), &pixels, &what);
        }
    }
}

#[test]
fn pixels_are_equal_in_odd_sizes() {
    let (a, b) = (device(), device());
    for extent in [
        Extent::new(1, 1),
        Extent::new(333, 77),
        Extent::new(1, 512),
        Extent::new(4096, 2160),
    ] {
        share_both_ways(&a, &b, Fourcc::XRGB8888, extent);
        share_both_ways(&a, &b, Fourcc::RGB565, extent);
    }
    share_both_ways(&a, &b, Fourcc::ABGR16161616F, Extent::new(333, 77));
}

#[test]
fn the_exporters_own_attachments_share_its_image() {
    let device = device();
    let shared = buffer(&device, "own");
    let (first, second) = (map(&shared, &device), map(&shared, &device));
    assert_eq!(first.object().raw(), second.object().raw());
    let pixels = pattern(64 * 32 * 4, 3);
    device.transfer().upload(&first, &pixels).unwrap();
    let read = device.transfer().download(&second).unwrap();
    assert_same_bytes(&read, &pixels, "through the other attachment");
}

#[test]
fn an_export_tells_where_its_planes_are() {
    let device = device();
    let extent = Extent::new(333, 77);
    let desc = desc("layout", Fourcc::XRGB8888, extent);
    let shared = SharedBuffer::new(&device, desc, &[Modifier::LINEAR]).unwrap();
    let backing = shared.backing();
    let layout = backing.dmabuf().layout();
    assert_eq!(layout.modifier(), Modifier::LINEAR);
    assert_eq!(layout.planes().len(), 1);
    assert!(layout.planes()[0].stride >= 333 * 4);
    assert_ne!(backing.placement(), Placement::Unknown);
    // The CPU finds at that stride what the device has written.
    let mapping = map(&shared, &device);
    let pixels = pattern(packed_size(Fourcc::XRGB8888, extent), 4);
    device.transfer().upload(&mapping, &pixels).unwrap();
    assert_same_bytes(&cpu_read(backing.dmabuf()), &pixels, "CPU");
}

fn assert_odd(error: AttachError, odd: Extent) {
    match error {
        AttachError::Import {
            source: ImportError::Layout(LayoutError::OddExtent { format, extent }),
            ..
        } => assert_eq!((format, extent), (Fourcc::NV12, odd)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn images_with_half_a_chroma_sample_are_not_exported() {
    let device = device();
    for odd in [
        Extent::new(333, 76),
        Extent::new(332, 77),
        Extent::new(1, 1),
    ] {
        for format in [Fourcc::NV12, Fourcc::P010, Fourcc::YUV420] {
            let refusals = [
                device.modifiers(&desc("odd", format, odd)).err(),
                SharedBuffer::new(&device, desc("odd", format, odd), &[Modifier::LINEAR]).err(),
            ];
            for refused in refusals {
                match refused {
                    Some(ExportError::Layout(LayoutError::OddExtent { extent, .. })) => {
                        assert_eq!(extent, odd);
                    }
                    other => panic!("{format} {odd}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn dmabufs_of_others_are_read_and_written() {
    let device = device();
    for extent in [
        Extent::new(1, 1),
        Extent::new(333, 77),
        Extent::new(640, 480),
    ] {
        for format in [Fourcc::XRGB8888, Fourcc::RGB565, Fourcc::NV12] {
            let desc = || {
                let mut desc = desc("foreign", format, extent);
                desc.usage |= Usage::CPU_READ | Usage::CPU_WRITE;
                desc
            };
            let modifiers = [Modifier::LINEAR];
            let buffers = [
                SharedBuffer::new(&support::heap(), desc(), &modifiers).unwrap(),
                SharedBuffer::new(&support::udmabuf(), desc(), &modifiers).unwrap(),
            ];
            for (seed, shared) in (10..).zip(buffers) {
                let what = format!("{format} {extent} {:?}", shared.exporter());
                let backing = shared.backing();
                if format == Fourcc::NV12 && extent != Extent::new(640, 480) {
                    // Half a chroma sample is left over, which Vulkan has no image for.
                    assert_odd(shared.attach(&device).unwrap_err(), extent);
                    continue;
                }
                let mapping = map(&shared, &device);
                let size = packed_size(format, extent);
                let pixels = pattern(size, seed);
                cpu_write(backing.dmabuf(), &pixels);
                let read = device.transfer().download(&mapping).unwrap();
                assert_same_bytes(&read, &pixels, &what);
                let pixels = pattern(size, seed + 100);
                device.transfer().upload(&mapping, &pixels).unwrap();
                assert!(shared.ready(Access::Read).status().is_over());
                assert_same_bytes(&cpu_read(backing.dmabuf()), &pixels, &what);
            }
        }
    }
}

#[test]
fn images_of_one_device_are_copied() {
    let device = device();
    let (from, to) = (buffer(&device, "from"), buffer(&device, "to"));
    let (from, to) = (map(&from, &device), map(&to, &device));
    let pixels = pattern(64 * 32 * 4, 5);
    device.transfer().upload(&from, &pixels).unwrap();
    device.transfer().copy(&from, &to).unwrap();
    let read = device.transfer().download(&to).unwrap();
    assert_same_bytes(&read, &pixels, "copy");
}

#[test]
fn every_usage_that_the_device_offers_gives_an_image_with_its_views() {
    let (a, b) = (device(), device());
    let usage = Usage::RENDER | Usage::SAMPLE | COPY;
    for format in [Fourcc::XRGB8888, Fourcc::ARGB8888] {
        let mut desc = desc("views", format, Extent::new(64, 32));
        desc.usage = usage;
        desc.view_formats = vec![Fourcc::ABGR8888];
        let shared = SharedBuffer::new(&a, desc, &[Modifier::LINEAR]).unwrap();
        for device in [&a, &b] {
            let mapping = map(&shared, device);
            let (view, sampled) = (mapping.object().view(), mapping.object().sampled_view());
            assert!(view.is_some() && sampled.is_some());
            // Only a format with an unused component needs another view to sample from.
            assert_eq!(view == sampled, format == Fourcc::ARGB8888);
        }
    }
    // Copies only: Vulkan allows no view.
    assert!(map(&buffer(&a, "no view"), &a).object().view().is_none());
}
