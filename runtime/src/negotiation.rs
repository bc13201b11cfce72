//! Which layout suits everyone, before any memory is made.
//!
//! Each [`Party`] states what it takes: formats and modifiers with the uses they serve, their planes
//! in memory and their largest extent ([`FormatSupport`]); strides, offsets and padding
//! ([`LayoutDemands`]); places and contiguity of memory ([`MemoryKinds`]). [`Negotiation::solve`]
//! gives the best that all of them take ([`Negotiated`]), or tells party by party what each would have
//! taken and who stands in whose way ([`Refusal`]).
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
//! // An encoder that takes rows of multiples of 256 bytes, which the driver doesn't promise.
//! let mut layout = LayoutDemands::default();
//! layout.stride_alignment = 256;
//! let encoder = Party::importer("encoder", Usage::ENCODE)
//!     .with_modifiers(xrgb, &[Modifier::LINEAR])
//!     .with_layout(layout);
//! let refused = Negotiation::new(desc).party(gpu).party(encoder).solve().unwrap_err();
//! assert_eq!(
//!     refused.to_string(),
//!     "nothing suits everyone for 'frame' (XR24, 1920x1080, RENDER | ENCODE):\n\
//!      - exporter 'gpu' (RENDER) makes XR24 with LINEAR, I915_FORMAT_MOD_X_TILED; \
//!      scattered pages of device memory or host memory\n\
//!      - importer 'encoder' (ENCODE) takes XR24 with LINEAR; strides multiples of 256 bytes; \
//!      device memory or host memory or shared memory (memfd) or an unknown place\n  \
//!        - XR24: with LINEAR it demands strides multiples of 256 bytes, \
//!      and 'gpu' makes strides multiples of 1 bytes\n  \
//!        - XR24: it alone does not take I915_FORMAT_MOD_X_TILED, which all others take"
//! );
//! # Ok(()) }
//! ```
//!
//! # What suits everyone
//!
//! - A party needs **one entry** that serves all of its uses and the extent: its uses are of one image.
//! - **[`Modifier::INVALID`] is never negotiated.** An implicit modifier means "ask the driver that
//!   allocated it", and no dma-buf of this crate has one ([`Layout::new`](crate::Layout::new)).
//! - **The CPU takes LINEAR only**: nothing undoes another arrangement for it. If the description or a
//!   party declares [`Usage::CPU_READ`](crate::Usage::CPU_READ) or
//!   [`Usage::CPU_WRITE`](crate::Usage::CPU_WRITE), all others are out.
//! - **Planes in memory** are counted alike by everyone who tells their number. LINEAR has as many as
//!   the format; a modifier can add some.
//! - **LINEAR needs a layout** that meets all demands, or an exporter that promises one
//!   ([`LayoutControl`]). It is the least one: what is padded is what someone demanded.
//!
//! # The order of preference
//!
//! 1. The format, in the order in which they were given.
//! 2. Planes in one memory, before planes in several.
//! 3. The modifier: for RENDER, SAMPLE, STORAGE, SCANOUT and ENCODE every other before LINEAR, for
//!    transfers alone LINEAR before every other. Then fewer planes in memory (untold ones last), then
//!    the exporter's order. **All** that suit everyone are given: drivers choose from a list.
//! 4. The memory: device, host, memfd, unknown; with the CPU host, memfd, device, unknown. In one
//!    place scattered pages before contiguous ones, which are scarce.
//!
//! # Then
//!
//! [`Negotiated::desc`] and [`Negotiated::constraint`] go to
//! [`SharedBuffer::new_dynamic`](crate::SharedBuffer::new_dynamic), [`Negotiated::modifier_list`] to
//! [`SharedBuffer::new`](crate::SharedBuffer::new). [`Negotiated::check`] tells whether the memory that
//! the exporter made is what everyone takes. What an importer says at attach
//! ([`Importer::constraint`](crate::Importer::constraint)) is a part of what it says here, and
//! [`Party::constrained`] puts it in.
//!
//! Drivers are slow to ask; [`QueryCache`] keeps what they answer.

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

/// A question to several parties: which layout suits you all? See [the module's page](self).
#[derive(Clone, Debug)]
pub struct Negotiation {
    desc: BufferDesc,
    /// Acceptable formats besides that of the description.
    alternatives: Vec<Fourcc>,
    parties: Vec<Party>,
}

impl Negotiation {
    /// A negotiation about a buffer of this description. Its format is the one liked best.
    pub fn new(desc: BufferDesc) -> Self {
        Self {
            desc,
            alternatives: Vec::new(),
            parties: Vec::new(),
        }
    }

    /// Accepts another format too, if those before do not suit everyone.
    #[must_use]
    pub fn or_format(mut self, format: Fourcc) -> Self {
        self.alternatives.push(format);
        self
    }

    /// Asks this party too.
    #[must_use]
    pub fn party(mut self, party: Party) -> Self {
        self.parties.push(party);
        self
    }

    /// The best that suits everyone.
    ///
    /// # Errors
    /// - [`NegotiationError::Description`]: the description is wrong in itself, or with one of the
    ///   formats; [`LayoutError::UnknownFormat`] if one is not in the table of [`Fourcc::info`].
    /// - [`NegotiationError::Exporters`], [`NegotiationError::SameName`]: not one party makes the
    ///   memory, or two have the same name.
    /// - [`NegotiationError::NobodysUsage`]: a use is declared that is no party's.
    /// - [`NegotiationError::Refused`]: nothing suits everyone.
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
            tracing::debug!(buffer = self.desc.name, %refusal, "nothing suits everyone");
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

    /// Everything that anyone does with the buffer.
    fn usage(&self) -> Result<Usage, NegotiationError> {
        let parties = self.parties.iter().map(|party| party.usage);
        let parties = parties.fold(Usage::empty(), Usage::union);
        let cpu = Usage::CPU_READ | Usage::CPU_WRITE;
        let nobodys = self.desc.usage - parties - cpu;
        if !nobodys.is_empty() {
            return Err(NegotiationError::NobodysUsage {
                buffer: self.desc.name.clone(),
                usage: nobodys,
            });
        }
        Ok(self.desc.usage | parties)
    }
}
