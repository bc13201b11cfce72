//! Finds a format, a layout and memory that all parties take, before any memory is allocated.
//!
//! Each [`Party`] states what it takes: formats and modifiers with the uses they serve, their memory
//! planes and their largest extent ([`FormatSupport`]); strides, offsets and padding
//! ([`LayoutDemands`]); placement and contiguity of memory ([`MemoryKinds`]). [`Negotiation::solve`]
//! returns the best that all of them take ([`Negotiated`]), or a [`Refusal`]: what each party would
//! have taken, and which other parties it conflicts with.
//!
//! ```
//! use dmashare::negotiation::{FormatSupport, LayoutControl, LayoutDemands, MemoryKinds};
//! use dmashare::{
//!     BufferDesc, Extent, Fourcc, Modifier, Negotiation, NegotiationError, Party, Placements, Usage,
//! };
//!
//! # fn main() -> Result<(), NegotiationError> {
//! let (xrgb, tiled) = (Fourcc::XRGB8888, Modifier::new(0x0100_0000_0000_0001));
//! let rendered = |modifier| FormatSupport::new(xrgb, modifier, Usage::RENDER).with_memory_planes(1);
//! let gpu = Party::exporter("gpu", Usage::RENDER)
//!     .with_formats([rendered(Modifier::LINEAR), rendered(tiled)])
//!     .with_layout_control(LayoutControl::Exporter)
//!     .with_memory(MemoryKinds::scattered(Placements::DEVICE | Placements::HOST));
//! let display = Party::importer("display", Usage::SCANOUT)
//!     .with_modifiers(xrgb, &[Modifier::LINEAR, tiled])
//!     .with_memory(MemoryKinds::any(Placements::HOST));
//!
//! let desc = BufferDesc::new("frame", Extent::new(1920, 1080), xrgb, Usage::RENDER);
//! let negotiated = Negotiation::new(desc.clone())
//!     .party(gpu.clone())
//!     .party(display)
//!     .solve()?;
//! assert_eq!(negotiated.modifier_list(), [tiled, Modifier::LINEAR]);
//! assert_eq!(negotiated.constraint().placements, Placements::HOST);
//! assert_eq!(negotiated.desc().usage, Usage::RENDER | Usage::SCANOUT);
//!
//! // An encoder that takes strides in multiples of 256 bytes, which the driver doesn't promise.
//! let mut layout = LayoutDemands::default();
//! layout.stride_alignment = 256;
//! let encoder = Party::importer("encoder", Usage::ENCODE)
//!     .with_modifiers(xrgb, &[Modifier::LINEAR])
//!     .with_layout(layout);
//! let refused = Negotiation::new(desc).party(gpu).party(encoder).solve().unwrap_err();
//! assert_eq!(
//!     refused.to_string(),
//!     "no common format, layout and memory for 'frame' (XR24, 1920x1080, RENDER | ENCODE):\n\
//!      - exporter 'gpu' (RENDER) makes XR24 with LINEAR, I915_FORMAT_MOD_X_TILED; \
//!      scattered pages of device memory or host memory\n\
//!      - importer 'encoder' (ENCODE) takes XR24 with LINEAR; strides in multiples of 256 bytes; \
//!      device memory or host memory or shared memory (memfd) or an unknown place\n  \
//!        - XR24: with LINEAR it demands strides in multiples of 256 bytes, \
//!      and 'gpu' promises strides in multiples of 1 bytes\n  \
//!        - XR24: it is the only party that does not take I915_FORMAT_MOD_X_TILED"
//! );
//! # Ok(()) }
//! ```
//!
//! # What all parties take
//!
//! - A party needs **one entry** that serves all of its uses and the extent, because all its uses are
//!   of one image.
//! - **[`Modifier::INVALID`] is never negotiated.** An implicit modifier means "ask the driver that
//!   allocated it", and no dma-buf of this crate has one ([`Layout::new`](crate::Layout::new)).
//! - **The CPU takes LINEAR only**: it cannot undo a tiled arrangement. If the description or a
//!   party declares [`Usage::CPU_READ`](crate::Usage::CPU_READ) or
//!   [`Usage::CPU_WRITE`](crate::Usage::CPU_WRITE), all other modifiers are excluded.
//! - **Memory planes**: all parties that state their number must state the same one. LINEAR has as
//!   many as the format; a modifier can add some.
//! - **LINEAR needs a layout** that meets all demands, or an exporter that promises one
//!   ([`LayoutControl`]). The smallest layout is chosen: it has only the padding that some party
//!   demands.
//!
//! # The order of preference
//!
//! 1. The format, in the order in which the formats were given.
//! 2. Planes in one memory before planes in several.
//! 3. The modifier: for RENDER, SAMPLE, STORAGE, SCANOUT and ENCODE, LINEAR comes last; for transfers
//!    alone it comes first. Then fewer memory planes (unstated numbers last), then the exporter's
//!    order. The result lists **all** modifiers that all parties take, because drivers choose from a
//!    list.
//! 4. The memory: device, host, memfd, unknown; if the CPU uses the buffer, host, memfd, device,
//!    unknown. In one place, scattered pages come before contiguous ones, which are scarce.
//!
//! # How to use the result
//!
//! Pass [`Negotiated::desc`] and [`Negotiated::constraint`] to
//! [`SharedBuffer::new_dynamic`](crate::SharedBuffer::new_dynamic), or [`Negotiated::modifier_list`] to
//! [`SharedBuffer::new`](crate::SharedBuffer::new). [`Negotiated::check`] checks that the memory that
//! the exporter made is what all parties take. What an importer demands at attach
//! ([`Importer::constraint`](crate::Importer::constraint)) is a part of what it states here;
//! [`Party::constrained`] adds it.
//!
//! Querying drivers is slow; [`QueryCache`] caches their answers.

pub(crate) mod blame;
pub(crate) mod combined_demands;
pub(crate) mod error;
pub(crate) mod format_support;
pub(crate) mod layout_blame;
pub(crate) mod layout_demands;
pub(crate) mod linear_layout;
pub(crate) mod memory_kinds;
pub(crate) mod negotiated;
pub(crate) mod objection;
pub(crate) mod party;
pub(crate) mod preference;
pub(crate) mod query_cache;
pub(crate) mod refusal;
pub(crate) mod solver;

pub use combined_demands::CombinedDemands;
pub use format_support::{DisjointPlanes, FormatSupport};
pub use layout_demands::{LayoutControl, LayoutDemands, LayoutFigure};
pub use linear_layout::LinearLayout;
pub use memory_kinds::{MemoryKind, MemoryKinds};
pub use negotiated::{Negotiated, NegotiatedModifier};
pub use objection::Objection;
pub use party::{Party, Role};
pub use query_cache::{Answer, PartyId, Query, QueryCache};
pub use refusal::{Refusal, RefusedParty};

use crate::image::buffer_desc::{BufferDesc, Usage};
use crate::image::format_info::FormatInfo;
use crate::image::fourcc::Fourcc;
use crate::image::layout_error::LayoutError;
use crate::negotiation::error::NegotiationError;
use solver::Solver;

#[cfg(doc)]
use crate::image::modifier::Modifier;

/// A search for a format, a layout and memory that several parties take. See [the module's page](self).
#[derive(Clone, Debug)]
pub struct Negotiation {
    desc: BufferDesc,
    /// Acceptable formats besides the description's, best first.
    alternatives: Vec<Fourcc>,
    parties: Vec<Party>,
}

impl Negotiation {
    /// Starts a negotiation about a buffer of this description. Its format is the preferred one.
    pub fn new(desc: BufferDesc) -> Self {
        Self {
            desc,
            alternatives: Vec::new(),
            parties: Vec::new(),
        }
    }

    /// Accepts another format if not all parties take the earlier ones.
    #[must_use]
    pub fn or_format(mut self, format: Fourcc) -> Self {
        self.alternatives.push(format);
        self
    }

    /// Adds a party.
    #[must_use]
    pub fn party(mut self, party: Party) -> Self {
        self.parties.push(party);
        self
    }

    /// Returns the best that all parties take.
    ///
    /// # Errors
    /// - [`NegotiationError::Description`]: the description is invalid, by itself or with one of the
    ///   formats; [`LayoutError::UnknownFormat`] if a format is not in the table of [`Fourcc::info`].
    /// - [`NegotiationError::Exporters`]: there is no exporter, or more than one.
    /// - [`NegotiationError::SameName`]: two parties have the same name.
    /// - [`NegotiationError::NobodysUsage`]: the description declares a use that no party has.
    /// - [`NegotiationError::Refused`]: the parties have no format, layout and memory in common.
    pub fn solve(&self) -> Result<Negotiated, NegotiationError> {
        let formats = self.formats()?;
        self.check_parties()?;
        let usage = self.usage()?;
        let solver = Solver {
            desc: &self.desc,
            formats: &formats,
            parties: &self.parties,
            usage,
        };
        let negotiated = solver.solve().ok_or_else(|| {
            let refusal = solver.refusal();
            tracing::debug!(buffer = self.desc.name, %refusal, "negotiation refused");
            NegotiationError::Refused(Box::new(refusal))
        })?;
        tracing::debug!(
            buffer = self.desc.name,
            format = %negotiated.format(),
            modifier = %negotiated.modifiers()[0].modifier,
            "negotiated"
        );
        Ok(negotiated)
    }

    fn formats(&self) -> Result<Vec<&'static FormatInfo>, LayoutError> {
        let mut formats: Vec<&'static FormatInfo> = Vec::new();
        for &format in std::iter::once(&self.desc.format).chain(&self.alternatives) {
            let mut desc = self.desc.clone();
            desc.format = format;
            desc.validate()?;
            let info = format.info().ok_or(LayoutError::UnknownFormat { format })?;
            if !formats.contains(&info) {
                formats.push(info);
            }
        }
        Ok(formats)
    }

    fn check_parties(&self) -> Result<(), NegotiationError> {
        let exporters = self.parties.iter().filter(|it| it.role == Role::Exporter);
        let exporters: Vec<String> = exporters.map(|party| party.name.clone()).collect();
        if exporters.len() != 1 {
            return Err(NegotiationError::Exporters { exporters });
        }
        let mut names: Vec<&str> = self.parties.iter().map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(NegotiationError::SameName {
                name: pair[0].to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// All uses of the buffer, by the description and by all parties.
    fn usage(&self) -> Result<Usage, NegotiationError> {
        let parties = self.parties.iter().map(|party| party.usage);
        let parties = parties.fold(Usage::empty(), Usage::union);
        let cpu = Usage::CPU_READ | Usage::CPU_WRITE;
        let unclaimed = self.desc.usage - parties - cpu;
        if !unclaimed.is_empty() {
            return Err(NegotiationError::NobodysUsage {
                buffer: self.desc.name.clone(),
                usage: unclaimed,
            });
        }
        Ok(self.desc.usage | parties)
    }
}
