//! What parties and descriptions can be, and what a negotiation is for the rest of the crate.

use dmashare::negotiation::{FormatSupport, MemoryKinds};
use dmashare::{
    AccessConstraint, BufferDesc, Extent, Fourcc, LayoutError, Modifier, Negotiation,
    NegotiationError, Party, Placements, Usage,
};

const TILED: Modifier = Modifier::new(0x0100_0000_0000_0001);

fn desc(usage: Usage) -> BufferDesc {
    BufferDesc::new("stated", Extent::new(64, 64), Fourcc::XRGB8888, usage)
}

fn gpu() -> Party {
    let modifiers = [TILED, Modifier::LINEAR];
    Party::exporter("gpu", Usage::RENDER).with_modifiers(Fourcc::XRGB8888, &modifiers)
}

#[test]
fn one_party_exports_and_names_differ() {
    let nobody = Negotiation::new(desc(Usage::empty())).solve().unwrap_err();
    assert_eq!(
        nobody.to_string(),
        "a negotiation has one exporter, this one has none"
    );
    let mut second = gpu();
    second.name = "gpu 2".to_owned();
    let two = Negotiation::new(desc(Usage::RENDER))
        .party(gpu())
        .party(second)
        .solve();
    let two = two.unwrap_err().to_string();
    assert_eq!(
        two,
        "a negotiation has one exporter, this one has gpu, gpu 2"
    );
    let twin = Party::importer("gpu", Usage::SAMPLE);
    let twins = Negotiation::new(desc(Usage::RENDER))
        .party(gpu())
        .party(twin)
        .solve();
    assert_eq!(
        twins.unwrap_err().to_string(),
        "two parties are called 'gpu'"
    );
}

#[test]
fn a_use_that_is_nobodys_is_refused() {
    let usage = Usage::RENDER | Usage::SCANOUT | Usage::CPU_READ;
    let refused = Negotiation::new(desc(usage))
        .party(gpu())
        .solve()
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no party has the usage SCANOUT, which the description of 'stated' declares"
    );
    assert!(
        Negotiation::new(desc(usage - Usage::SCANOUT))
            .party(gpu())
            .solve()
            .is_ok()
    );
}

#[test]
fn wrong_descriptions_are_refused() {
    let solve = |desc, other| Negotiation::new(desc).or_format(other).party(gpu()).solve();
    let mut empty = desc(Usage::RENDER);
    empty.extent.height = 0;
    assert!(matches!(
        solve(empty, Fourcc::XRGB8888),
        Err(NegotiationError::Description(
            LayoutError::EmptyExtent { .. }
        ))
    ));
    let unknown = Fourcc::new(1);
    assert!(matches!(
        solve(desc(Usage::RENDER), unknown),
        Err(NegotiationError::Description(LayoutError::UnknownFormat { format })) if format == unknown
    ));
    // Views must be possible with whichever format it becomes.
    let mut viewed = desc(Usage::RENDER);
    viewed.view_formats = vec![Fourcc::ARGB8888];
    assert!(solve(viewed.clone(), Fourcc::XBGR8888).is_ok());
    assert!(matches!(
        solve(viewed, Fourcc::NV12),
        Err(NegotiationError::Description(
            LayoutError::ViewFormat { .. }
        ))
    ));
}

/// What an importer says at attach goes in here, and what comes out is such a constraint.
#[test]
fn constraints_go_in_and_come_out() {
    let mut constraint = AccessConstraint::placements(Placements::HOST | Placements::SHMEM);
    constraint.modifiers = Some(vec![Modifier::LINEAR]);
    constraint.stride_alignment = 96;
    let mut display = Party::importer("display", Usage::SCANOUT)
        .with_modifiers(Fourcc::XRGB8888, &[TILED, Modifier::LINEAR])
        .with_memory(MemoryKinds::contiguous(
            Placements::HOST | Placements::DEVICE,
        ));
    display.layout.stride_alignment = 64;
    let display = display.constrained(&constraint).unwrap();
    let negotiated = Negotiation::new(desc(Usage::RENDER))
        .party(gpu())
        .party(display.clone())
        .solve()
        .unwrap();
    let agreed = negotiated.constraint();
    assert_eq!(agreed.placements, Placements::HOST);
    assert_eq!(agreed.modifiers, Some(vec![Modifier::LINEAR]));
    assert_eq!(agreed.stride_alignment, 192);
    // It is within the importer's own.
    assert_eq!(agreed.intersect(&constraint), Some(agreed));
    constraint.stride_alignment = u32::MAX;
    assert_eq!(display.constrained(&constraint), None);
}

#[test]
fn an_entry_is_as_it_was_built() {
    let entry = FormatSupport::new(Fourcc::NV12, TILED, Usage::SAMPLE)
        .with_memory_planes(3)
        .with_maximum_extent(Extent::new(4096, 2048))
        .with_extent_alignment(Extent::new(2, 1));
    assert_eq!((entry.memory_planes, entry.usage), (Some(3), Usage::SAMPLE));
    for (width, height, is_taken) in [
        (4096, 2048, true),
        (4098, 2048, false),
        (4096, 2049, false),
        (4095, 2048, false),
        (2, 1, true),
    ] {
        assert_eq!(
            entry.takes_extent(Extent::new(width, height)),
            is_taken,
            "{width}x{height}"
        );
    }
    assert_eq!(Usage::empty().to_string(), "no use");
    assert_eq!(
        (Usage::RENDER | Usage::CPU_READ).to_string(),
        "RENDER | CPU_READ"
    );
}
