//! Awkward constraints, with real memory and a real driver: what is negotiated is imported and has the
//! right pixels, and what is refused does not work by hand either.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::negotiation::{DisjointPlanes, FormatSupport, LayoutDemands, MemoryKinds};
use dmashare::{
    AttachError, BufferDesc, DmaBuf, Exporter, Extent, FormatInfo, Fourcc, ImportError,
    LayoutError, Modifier, Negotiation, NegotiationError, Party, Placements, PlaneLayout,
    SharedBuffer, Usage,
};
use dmashare_vk::Device;
use support::{COPY, assert_same_bytes, cpu_read, cpu_write, device, heap, packed_size, pattern};

/// What someone else demands of the layout.
struct Case {
    what: &'static str,
    format: Fourcc,
    extent: (u32, u32),
    demands: fn(&mut LayoutDemands),
    /// Bytes by which all planes are moved when the memory is made: no page, no multiple of a pixel's
    /// alignment beyond its own size.
    shift: u64,
}

const fn case(
    what: &'static str,
    format: Fourcc,
    extent: (u32, u32),
    demands: fn(&mut LayoutDemands),
    shift: u64,
) -> Case {
    Case {
        what,
        format,
        extent,
        demands,
        shift,
    }
}

fn nothing(_: &mut LayoutDemands) {}

fn stride_256(demands: &mut LayoutDemands) {
    demands.stride_alignment = 256;
}

fn padded(demands: &mut LayoutDemands) {
    demands.height_alignment = 16;
    demands.tail_bytes = 100;
    demands.size_alignment = 65_536;
}

const TAKEN: &[Case] = &[
    case("rows of 256", Fourcc::XRGB8888, (333, 77), stride_256, 0),
    case("rows of 256, NV12", Fourcc::NV12, (334, 78), stride_256, 0),
    case("one pixel", Fourcc::XRGB8888, (1, 1), nothing, 0),
    case(
        "one pixel in rows of 256",
        Fourcc::R8,
        (1, 1),
        stride_256,
        0,
    ),
    case("one pixel wide", Fourcc::RGB565, (1, 1080), nothing, 0),
    case("one pixel wide, padded", Fourcc::R8, (1, 77), padded, 0),
    case("one pixel high", Fourcc::XRGB8888, (1921, 1), stride_256, 0),
    case("the least chroma", Fourcc::NV12, (2, 2), nothing, 0),
    case(
        "the least chroma, three planes",
        Fourcc::YUV420,
        (2, 2),
        padded,
        0,
    ),
    case("chroma at no boundary", Fourcc::NV12, (34, 18), nothing, 0),
    case(
        "planes of odd strides",
        Fourcc::YUV420,
        (62, 46),
        nothing,
        0,
    ),
    case("two bytes a sample", Fourcc::P010, (34, 18), padded, 0),
    case(
        "an odd height without vertical subsampling",
        Fourcc::NV16,
        (34, 17),
        nothing,
        0,
    ),
    case("padded sizes", Fourcc::NV12, (334, 78), padded, 0),
    case(
        "an offset inside a page",
        Fourcc::XRGB8888,
        (333, 77),
        nothing,
        100,
    ),
    case(
        "an offset behind a page",
        Fourcc::NV12,
        (334, 78),
        stride_256,
        4100,
    ),
    case("an odd offset", Fourcc::R8, (333, 77), nothing, 1),
    case(
        "half floats inside a page",
        Fourcc::ABGR16161616F,
        (33, 7),
        stride_256,
        8,
    ),
];

/// Half a chroma sample is left over, of which Vulkan has no image.
const REFUSED: &[Case] = &[
    case("an odd width", Fourcc::NV12, (333, 78), nothing, 0),
    case("an odd height", Fourcc::P010, (334, 77), stride_256, 0),
    case(
        "an odd width, three planes",
        Fourcc::YUV420,
        (63, 46),
        padded,
        0,
    ),
    case(
        "an odd width without vertical subsampling",
        Fourcc::NV16,
        (33, 18),
        nothing,
        0,
    ),
    case("one pixel of chroma", Fourcc::NV12, (1, 1), nothing, 0),
];

fn desc(case: &Case) -> BufferDesc {
    let extent = Extent::new(case.extent.0, case.extent.1);
    BufferDesc::new(case.what, extent, case.format, COPY)
}

/// A party that takes everything that is linear.
fn formats(disjoint: DisjointPlanes) -> impl Iterator<Item = FormatSupport> {
    FormatInfo::all().iter().map(move |info| {
        FormatSupport::new(info.fourcc, Modifier::LINEAR, Usage::all()).with_disjoint(disjoint)
    })
}

fn negotiation(device: &Device, case: &Case, disjoint: DisjointPlanes) -> Negotiation {
    let mut layout = LayoutDemands::default();
    (case.demands)(&mut layout);
    Negotiation::new(desc(case))
        .party(
            Party::exporter("plain memory", Usage::empty())
                .with_formats(formats(DisjointPlanes::Allowed))
                .with_memory(MemoryKinds::scattered(Placements::HOST)),
        )
        .party(device.importer_party(&[case.format], COPY).unwrap())
        .party(
            Party::importer("awkward", Usage::ENCODE)
                .with_formats(formats(disjoint))
                .with_layout(layout),
        )
}

/// Memory of these sizes with planes there, moved by some bytes.
fn allocate(desc: &BufferDesc, planes: &[PlaneLayout], sizes: &[u64], shift: u64) -> DmaBuf {
    let planes: Vec<PlaneLayout> = planes
        .iter()
        .map(|plane| PlaneLayout {
            offset: plane.offset + shift,
            ..*plane
        })
        .collect();
    let memories = sizes.iter().map(|size| {
        let size = (size + shift).next_multiple_of(4096);
        heap().allocate_memory(size).unwrap()
    });
    DmaBuf::from_memories(
        desc.format,
        desc.extent,
        Modifier::LINEAR,
        &planes,
        memories,
    )
    .unwrap()
}

#[test]
fn what_is_negotiated_is_imported_with_the_right_pixels() {
    let device = device();
    for case in TAKEN {
        let what = case.what;
        let negotiated = negotiation(&device, case, DisjointPlanes::Refused)
            .solve()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let linear = negotiated.linear_layout().unwrap();
        let desc = negotiated.desc().clone();
        let dmabuf = allocate(&desc, linear.planes(), linear.memory_sizes(), case.shift);
        if case.shift == 0 {
            negotiated
                .check_layout(dmabuf.layout(), linear.memory_sizes())
                .unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        let shared = SharedBuffer::from_dmabuf(desc.clone(), dmabuf).unwrap();
        let attachment = shared.attach(&device);
        let mapping = attachment
            .unwrap_or_else(|error| panic!("{what}: {error:?}"))
            .map()
            .unwrap();
        let size = packed_size(desc.format, desc.extent);
        let pixels = pattern(size, 1);
        cpu_write(shared.backing().dmabuf(), &pixels);
        let read = device.transfer().download(&mapping).unwrap();
        assert_same_bytes(&read, &pixels, what);
        let pixels = pattern(size, 2);
        device.transfer().upload(&mapping, &pixels).unwrap();
        assert_same_bytes(&cpu_read(shared.backing().dmabuf()), &pixels, what);
    }
}

#[test]
fn what_is_refused_does_not_work_by_hand() {
    let device = device();
    for case in REFUSED {
        let what = case.what;
        let refusal = negotiation(&device, case, DisjointPlanes::Refused).solve();
        let Err(NegotiationError::Refused(refusal)) = refusal else {
            panic!("{what}: {refusal:?}");
        };
        let text = refusal.to_string();
        let name = device.physical_device().name();
        assert!(
            text.contains(name) && text.contains("multiple"),
            "{what}: {text}"
        );
        let desc = desc(case);
        let memory = heap().allocate(&desc, &[Modifier::LINEAR]).unwrap().dmabuf;
        let shared = SharedBuffer::from_dmabuf(desc, memory).unwrap();
        match shared.attach(&device) {
            Err(AttachError::Import {
                source: ImportError::Layout(LayoutError::OddExtent { .. }),
                ..
            }) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// A party that wants each plane in a memory of its own, as some cameras do.
#[test]
fn planes_in_several_memories_are_negotiated_as_the_driver_really_takes_them() {
    let device = device();
    let case = case("disjoint", Fourcc::NV12, (64, 48), nothing, 0);
    let desc = desc(&case);
    let by_hand = || {
        let planes = [0, 1].map(|memory| PlaneLayout {
            memory,
            offset: 0,
            stride: 64,
        });
        let dmabuf = allocate(&desc, &planes, &[4096, 4096], 0);
        let shared = SharedBuffer::from_dmabuf(desc.clone(), dmabuf).unwrap();
        shared.attach(&device).map(|_| ())
    };
    match negotiation(&device, &case, DisjointPlanes::Required).solve() {
        Ok(negotiated) => {
            assert!(negotiated.is_disjoint());
            by_hand().unwrap();
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(device.physical_device().name()), "{text}");
            assert!(matches!(
                by_hand(),
                Err(AttachError::Import {
                    source: ImportError::Disjoint { .. },
                    ..
                })
            ));
        }
    }
}
