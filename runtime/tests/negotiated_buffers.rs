//! From a negotiation to memory of the kernel.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use dmashare::host::HostMemory;
use dmashare::negotiation::{FormatSupport, LayoutDemands};
use dmashare::{
    Allocation, BufferDesc, DmaBuf, Exporter, Extent, FormatInfo, Fourcc, Modifier, Negotiated,
    Negotiation, NegotiationError, Party, Placement, Placements, SharedBuffer, UnfitError, Usage,
};

/// An importer of LINEAR with these demands.
fn device(set: impl FnOnce(&mut LayoutDemands)) -> Party {
    let mut layout = LayoutDemands::default();
    set(&mut layout);
    let formats = FormatInfo::all();
    let linear =
        |info: &FormatInfo| FormatSupport::new(info.fourcc, Modifier::LINEAR, Usage::SAMPLE);
    Party::importer("device", Usage::SAMPLE)
        .with_formats(formats.iter().map(linear))
        .with_layout(layout)
}

fn negotiate(
    exporter: Party,
    format: Fourcc,
    extent: Extent,
    device: Party,
) -> Result<Negotiated, NegotiationError> {
    let desc = BufferDesc::new("negotiated", extent, format, Usage::SAMPLE);
    Negotiation::new(desc).party(exporter).party(device).solve()
}

/// What host memory promises as a party, it makes: every format, awkward sizes.
#[test]
fn negotiation_with_host_memory_leads_to_buffers_that_fit() {
    let memory = HostMemory::open().unwrap();
    for info in FormatInfo::all() {
        for (width, height) in [(1, 1), (333, 77), (64, 5), (1920, 1080)] {
            let extent = Extent::new(width, height);
            let demanding = device(|it| {
                it.stride_alignment = 96;
                it.offset_alignment = 4096;
                it.height_alignment = 4;
                it.size_alignment = 4096;
            });
            let negotiated = negotiate(memory.party(), info.fourcc, extent, demanding).unwrap();
            assert_eq!(negotiated.constraint().stride_alignment, 768);
            assert_eq!(negotiated.linear_layout(), None);
            let desc = negotiated.desc().clone();
            for kind in negotiated.memory() {
                let mut here = negotiated.constraint();
                here.placements = kind.placement.into();
                let buffer = SharedBuffer::new_dynamic(&memory, desc.clone(), &here).unwrap();
                let backing = buffer.backing();
                assert_eq!(backing.placement(), kind.placement);
                let made =
                    Allocation::new(backing.dmabuf().clone(), backing.placement(), Arc::new(()));
                negotiated
                    .check(&made)
                    .unwrap_or_else(|error| panic!("{} {extent}: {error}", info.name));
            }
        }
    }
}

#[test]
fn negotiation_refuses_what_host_memory_does_not_promise() {
    let memory = HostMemory::open().unwrap();
    let extent = Extent::new(64, 64);
    for (name, demanding) in [
        (
            "offsets in multiples of 65536",
            device(|it| it.offset_alignment = 65_536),
        ),
        ("room for 80 rows", device(|it| it.height_alignment = 16)),
        ("64 bytes behind", device(|it| it.tail_bytes = 64)),
        (
            "sizes in multiples of 65536",
            device(|it| it.size_alignment = 65_536),
        ),
    ] {
        let demanding_height = Extent::new(64, 66);
        let extent = if name.starts_with("room") {
            demanding_height
        } else {
            extent
        };
        let refused = negotiate(memory.party(), Fourcc::NV12, extent, demanding).unwrap_err();
        let expected = format!("it demands {name}");
        assert!(refused.to_string().contains(&expected), "{refused}");
    }
}

/// Plain memory follows the layout that was negotiated, byte by byte.
#[test]
fn negotiation_gives_a_layout_for_plain_memory() {
    let heap = support::heap();
    let linear = FormatSupport::new(Fourcc::NV12, Modifier::LINEAR, Usage::all());
    let exporter = Party::exporter("heap", Usage::empty()).with_formats([linear]);
    let demanding = device(|it| {
        it.height_alignment = 16;
        it.tail_bytes = 64;
    });
    let extent = Extent::new(333, 77);
    let negotiated = negotiate(exporter, Fourcc::NV12, extent, demanding).unwrap();
    let linear = negotiated.linear_layout().unwrap();
    // An offset that is no page.
    assert_eq!(linear.planes()[1].offset, 26_640);
    let memories = linear.memory_sizes().iter();
    let memories: Vec<_> = memories
        .map(|size| heap.allocate_memory(*size).unwrap())
        .collect();
    let dmabuf = DmaBuf::from_memories(
        Fourcc::NV12,
        extent,
        Modifier::LINEAR,
        linear.planes(),
        memories,
    );
    let mut made = Allocation::new(dmabuf.unwrap(), Placement::Host, Arc::new(()));
    assert_eq!(negotiated.check(&made), Ok(()));
    assert!(negotiated.constraint().fits(&made));

    // What the heap makes by itself ends with the page, and has no 64 bytes behind.
    let by_itself = heap.allocate(negotiated.desc(), &negotiated.modifier_list());
    let padding = UnfitError::Padding {
        plane: 1,
        needed: Some(61_504),
        room: 61_440,
    };
    assert_eq!(negotiated.check(&by_itself.unwrap()), Err(padding));
    let other = BufferDesc::new("other", Extent::new(333, 76), Fourcc::NV12, Usage::SAMPLE);
    let other = heap.allocate(&other, &[Modifier::LINEAR]).unwrap();
    assert!(matches!(
        negotiated.check(&other),
        Err(UnfitError::Image { .. })
    ));
    made.placement = Placement::Unknown;
    let device =
        device(|_| {}).with_memory(dmashare::negotiation::MemoryKinds::any(Placements::HOST));
    let exporter = Party::exporter("heap", Usage::empty()).with_formats([FormatSupport::new(
        Fourcc::NV12,
        Modifier::LINEAR,
        Usage::all(),
    )]);
    let elsewhere = negotiate(exporter, Fourcc::NV12, extent, device).unwrap();
    assert!(matches!(
        elsewhere.check(&made),
        Err(UnfitError::Placement { .. })
    ));
}
