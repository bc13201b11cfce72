//! What a refusal says.

use dmashare::negotiation::{DisjointPlanes, FormatSupport, LayoutDemands, MemoryKinds, Objection};
use dmashare::{
    BufferDesc, Extent, Fourcc, Modifier, Negotiation, NegotiationError, Party, Placements, Usage,
};

use crate::awkward::objections;

const X_TILED: Modifier = Modifier::new(0x0100_0000_0000_0001);
const OTHERS: Modifier = Modifier::new(0x0700_0000_0000_0001);

fn party(name: &str, usage: Usage, modifiers: &[Modifier]) -> Party {
    let party = if name == "gpu" {
        Party::exporter(name, usage)
    } else {
        Party::importer(name, usage)
    };
    party.with_modifiers(Fourcc::XRGB8888, modifiers)
}

fn desc(width: u32, height: u32) -> BufferDesc {
    let extent = Extent::new(width, height);
    BufferDesc::new("frame", extent, Fourcc::XRGB8888, Usage::empty())
}

fn refused(parties: &[Party]) -> NegotiationError {
    let negotiation = Negotiation::new(desc(640, 480));
    let negotiation = parties
        .iter()
        .cloned()
        .fold(negotiation, Negotiation::party);
    negotiation.solve().unwrap_err()
}

#[test]
fn it_tells_party_by_party() {
    let gpu = party("gpu", Usage::RENDER, &[X_TILED, Modifier::LINEAR])
        .with_memory(MemoryKinds::any(Placements::DEVICE));
    let display = party("card", Usage::SCANOUT, &[OTHERS, Modifier::INVALID])
        .with_memory(MemoryKinds::contiguous(Placements::HOST));
    let encoder = party("encoder", Usage::ENCODE, &[Modifier::LINEAR]);
    assert_eq!(
        refused(&[gpu, display, encoder]).to_string(),
        "no common format, layout and memory for 'frame' (XR24, 640x480, RENDER | SCANOUT | ENCODE):\n\
         - exporter 'gpu' (RENDER) makes XR24 with I915_FORMAT_MOD_X_TILED, LINEAR; device memory\n  \
           - XR24: I915_FORMAT_MOD_X_TILED, LINEAR does not suit 'card'\n  \
           - device memory does not suit 'card'\n\
         - importer 'card' (SCANOUT) takes XR24 with 0x0700000000000001; contiguous host memory\n  \
           - XR24: 0x0700000000000001 does not suit 'gpu', 'encoder'\n  \
           - contiguous host memory does not suit 'gpu'\n\
         - importer 'encoder' (ENCODE) takes XR24 with LINEAR; device memory or host memory or \
         shared memory (memfd) or an unknown place\n  \
           - XR24: LINEAR does not suit 'card'"
    );
}

#[test]
fn what_a_party_does_not_take_at_all_is_said() {
    let format = Fourcc::XRGB8888;
    let of =
        |support: FormatSupport| Party::importer("other", Usage::SCANOUT).with_formats([support]);
    let linear = FormatSupport::new(format, Modifier::LINEAR, Usage::all());
    let mut small = linear;
    small.minimum_extent = Extent::new(641, 1);
    let table = [
        (
            of(FormatSupport::new(
                Fourcc::NV12,
                Modifier::LINEAR,
                Usage::all(),
            )),
            "XR24: it does not take the format",
        ),
        (
            of(FormatSupport::new(format, Modifier::INVALID, Usage::all())),
            "XR24: it takes the format only with an implicit modifier (INVALID), which no other party can read",
        ),
        (
            of(FormatSupport::new(format, Modifier::LINEAR, Usage::SAMPLE)),
            "XR24: it does not take the format for SCANOUT in one image",
        ),
        (
            of(linear.with_maximum_extent(Extent::new(640, 479))),
            "XR24: with LINEAR it takes images from 1x1 to 640x479 pixels",
        ),
        (
            of(small),
            "XR24: with LINEAR it takes images from 641x1 to 4294967295x4294967295 pixels",
        ),
        (
            of(linear.with_extent_alignment(Extent::new(1, 7))),
            "XR24: with LINEAR it takes widths and heights that are multiples of 1x7",
        ),
        (
            of(linear.with_memory_planes(5)),
            "XR24: with LINEAR it states no valid number of planes in memory, and other parties do not",
        ),
        (
            of(linear.with_memory_planes(2)),
            "XR24: with LINEAR it states 2 plane(s) in memory, and other parties do not",
        ),
    ];
    for (other, expected) in table {
        let error = refused(&[party("gpu", Usage::RENDER, &[Modifier::LINEAR]), other]);
        let said: Vec<_> = objections(&error).iter().map(ToString::to_string).collect();
        // Where the others' word is one of them, it is the other side of the same.
        assert!(said.contains(&expected.to_owned()), "{expected}: {said:?}");
    }
}

/// Two uses are of one image: two entries with one each are not enough.
#[test]
fn uses_are_of_one_image() {
    let entry = |usage| FormatSupport::new(Fourcc::XRGB8888, Modifier::LINEAR, usage);
    let split = [entry(Usage::RENDER), entry(Usage::SAMPLE)];
    let gpu = Party::exporter("gpu", Usage::RENDER | Usage::SAMPLE).with_formats(split);
    let error = refused(std::slice::from_ref(&gpu));
    assert!(matches!(
        objections(&error)[..],
        [Objection::NotForUsage { .. }]
    ));
    let whole = gpu.with_formats([entry(Usage::RENDER | Usage::SAMPLE)]);
    assert!(Negotiation::new(desc(1, 1)).party(whole).solve().is_ok());
}

/// INVALID is not LINEAR, and not the same for any two.
#[test]
fn implicit_modifiers_are_nobodys_common_ground() {
    let gpu = party("gpu", Usage::RENDER, &[Modifier::INVALID]);
    let display = party("card", Usage::SCANOUT, &[Modifier::INVALID]);
    let refusal = objections(&refused(&[gpu.clone(), display.clone()]));
    assert!(
        refusal
            .iter()
            .all(|it| matches!(it, Objection::OnlyImplicit { .. }))
    );
    assert_eq!(refusal.len(), 2);
    let linear = party("card", Usage::SCANOUT, &[Modifier::LINEAR]);
    assert_eq!(objections(&refused(&[gpu, linear])).len(), 2);
    let gpu = party("gpu", Usage::RENDER, &[Modifier::INVALID, Modifier::LINEAR]);
    let display = display.with_modifiers(Fourcc::XRGB8888, &[Modifier::LINEAR]);
    let negotiated = Negotiation::new(desc(8, 8))
        .party(gpu)
        .party(display)
        .solve();
    assert_eq!(negotiated.unwrap().modifier_list(), [Modifier::LINEAR]);
}

#[test]
fn the_cpu_leaves_only_linear() {
    let gpu = party("gpu", Usage::RENDER, &[X_TILED]);
    let reader = party("reader", Usage::CPU_READ, &[X_TILED, Modifier::LINEAR]);
    let said = refused(&[gpu, reader]).to_string();
    let expected =
        "the CPU uses the buffer, so it must be LINEAR, and it takes I915_FORMAT_MOD_X_TILED";
    assert!(said.contains(expected), "{said}");
}

/// Each two of three have something in common, all three have not.
#[test]
fn what_suits_only_some_is_said_of_all() {
    let pairs = [
        [X_TILED, OTHERS],
        [OTHERS, Modifier::LINEAR],
        [Modifier::LINEAR, X_TILED],
    ];
    let [one, two, three] = pairs;
    let parties = [
        party("gpu", Usage::RENDER, &one),
        party("card", Usage::SCANOUT, &two),
        party("encoder", Usage::ENCODE, &three),
    ];
    let said = objections(&refused(&parties));
    assert_eq!(said.len(), 3);
    assert!(
        said.iter()
            .all(|it| it.to_string().contains("none of it suits all")),
        "{said:?}"
    );

    let places = [
        Placements::DEVICE | Placements::HOST,
        Placements::HOST | Placements::SHMEM,
        Placements::SHMEM | Placements::DEVICE,
    ];
    let names = ["gpu", "card", "encoder"];
    let parties: Vec<_> = names
        .iter()
        .zip(places)
        .map(|(name, places)| {
            let party = party(name, Usage::SAMPLE, &[Modifier::LINEAR]);
            party.with_memory(MemoryKinds::any(places))
        })
        .collect();
    let said = objections(&refused(&parties));
    assert_eq!(said.len(), 3);
    assert!(
        said.iter()
            .all(|it| matches!(it, Objection::Memory { not_by, .. } if not_by.is_empty()))
    );
}

#[test]
fn contiguous_and_scattered_memory_are_not_the_same() {
    let heap = party("gpu", Usage::empty(), &[Modifier::LINEAR])
        .with_memory(MemoryKinds::scattered(Placements::HOST));
    let display = party("card", Usage::SCANOUT, &[Modifier::LINEAR])
        .with_memory(MemoryKinds::contiguous(Placements::HOST));
    let said = refused(&[heap.clone(), display.clone()]).to_string();
    assert!(
        said.contains("- scattered pages of host memory does not suit 'card'"),
        "{said}"
    );
    let reserved = heap.with_memory(MemoryKinds::contiguous(Placements::HOST));
    assert!(
        Negotiation::new(desc(8, 8))
            .party(reserved)
            .party(display)
            .solve()
            .is_ok()
    );
}

#[test]
fn one_who_spoils_the_last_choice_is_blamed() {
    // LINEAR suits all but for its planes; the other modifier would do, but for the encoder.
    let gpu = party("gpu", Usage::RENDER, &[X_TILED, Modifier::LINEAR]);
    let linear = FormatSupport::new(Fourcc::XRGB8888, Modifier::LINEAR, Usage::all());
    let card =
        party("card", Usage::SCANOUT, &[X_TILED]).with_formats([linear.with_memory_planes(2)]);
    let encoder = party("encoder", Usage::ENCODE, &[Modifier::LINEAR]);
    let error = refused(&[gpu, card, encoder]);
    let NegotiationError::Refused(refusal) = error else {
        panic!("{error}")
    };
    let objections = |index: usize| &refusal.parties[index].objections[..];
    assert!(objections(0).is_empty());
    assert!(matches!(objections(1), [Objection::MemoryPlanes { .. }]));
    let lacking = Objection::LacksModifiers {
        format: Fourcc::XRGB8888,
        modifiers: vec![X_TILED],
    };
    assert_eq!(objections(2), [lacking]);
}

#[test]
fn planes_that_fit_into_several_memories_are_not_called_too_large() {
    let mut support = FormatSupport::new(Fourcc::NV12, Modifier::LINEAR, Usage::all());
    support.disjoint = DisjointPlanes::Allowed;
    // One memory would need 1020 bytes; two need 680 and 340.
    let mut layout = LayoutDemands::default();
    layout.maximum_size = 1000;
    let mut desc = desc(20, 34);
    desc.format = Fourcc::NV12;
    let camera = Party::exporter("camera", Usage::CPU_WRITE)
        .with_formats([support])
        .with_layout(layout)
        .with_memory(MemoryKinds::any(Placements::HOST));
    let negotiation = |memory| {
        let encoder = Party::importer("encoder", Usage::ENCODE)
            .with_formats([support])
            .with_memory(MemoryKinds::any(memory));
        let negotiation = Negotiation::new(desc.clone());
        negotiation.party(camera.clone()).party(encoder).solve()
    };
    assert!(negotiation(Placements::HOST).unwrap().is_disjoint());
    let found = objections(&negotiation(Placements::DEVICE).unwrap_err());
    let is_of_memory = |objection: &Objection| matches!(objection, Objection::Memory { .. });
    assert!(found.iter().all(is_of_memory), "{found:?}");
}
