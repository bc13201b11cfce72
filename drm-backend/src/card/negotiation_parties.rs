//! Displays and dumb buffers as parties of a negotiation.

use dmashare::negotiation::{FormatSupport, LayoutControl, MemoryKinds};
use dmashare::{FormatInfo, Modifier, Party, Placements, Usage};

use crate::card::Card;
use crate::device::dumb_buffers::DumbBuffers;
use crate::kms::output::Output;

impl Card {
    /// The primary plane of an output as a party of a [`Negotiation`](dmashare::Negotiation). It
    /// supports the formats and modifiers of `IN_FORMATS`, extents between the smallest and the largest
    /// framebuffer, and the constraint of
    /// [`set_scanout_constraint`](Self::set_scanout_constraint). KMS does not report requirements on
    /// strides, padding and placement. A disconnected output supports no format.
    pub fn scanout_party(&self, output: &Output) -> Party {
        let capabilities = self.capabilities();
        let formats = output.formats().iter().flat_map(|(format, modifiers)| {
            modifiers.iter().map(move |modifier| {
                let mut support = FormatSupport::new(format, *modifier, Usage::SCANOUT);
                support.minimum_extent = capabilities.minimum_extent;
                support.maximum_extent = capabilities.maximum_extent;
                support
            })
        });
        let name = format!("{}, {}", self.name(), output.name());
        let party = Party::importer(name, Usage::SCANOUT).with_formats(formats);
        // `constrained` fails only if the least common multiple of the stride alignments overflows. This
        // party has no stride alignment of its own.
        let constraint = self.scanout_constraint();
        party.clone().constrained(&constraint).unwrap_or(party)
    }
}

impl DumbBuffers {
    /// Dumb buffers as the exporter of a [`Negotiation`](dmashare::Negotiation): LINEAR images of every
    /// format that this library knows, in host memory. The driver chooses the pitch.
    pub fn party(&self) -> Party {
        let formats = FormatInfo::all()
            .iter()
            .map(|info| FormatSupport::new(info.fourcc, Modifier::LINEAR, Usage::all()));
        Party::exporter(dmashare::Exporter::name(self), Usage::empty())
            .with_formats(formats)
            .with_layout_control(LayoutControl::Exporter)
            .with_memory(MemoryKinds::scattered(Placements::HOST))
    }
}
