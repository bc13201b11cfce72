//! `host_pointer`: a driver that has no dma-bufs and takes pointers.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/second_driver.rs"]
mod second_driver;
mod support;

use std::sync::Arc;

use dmashare::route::Route;
use dmashare::{
    Access, AccessConstraint, AttachError, DmaBuf, ExportError, Exporter, Extent, Fourcc,
    ImportError, Importer, Modifier, Negotiation, Placement, Placements, PlaneFd, SharedBuffer,
    SubmitError, SyncFile, Usage,
};
use dmashare_lab_probe::SwSyncTimeline;
use dmashare_vk::UnfitForPointer;
use second_driver::{
    EXTENSION, FORMATS, ODD, assert_says, by_cpu, devices, read, routed, shadow_route,
};
use support::{
    LONG, alone, assert_same_bytes, cpu_read, cpu_write, desc, heap, map, map_dynamic, packed_size,
    pattern, udmabuf, upload,
};

#[test]
fn it_imports_by_pointer_and_exports_nothing() {
    let _alone = alone();
    let (llvmpipe, swiftshader) = devices();
    assert!(!llvmpipe.physical_device().imports_by_host_pointer());
    let physical = swiftshader.physical_device();
    assert!(physical.imports_by_host_pointer());
    assert!(physical.missing_for_import().is_empty());
    assert!(physical.missing_for_export().contains(&EXTENSION));
    let taken = physical.modifiers(Fourcc::XRGB8888, Usage::SAMPLE).unwrap();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].modifier.is_linear() && taken[0].importable && !taken[0].exportable);
    assert!(
        physical
            .modifiers(Fourcc::NV12, Usage::SAMPLE)
            .unwrap()
            .is_empty()
    );
    let exported = swiftshader.modifiers(&support::small("never made"));
    assert!(
        matches!(
            &exported,
            Err(ExportError::MissingFeature { missing, .. }) if missing.starts_with("VK_")
        ),
        "{exported:?}"
    );
}

#[test]
fn memory_that_lies_right_is_used_as_it_is() {
    let _alone = alone();
    let (_, swiftshader) = devices();
    for (seed, format) in (0..).zip(FORMATS) {
        // Wide enough for rows without padding, whatever the format.
        let extent = Extent::new(256, 20);
        let described = |name: &str| desc(&format!("{name} {format}"), format, extent);
        let linear = [Modifier::LINEAR];
        let from_heap = SharedBuffer::new(&heap(), described("heap"), &linear).unwrap();
        let from_memfd = SharedBuffer::new(&udmabuf(), described("udmabuf"), &linear).unwrap();
        for buffer in [from_heap, from_memfd] {
            let what = &buffer.desc().name.clone();
            let attachment = routed(&by_cpu(), &buffer, &swiftshader);
            assert_eq!(attachment.route(), Route::Direct, "{what}");
            // What the CPU writes, the device reads; twice, so that nothing is a copy.
            for seed in [seed, seed + 100] {
                let pixels = pattern(packed_size(format, extent), seed);
                cpu_write(buffer.backing().dmabuf(), &pixels);
                assert_same_bytes(&read(&attachment, &swiftshader), &pixels, what);
            }
            // And the other way.
            let pixels = pattern(packed_size(format, extent), seed + 200);
            let mapping = attachment.map().unwrap();
            swiftshader.transfer().upload(&mapping, &pixels).unwrap();
            assert_same_bytes(&cpu_read(buffer.backing().dmabuf()), &pixels, what);
            assert_eq!(attachment.bytes_copied(), 0, "{what}");
        }
    }
}

#[test]
fn an_image_may_begin_where_the_driver_can_have_one() {
    let _alone = alone();
    let (_, swiftshader) = devices();
    let pixels = pattern(64 * 32 * 4, 3);
    for (offset, is_taken) in [(0, true), (4096, true), (256, true), (4, false)] {
        let buffer = SharedBuffer::new(
            &Shifted(offset),
            support::small("shifted"),
            &[Modifier::LINEAR],
        )
        .unwrap();
        cpu_write(buffer.backing().dmabuf(), &pixels);
        let attachment = routed(&by_cpu(), &buffer, &swiftshader);
        assert_eq!(attachment.route() == Route::Direct, is_taken, "{offset}");
        if !is_taken {
            let text = shadow_route(&attachment).reason.to_string();
            assert_says(&text, &["begins at byte 4", "no dma-bufs"]);
        }
        assert_same_bytes(&read(&attachment, &swiftshader), &pixels, "shifted");
    }
    // An image that ends behind the last byte.
    let short = Shifted(4096).allocate_pages(&support::small("short"), 2);
    assert!(short.is_err(), "the layout itself is refused");
}

/// Heap memory in which the image begins later.
#[derive(Clone, Debug)]
struct Shifted(u64);

impl Shifted {
    fn allocate_pages(
        &self,
        desc: &dmashare::BufferDesc,
        pages: u64,
    ) -> Result<dmashare::Allocation, ExportError> {
        let plane = PlaneFd {
            fd: heap().allocate_memory(pages * 4096)?.duplicate_fd()?,
            offset: self.0,
            stride: desc.extent.width * 4,
        };
        let dmabuf = DmaBuf::new(desc.format, desc.extent, Modifier::LINEAR, [plane])?;
        Ok(dmashare::Allocation::new(
            dmabuf,
            Placement::Host,
            Arc::new(()),
        ))
    }
}

impl Exporter for Shifted {
    fn name(&self) -> &str {
        "shifted"
    }

    fn modifiers(&self, _desc: &dmashare::BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        Ok(vec![Modifier::LINEAR])
    }

    fn allocate(
        &self,
        desc: &dmashare::BufferDesc,
        _modifiers: &[Modifier],
    ) -> Result<dmashare::Allocation, ExportError> {
        self.allocate_pages(desc, 4)
    }
}

#[test]
fn views_are_there_to_sample_from_and_none_to_draw_to() {
    let _alone = alone();
    let (_, swiftshader) = devices();
    let linear = [Modifier::LINEAR];
    let mut described = support::small("sampled");
    described.usage |= Usage::SAMPLE;
    described.srgb_views = true;
    let buffer = SharedBuffer::new(&heap(), described.clone(), &linear).unwrap();
    let mapping = map(&buffer, &swiftshader);
    let image = mapping.object();
    assert!(image.view().is_some() && image.sampled_view() != image.view());
    let pixels = pattern(64 * 32 * 4, 5);
    swiftshader.transfer().upload(&mapping, &pixels).unwrap();
    assert_same_bytes(&cpu_read(buffer.backing().dmabuf()), &pixels, "sampled");
    // The driver draws to no linear image.
    described.usage |= Usage::RENDER;
    let target = SharedBuffer::new(&heap(), described, &linear).unwrap();
    let refused = target.attach(&swiftshader);
    assert!(
        matches!(
            &refused,
            Err(AttachError::Import {
                source: ImportError::UnsupportedFormat { .. },
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn a_fence_of_others_is_waited_for_before_the_submission() {
    let _alone = alone();
    let (llvmpipe, swiftshader) = devices();
    let buffer = SharedBuffer::new(&heap(), support::small("fenced"), &[Modifier::LINEAR]).unwrap();
    let mapping = map_dynamic(&buffer, &swiftshader);
    let sw_sync = SwSyncTimeline::new();
    let file = SyncFile::new(sw_sync.fence(1)).unwrap();
    buffer.add_fence(Access::Write, file.into()).unwrap();
    let early = swiftshader.submission([mapping.read()]);
    assert!(
        matches!(early, Err(SubmitError::NotReady { .. })),
        "{early:?}"
    );
    drop(early);
    sw_sync.increment(1);
    buffer.wait_ready(Access::Read, LONG).unwrap();
    swiftshader.transfer().download(&mapping).unwrap();
    // Its own fences are points of its timeline, which others wait for in the same way.
    let fence = support::submit_empty(&swiftshader, &mapping, Access::Write);
    fence.wait(LONG).unwrap();
    assert!(matches!(
        fence.export_sync_file(),
        Err(dmashare::FenceError::NoSyncFile { .. })
    ));
    let pixels = pattern(64 * 32 * 4, 6);
    upload(&buffer, &llvmpipe, &pixels);
    assert_same_bytes(
        &swiftshader.transfer().download(&mapping).unwrap(),
        &pixels,
        "after llvmpipe",
    );
}

#[test]
fn it_negotiates_for_host_memory() {
    let _alone = alone();
    let (llvmpipe, swiftshader) = devices();
    let format = Fourcc::XRGB8888;
    let importer = || {
        swiftshader
            .importer_party(&[format], Usage::SAMPLE)
            .unwrap()
    };
    let between = |exporter| {
        let mut described = desc("negotiated", format, ODD);
        described.usage = Usage::SAMPLE;
        Negotiation::new(described)
            .party(exporter)
            .party(importer())
            .solve()
    };
    let memory = dmashare::host::HostMemory::new(Some(heap()), None);
    let agreed = between(memory.party()).unwrap();
    assert_eq!(agreed.modifier_list(), [Modifier::LINEAR]);
    assert_eq!(agreed.constraint().placements, Placements::HOST);
    let exporter = llvmpipe.exporter_party(&[format], Usage::RENDER).unwrap();
    let refused = between(exporter).unwrap_err().to_string();
    assert_says(&refused, &["SwiftShader", "host memory"]);
}

#[test]
fn the_constraint_is_the_devices_own() {
    let _alone = alone();
    let (llvmpipe, swiftshader) = devices();
    let described = desc("asked", Fourcc::XRGB8888, ODD);
    assert_eq!(llvmpipe.constraint(&described), AccessConstraint::default());
    let constraint = swiftshader.constraint(&described);
    assert_eq!(constraint.stride, Some(400));
    assert_eq!(constraint.modifiers, Some(vec![Modifier::LINEAR]));
    let because = constraint.because.unwrap();
    assert_says(&because, &[EXTENSION, "host memory", "exactly 400 bytes"]);
}

#[test]
fn an_import_looks_at_the_rows_and_the_place_itself() {
    let _alone = alone();
    let (llvmpipe, swiftshader) = devices();
    let linear = [Modifier::LINEAR];
    let padded =
        SharedBuffer::new(&heap(), desc("padded", Fourcc::XRGB8888, ODD), &linear).unwrap();
    let image = SharedBuffer::new(&llvmpipe, support::small("image"), &linear).unwrap();
    // Without anybody who looked at the constraint before.
    let import = |buffer: &SharedBuffer| {
        let imported = swiftshader.import(buffer.desc(), &buffer.backing());
        imported.unwrap_err()
    };
    match import(&padded) {
        ImportError::Refused { source, .. } => {
            let unfit = source.downcast_ref::<UnfitForPointer>().unwrap();
            let (stride, taken) = (512, 400);
            assert_eq!(*unfit, UnfitForPointer::Stride { stride, taken });
        }
        other => panic!("{other:?}"),
    }
    let elsewhere = import(&image);
    assert!(
        matches!(
            &elsewhere,
            ImportError::Unreachable {
                placement: Placement::Device,
                ..
            }
        ),
        "{elsewhere:?}"
    );
}
