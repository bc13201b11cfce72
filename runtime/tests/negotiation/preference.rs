//! Which of the things that suit everyone comes first.

use dmashare::negotiation::{DisjointPlanes, FormatSupport, MemoryKinds};
use dmashare::{
    BufferDesc, Extent, Fourcc, Modifier, Negotiated, Negotiation, Party, Placement, Placements,
    Usage,
};

const X_TILED: Modifier = Modifier::new(0x0100_0000_0000_0001);
const Y_TILED: Modifier = Modifier::new(0x0100_0000_0000_0002);
const COMPRESSED: Modifier = Modifier::new(0x0100_0000_0000_0004);

fn support(modifier: Modifier, planes: u8) -> FormatSupport {
    FormatSupport::new(Fourcc::XRGB8888, modifier, Usage::all()).with_memory_planes(planes)
}

fn solve(usage: Usage, exporter: &[FormatSupport], importer: &[FormatSupport]) -> Negotiated {
    let desc = BufferDesc::new(
        "preferred",
        Extent::new(64, 64),
        Fourcc::XRGB8888,
        Usage::empty(),
    );
    Negotiation::new(desc)
        .party(Party::exporter("gpu", usage).with_formats(exporter.iter().copied()))
        .party(Party::importer("other", usage).with_formats(importer.iter().copied()))
        .solve()
        .unwrap()
}

#[test]
fn modifiers_come_in_the_order_of_the_uses() {
    let gpu = [
        support(Modifier::LINEAR, 1),
        support(COMPRESSED, 2),
        support(Y_TILED, 1),
        support(X_TILED, 1),
    ];
    let mut other = gpu;
    other.reverse();
    let pictures = [Y_TILED, X_TILED, COMPRESSED, Modifier::LINEAR];
    for usage in [
        Usage::RENDER,
        Usage::SAMPLE,
        Usage::STORAGE,
        Usage::SCANOUT,
        Usage::ENCODE,
        Usage::RENDER | Usage::TRANSFER_SOURCE,
    ] {
        assert_eq!(
            solve(usage, &gpu, &other).modifier_list(),
            pictures,
            "{usage}"
        );
    }
    let transfers = [Modifier::LINEAR, Y_TILED, X_TILED, COMPRESSED];
    for usage in [Usage::TRANSFER_SOURCE, Usage::TRANSFER_DESTINATION] {
        assert_eq!(
            solve(usage, &gpu, &other).modifier_list(),
            transfers,
            "{usage}"
        );
    }
    for usage in [Usage::CPU_READ, Usage::CPU_WRITE] {
        let used = solve(Usage::RENDER | usage, &gpu, &other);
        assert_eq!(used.modifier_list(), [Modifier::LINEAR], "{usage}");
    }
}

/// The application's own CPU access is nobody's usage, and counts all the same.
#[test]
fn the_cpu_of_the_description_counts() {
    let all = [support(X_TILED, 1), support(Modifier::LINEAR, 1)];
    let desc = BufferDesc::new(
        "read",
        Extent::new(64, 64),
        Fourcc::XRGB8888,
        Usage::CPU_READ,
    );
    let exporter = Party::exporter("gpu", Usage::RENDER).with_formats(all);
    let negotiated = Negotiation::new(desc).party(exporter).solve().unwrap();
    assert_eq!(negotiated.modifier_list(), [Modifier::LINEAR]);
    assert_eq!(negotiated.memory()[0].placement, Placement::Host);
    assert_eq!(negotiated.desc().usage, Usage::RENDER | Usage::CPU_READ);
}

#[test]
fn planes_are_counted_by_whoever_tells() {
    let untold = |modifier| FormatSupport::new(Fourcc::XRGB8888, modifier, Usage::all());
    let gpu = [support(COMPRESSED, 2), untold(X_TILED), support(Y_TILED, 1)];
    let display = [
        untold(X_TILED),
        untold(COMPRESSED),
        untold(Y_TILED),
        untold(Modifier::LINEAR),
    ];
    let negotiated = solve(Usage::SCANOUT, &gpu, &display);
    let told: Vec<_> = negotiated
        .modifiers()
        .iter()
        .map(|it| (it.modifier, it.memory_planes))
        .collect();
    assert_eq!(
        told,
        [(Y_TILED, Some(1)), (COMPRESSED, Some(2)), (X_TILED, None)]
    );
    // LINEAR has as many as the format, even if nobody tells.
    let linear = solve(Usage::SCANOUT, &[untold(Modifier::LINEAR)], &display);
    assert_eq!(linear.modifiers()[0].memory_planes, Some(1));
}

#[test]
fn formats_come_in_the_order_given() {
    let linear = |format| FormatSupport::new(format, Modifier::LINEAR, Usage::all());
    let tiled = FormatSupport::new(Fourcc::XRGB8888, X_TILED, Usage::all());
    let party = |formats: &[FormatSupport]| {
        Party::exporter("gpu", Usage::RENDER).with_formats(formats.iter().copied())
    };
    let format = |party| {
        let first = Fourcc::XRGB2101010;
        let desc = BufferDesc::new("deep", Extent::new(64, 64), first, Usage::RENDER);
        let negotiation = Negotiation::new(desc)
            .or_format(Fourcc::XRGB8888)
            .or_format(first);
        negotiation.party(party).solve().unwrap().format()
    };
    // A better modifier does not outdo a better format.
    let both = [tiled, linear(Fourcc::XRGB2101010)];
    assert_eq!(format(party(&both)), Fourcc::XRGB2101010);
    assert_eq!(format(party(&[tiled])), Fourcc::XRGB8888);
}

#[test]
fn one_memory_comes_before_several() {
    let nv12 = |modifier, disjoint| {
        FormatSupport::new(Fourcc::NV12, modifier, Usage::all()).with_disjoint(disjoint)
    };
    let desc = BufferDesc::new("video", Extent::new(64, 64), Fourcc::NV12, Usage::SAMPLE);
    let solve = |supports: &[FormatSupport]| {
        let party = Party::exporter("gpu", Usage::SAMPLE).with_formats(supports.iter().copied());
        Negotiation::new(desc.clone()).party(party).solve().unwrap()
    };
    let apart = nv12(X_TILED, DisjointPlanes::Required);
    let together = nv12(Modifier::LINEAR, DisjointPlanes::Refused);
    let negotiated = solve(&[apart, together]);
    assert!(!negotiated.is_disjoint());
    assert_eq!(negotiated.modifier_list(), [Modifier::LINEAR]);
    assert!(solve(&[apart]).is_disjoint());
    assert!(!solve(&[nv12(X_TILED, DisjointPlanes::Allowed)]).is_disjoint());
}

#[test]
fn memory_comes_in_the_order_of_the_uses() {
    let linear = [support(Modifier::LINEAR, 1)];
    let order = |usage, memory: MemoryKinds| -> Vec<String> {
        let desc = BufferDesc::new("placed", Extent::new(8, 8), Fourcc::XRGB8888, usage);
        let exporter = Party::exporter("gpu", usage)
            .with_formats(linear)
            .with_memory(memory);
        let negotiated = Negotiation::new(desc).party(exporter).solve().unwrap();
        assert!(
            negotiated
                .best_constraint()
                .placements
                .has(negotiated.memory()[0].placement)
        );
        assert_eq!(
            negotiated.best_constraint().placements.bits().count_ones(),
            1
        );
        negotiated
            .memory()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let scattered = MemoryKinds::scattered(Placements::all());
    assert_eq!(
        order(Usage::RENDER, scattered),
        [
            "device memory",
            "host memory",
            "shared memory (memfd)",
            "an unknown place"
        ]
    );
    assert_eq!(
        order(Usage::RENDER | Usage::CPU_READ, scattered),
        [
            "host memory",
            "shared memory (memfd)",
            "device memory",
            "an unknown place"
        ]
    );
    // Contiguous memory is taken where there is no other.
    let mut mixed = MemoryKinds::any(Placements::HOST);
    mixed.contiguous |= Placements::DEVICE;
    assert_eq!(
        order(Usage::RENDER, mixed),
        [
            "contiguous device memory",
            "host memory",
            "contiguous host memory"
        ]
    );
}
