//! The order of preference among modifiers and places that all parties take.

use crate::image::buffer_desc::Usage;
use crate::memory::placement::Placement;
use crate::negotiation::negotiated::NegotiatedModifier;

/// Uses by the CPU.
const CPU: Usage = Usage::CPU_READ.union(Usage::CPU_WRITE);

/// Uses that access pixels in blocks, or all over the image. Tiled arrangements serve them better than
/// rows.
const PICTURE: Usage = Usage::RENDER
    .union(Usage::SAMPLE)
    .union(Usage::STORAGE)
    .union(Usage::SCANOUT)
    .union(Usage::ENCODE);

/// Whether a buffer of these uses must be linear: the CPU sees bytes and cannot undo a tiled
/// arrangement.
pub(crate) fn must_be_linear(usage: Usage) -> bool {
    usage.intersects(CPU)
}

/// Sorts the modifiers that all parties take, best first. They are given in the exporter's order.
pub(crate) fn sort_modifiers(modifiers: &mut [NegotiatedModifier], usage: Usage) {
    let linear_is_last = usage.intersects(PICTURE);
    // The sort is stable, so the exporter's order breaks ties. An unstated number of planes sorts after
    // the stated ones.
    modifiers.sort_by_key(|candidate| {
        (
            candidate.modifier.is_linear() == linear_is_last,
            candidate.memory_planes.unwrap_or(u8::MAX),
        )
    });
}

/// The places, best first.
pub(crate) fn placements(usage: Usage) -> [Placement; Placement::COUNT] {
    if usage.intersects(CPU) {
        [
            Placement::Host,
            Placement::Shmem,
            Placement::Device,
            Placement::Unknown,
        ]
    } else {
        [
            Placement::Device,
            Placement::Host,
            Placement::Shmem,
            Placement::Unknown,
        ]
    }
}
