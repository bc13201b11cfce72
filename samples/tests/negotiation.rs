//! Vulkan devices and displays negotiate, and what they agree on works.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::negotiation::{LayoutControl, Role};
use dmashare::{
    AccessConstraint, BufferDesc, Exporter, Extent, Fourcc, Modifier, Negotiation,
    NegotiationError, Party, Placements, SharedBuffer, Usage,
};
use support::display::open_display;
use support::{device, displays, map};

const EXTENT: Extent = Extent::new(640, 480);

fn desc(format: Fourcc, extent: Extent) -> BufferDesc {
    BufferDesc::new("negotiated", extent, format, Usage::RENDER)
}

/// The devices that draw, sample and show agree, format by format, and all attach the memory that is
/// made. Where they do not agree, it does not work by hand either.
#[test]
fn what_vulkan_and_a_display_agree_on_is_imported_by_all() {
    let _displays = displays();
    let (draws, samples) = (device(), device());
    let (card, output) = open_display(0);
    let mut agreed = Vec::new();
    for format in dmashare_vk::fourccs() {
        let negotiation = Negotiation::new(desc(format, EXTENT))
            .party(draws.exporter_party(&[format], Usage::RENDER).unwrap())
            .party(samples_party(&samples, format))
            .party(card.scanout_party(&output));
        let made = match negotiation.solve() {
            Ok(negotiated) => {
                let desc = negotiated.desc().clone();
                let modifiers = negotiated.modifier_list();
                let buffer = SharedBuffer::new(&draws, desc, &modifiers).unwrap();
                let backing = buffer.backing();
                let layout = backing.dmabuf().layout();
                assert!(modifiers.contains(&layout.modifier()), "{format}");
                agreed.push(format);
                Ok(buffer)
            }
            Err(NegotiationError::Refused(refusal)) => Err(refusal),
            Err(error) => panic!("{format}: {error}"),
        };
        match made {
            Ok(buffer) => {
                map(&buffer, &draws);
                map(&buffer, &samples);
                map(&buffer, &card);
            }
            Err(refusal) => {
                let usage = Usage::RENDER | Usage::SAMPLE | Usage::SCANOUT;
                let asked = BufferDesc::new("by hand", EXTENT, format, usage);
                let by_hand = SharedBuffer::new(&draws, asked, &[Modifier::LINEAR]);
                let all = by_hand.is_ok_and(|buffer| {
                    buffer.attach(&samples).is_ok_and(|it| it.map().is_ok())
                        && output.formats().contains(format, Modifier::LINEAR)
                });
                assert!(!all, "{format} works all the same: {refusal}");
            }
        }
    }
    for format in [Fourcc::XRGB8888, Fourcc::ARGB8888] {
        assert!(agreed.contains(&format), "{agreed:?}");
    }
}

fn samples_party(device: &dmashare_vk::Device, format: Fourcc) -> Party {
    let mut party = device.importer_party(&[format], Usage::SAMPLE).unwrap();
    // The same driver as the one that draws, by another name.
    party.name += ", a second time";
    party
}

/// Dumb buffers of a display, drawn into by llvmpipe, which needs room for blocks of 4x4 pixels.
#[test]
fn room_that_a_driver_needs_is_negotiated() {
    let _displays = displays();
    let (draws, (card, output)) = (device(), open_display(0));
    let ask = |exporter: Party, extent| {
        Negotiation::new(desc(Fourcc::XRGB8888, extent))
            .party(exporter)
            .party(
                draws
                    .importer_party(&[Fourcc::XRGB8888], Usage::RENDER)
                    .unwrap(),
            )
            .solve()
    };
    // An explicit layout has room...
    let mut explicit = card.dumb_buffers().party();
    explicit.layout_control = LayoutControl::Explicit;
    let negotiated = ask(explicit, Extent::new(333, 77)).unwrap();
    let layout = negotiated.linear_layout().unwrap();
    assert!(layout.planes()[0].stride >= 336 * 4 && layout.planes()[0].stride % 16 == 0);
    // ...and a driver that promises nothing is refused by name.
    let refused = ask(card.dumb_buffers().party(), Extent::new(333, 77)).unwrap_err();
    let text = refused.to_string();
    for word in [
        "multiples of 16 bytes",
        card.dumb_buffers().name(),
        "llvmpipe",
    ] {
        assert!(text.contains(word), "{text}");
    }
    // A display's own demands are a part of what it says.
    let mut constraint = AccessConstraint::placements(Placements::SHMEM);
    constraint.stride_alignment = 256;
    card.set_scanout_constraint(constraint);
    let party = card.scanout_party(&output);
    card.set_scanout_constraint(AccessConstraint::default());
    assert_eq!(party.role, Role::Importer);
    assert_eq!(party.memory.placements(), Placements::SHMEM);
    assert_eq!(party.layout.stride_alignment, 256);
    assert!(!party.formats.is_empty());
    let maximum = card.capabilities().maximum_extent;
    assert!(
        party
            .formats
            .iter()
            .all(|support| support.maximum_extent == maximum)
    );
}

/// Odd sizes of subsampled formats are no images in Vulkan, and the refusal says so.
#[test]
fn half_a_chroma_sample_is_refused() {
    let device = device();
    let nv12 = [Fourcc::NV12];
    let ask = |width| {
        let desc = BufferDesc::new("odd", Extent::new(width, 48), Fourcc::NV12, Usage::SAMPLE);
        Negotiation::new(desc)
            .party(device.exporter_party(&nv12, Usage::SAMPLE).unwrap())
            .solve()
    };
    ask(64).unwrap();
    let refused = ask(63).unwrap_err().to_string();
    assert!(
        refused.contains("63x48") && refused.contains("multiple"),
        "{refused}"
    );
}
