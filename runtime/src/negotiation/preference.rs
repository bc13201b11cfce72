//! Which of the things that suit everyone is best.

use crate::image::buffer_desc::Usage;
use crate::memory::placement::Placement;
use crate::negotiation::negotiated::NegotiatedModifier;

/// Uses by the CPU.
const CPU: Usage = Usage::CPU_READ.union(Usage::CPU_WRITE);

/// Uses that touch pixels in blocks, or all over the image: a modifier's arrangement serves them
/// better than rows do.
const PICTURE: Usage = Usage::RENDER
    .union(Usage::SAMPLE)
    .union(Usage::STORAGE)
    .union(Usage::SCANOUT)
    .union(Usage::ENCODE);

/// Whether a buffer of these uses must be linear: the CPU sees bytes, and nothing undoes a modifier's
/// arrangement for it.
pub(crate) fn must_be_linear(usage: Usage) -> bool {
    usage.intersects(CPU)
}

/// Sorts what everyone takes, given in the exporter's order, for these uses.
pub(crate) fn sort_modifiers(modifiers: &mut [NegotiatedModifier], usage: Usage) {
    let linear_is_last = usage.intersects(PICTURE);
    // Stable: the exporter's order remains where nothing else decides. A number of planes that nobody
    // tells comes after those that are told.
    modifiers.sort_by_key(|candidate| {
        (
            candidate.modifier.is_linear() == linear_is_last,
            candidate.memory_planes.unwrap_or(u8::MAX),
        )
    });
}

/// Places, best first.
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
