//! Alignment, padding and odd sizes: what negotiates, to which bytes, and what is refused.

use dmashare::negotiation::{DisjointPlanes, FormatSupport, LayoutDemands, Objection};
use dmashare::{
    BufferDesc, Extent, Fourcc, Layout, Modifier, Negotiated, Negotiation, NegotiationError, Party,
    Usage,
};

/// Demands, from those members that are set.
pub fn demands(set: impl FnOnce(&mut LayoutDemands)) -> LayoutDemands {
    let mut demands = LayoutDemands::default();
    set(&mut demands);
    demands
}

/// Plain memory that does as it is told, and an importer for each of these demands.
pub fn negotiate(
    format: Fourcc,
    (width, height): (u32, u32),
    importers: &[LayoutDemands],
) -> Result<Negotiated, Vec<Objection>> {
    let linear = FormatSupport::new(format, Modifier::LINEAR, Usage::all());
    let exporter = Party::exporter("memory", Usage::empty()).with_formats([linear]);
    let desc = BufferDesc::new(
        "awkward",
        Extent::new(width, height),
        format,
        Usage::empty(),
    );
    let mut negotiation = Negotiation::new(desc).party(exporter);
    for (index, layout) in importers.iter().enumerate() {
        let importer = Party::importer(format!("device {index}"), Usage::TRANSFER_SOURCE)
            .with_formats([linear])
            .with_layout(*layout);
        negotiation = negotiation.party(importer);
    }
    negotiation.solve().map_err(|error| objections(&error))
}

pub fn objections(error: &NegotiationError) -> Vec<Objection> {
    match error {
        NegotiationError::Refused(refusal) => {
            let parties = refusal.parties.iter();
            parties.flat_map(|it| it.objections.clone()).collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn demands_lead_to_these_bytes() {
    let stride = |bytes| demands(|it| it.stride_alignment = bytes);
    let offset = |bytes| demands(|it| it.offset_alignment = bytes);
    let rows = |rows| demands(|it| it.height_alignment = rows);
    let size = |bytes| demands(|it| it.size_alignment = bytes);
    let tail = |bytes| demands(|it| it.tail_bytes = bytes);
    type Row<'a> = (
        &'a str,
        Fourcc,
        (u32, u32),
        &'a [LayoutDemands],
        // Offset and stride of each plane.
        &'a [(u64, u32)],
        u64,
    );
    let table: &[Row<'_>] = &[
        (
            "nothing is demanded",
            Fourcc::XRGB8888,
            (333, 77),
            &[],
            &[(0, 1332)],
            102_564,
        ),
        (
            "rows of 256 bytes",
            Fourcc::XRGB8888,
            (333, 77),
            &[stride(256)],
            &[(0, 1536)],
            118_272,
        ),
        ("one pixel", Fourcc::XRGB8888, (1, 1), &[], &[(0, 4)], 4),
        (
            "one pixel in rows of 256",
            Fourcc::R8,
            (1, 1),
            &[stride(256)],
            &[(0, 256)],
            256,
        ),
        (
            "one pixel wide",
            Fourcc::RGB565,
            (1, 1080),
            &[stride(64)],
            &[(0, 64)],
            69_120,
        ),
        (
            "one pixel high",
            Fourcc::XRGB8888,
            (1921, 1),
            &[stride(256)],
            &[(0, 7_936)],
            7_936,
        ),
        (
            "already a multiple",
            Fourcc::XRGB8888,
            (64, 2),
            &[stride(256)],
            &[(0, 256)],
            512,
        ),
        (
            "256 and 96 are 768",
            Fourcc::XRGB8888,
            (333, 1),
            &[stride(256), stride(96)],
            &[(0, 1536)],
            1536,
        ),
        (
            "0 is 1",
            Fourcc::XRGB8888,
            (3, 1),
            &[stride(0), offset(0), rows(0), size(0)],
            &[(0, 12)],
            12,
        ),
        (
            "half floats",
            Fourcc::ABGR16161616F,
            (33, 2),
            &[stride(256)],
            &[(0, 512)],
            1024,
        ),
        // 4:2:0: 167 chroma samples for 333 pixels, 39 rows of them for 77.
        (
            "NV12, odd",
            Fourcc::NV12,
            (333, 77),
            &[],
            &[(0, 333), (25_641, 334)],
            38_667,
        ),
        (
            "NV12 of one pixel",
            Fourcc::NV12,
            (1, 1),
            &[],
            &[(0, 1), (1, 2)],
            3,
        ),
        (
            "NV12 in rows of 256",
            Fourcc::NV12,
            (333, 77),
            &[stride(256)],
            &[(0, 512), (39_424, 512)],
            59_392,
        ),
        // 25,641 is no page: it stays, unless someone demands one.
        (
            "NV12 on pages",
            Fourcc::NV12,
            (333, 77),
            &[offset(4096)],
            &[(0, 333), (28_672, 334)],
            41_698,
        ),
        (
            "NV12 on 24 and 16",
            Fourcc::NV12,
            (333, 77),
            &[offset(24), offset(16)],
            &[(0, 333), (25_680, 334)],
            38_706,
        ),
        (
            "NV16, odd",
            Fourcc::NV16,
            (333, 77),
            &[],
            &[(0, 333), (25_641, 334)],
            51_359,
        ),
        (
            "P010, odd",
            Fourcc::P010,
            (333, 77),
            &[],
            &[(0, 666), (51_282, 668)],
            77_334,
        ),
        (
            "YUV420, odd",
            Fourcc::YUV420,
            (333, 77),
            &[],
            &[(0, 333), (25_641, 167), (32_154, 167)],
            38_667,
        ),
        // Rows of 16: 80 of luma, 40 of chroma.
        (
            "NV12 of macroblocks",
            Fourcc::NV12,
            (333, 77),
            &[rows(16)],
            &[(0, 333), (26_640, 334)],
            40_000,
        ),
        (
            "rows of 16 and of 5",
            Fourcc::R8,
            (10, 77),
            &[rows(16), rows(5)],
            &[(0, 10)],
            800,
        ),
        (
            "rows of 16 and of 9",
            Fourcc::R8,
            (10, 77),
            &[rows(16), rows(9)],
            &[(0, 10)],
            810,
        ),
        (
            "bytes behind",
            Fourcc::R8,
            (10, 10),
            &[tail(64), tail(7)],
            &[(0, 10)],
            164,
        ),
        (
            "whole pages",
            Fourcc::R8,
            (10, 10),
            &[size(4096)],
            &[(0, 10)],
            4096,
        ),
        (
            "pages and bytes behind",
            Fourcc::R8,
            (64, 64),
            &[size(4096), tail(1)],
            &[(0, 64)],
            8192,
        ),
        (
            "sizes of 10 and 4",
            Fourcc::R8,
            (3, 1),
            &[size(10), size(4)],
            &[(0, 3)],
            20,
        ),
    ];
    for (name, format, size, importers, planes, bytes) in table {
        let negotiated = negotiate(*format, *size, importers);
        let negotiated = negotiated.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let linear = negotiated.linear_layout().unwrap();
        let given: Vec<_> = linear
            .planes()
            .iter()
            .map(|it| (it.offset, it.stride))
            .collect();
        assert_eq!(
            (&given[..], linear.memory_sizes()),
            (*planes, &[*bytes][..]),
            "{name}"
        );
        let layout = Layout::new(
            *format,
            Extent::new(size.0, size.1),
            Modifier::LINEAR,
            linear.planes(),
            linear.memory_sizes(),
        );
        negotiated
            .check_layout(&layout.unwrap(), linear.memory_sizes())
            .unwrap();
    }
}

#[test]
fn disjoint_planes_begin_at_the_start_of_their_memories() {
    let support = FormatSupport::new(Fourcc::NV12, Modifier::LINEAR, Usage::all());
    let apart = support.with_disjoint(DisjointPlanes::Required);
    let desc = BufferDesc::new("apart", Extent::new(333, 77), Fourcc::NV12, Usage::empty());
    let layout = demands(|it| (it.size_alignment, it.tail_bytes) = (4096, 64));
    let negotiation = |exporter| {
        Negotiation::new(desc.clone())
            .party(Party::exporter("memory", Usage::empty()).with_formats([exporter]))
            .party(
                Party::importer("video", Usage::ENCODE)
                    .with_formats([apart])
                    .with_layout(layout),
            )
    };
    let negotiated = negotiation(support.with_disjoint(DisjointPlanes::Allowed))
        .solve()
        .unwrap();
    assert!(negotiated.is_disjoint());
    let linear = negotiated.linear_layout().unwrap();
    let planes: Vec<_> = linear
        .planes()
        .iter()
        .map(|it| (it.memory, it.offset))
        .collect();
    assert_eq!(
        (planes, linear.memory_sizes()),
        (vec![(0, 0), (1, 0)], &[28_672, 16_384][..])
    );

    let refused = objections(&negotiation(support).solve().unwrap_err());
    let disjoint: Vec<_> = refused
        .iter()
        .map(|objection| match objection {
            Objection::Disjoint { disjoint, .. } => *disjoint,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(
        disjoint,
        [DisjointPlanes::Refused, DisjointPlanes::Required]
    );
}

#[test]
fn one_plane_cannot_be_disjoint() {
    let apart = FormatSupport::new(Fourcc::XRGB8888, Modifier::LINEAR, Usage::all())
        .with_disjoint(DisjointPlanes::Required);
    let desc = BufferDesc::new("one", Extent::new(8, 8), Fourcc::XRGB8888, Usage::empty());
    let exporter = Party::exporter("memory", Usage::empty()).with_formats([apart]);
    let negotiated = Negotiation::new(desc).party(exporter).solve().unwrap();
    assert!(!negotiated.is_disjoint());
}

#[test]
fn odd_sizes_are_refused_by_whoever_wants_whole_chroma() {
    let support = |format| FormatSupport::new(format, Modifier::LINEAR, Usage::all());
    let negotiate = |format, width, height| {
        let exporter = Party::exporter("memory", Usage::empty()).with_formats([support(format)]);
        let vulkan = Party::importer("vulkan", Usage::SAMPLE)
            .with_formats([support(format).with_extent_alignment(Extent::new(2, 2))]);
        let desc = BufferDesc::new("odd", Extent::new(width, height), format, Usage::SAMPLE);
        Negotiation::new(desc).party(exporter).party(vulkan).solve()
    };
    assert!(negotiate(Fourcc::NV12, 332, 78).is_ok());
    for (width, height) in [(333, 78), (332, 77), (1, 1)] {
        let refused = objections(&negotiate(Fourcc::NV12, width, height).unwrap_err());
        // The memory's word is that its LINEAR does not suit Vulkan, and Vulkan's is why.
        let [
            Objection::Modifiers { .. },
            Objection::ExtentAlignment { alignment, .. },
        ] = refused[..]
        else {
            panic!("{refused:?}")
        };
        assert_eq!(alignment, Extent::new(2, 2));
    }
}
