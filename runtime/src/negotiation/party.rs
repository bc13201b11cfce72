//! A party of a negotiation.

use std::fmt;

use crate::image::buffer_desc::Usage;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;
use crate::memory::constraint::{AccessConstraint, least_common_multiple};
use crate::negotiation::format_support::FormatSupport;
use crate::negotiation::layout_demands::{LayoutControl, LayoutDemands};
use crate::negotiation::memory_kinds::MemoryKinds;

/// Whether a party makes the memory or uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Makes the memory. A negotiation has exactly one exporter, which states its own
    /// [`usage`](Party::usage) of the buffer like the other parties.
    Exporter,
    /// Uses the memory.
    Importer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exporter => "exporter",
            Self::Importer => "importer",
        })
    }
}

/// A device or display that shares the buffer, and what it takes. Make it with [`Party::exporter`] or
/// [`Party::importer`], which start with no formats and all kinds of memory, and set members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Party {
    /// Name of the party, for refusals: "Vulkan llvmpipe", "card vkms". Unique within a negotiation.
    pub name: String,
    /// Whether the party makes the memory or uses it.
    pub role: Role,
    /// How the party uses the buffer.
    pub usage: Usage,
    /// What the party supports, best first. The exporter's order breaks ties.
    pub formats: Vec<FormatSupport>,
    /// Demands on the layout of the image.
    pub layout: LayoutDemands,
    /// How much of the layout the exporter leaves to the negotiation. Ignored for an importer.
    pub layout_control: LayoutControl,
    /// The kinds of memory that the party takes or makes.
    pub memory: MemoryKinds,
}

impl Party {
    /// A party that makes the memory. `usage` is how it uses the memory itself, and may be empty.
    pub fn exporter(name: impl Into<String>, usage: Usage) -> Self {
        Self::new(name.into(), Role::Exporter, usage)
    }

    /// A party that uses the memory for `usage`.
    pub fn importer(name: impl Into<String>, usage: Usage) -> Self {
        Self::new(name.into(), Role::Importer, usage)
    }

    fn new(name: String, role: Role, usage: Usage) -> Self {
        Self {
            name,
            role,
            usage,
            formats: Vec::new(),
            layout: LayoutDemands::default(),
            layout_control: LayoutControl::default(),
            memory: MemoryKinds::default(),
        }
    }

    /// Appends formats.
    #[must_use]
    pub fn with_formats(mut self, formats: impl IntoIterator<Item = FormatSupport>) -> Self {
        self.formats.extend(formats);
        self
    }

    /// Appends modifiers of a format for the party's own usage, as a plane's `IN_FORMATS` lists them.
    #[must_use]
    pub fn with_modifiers(self, format: Fourcc, modifiers: &[Modifier]) -> Self {
        let usage = self.usage;
        let supports = modifiers
            .iter()
            .map(|modifier| FormatSupport::new(format, *modifier, usage));
        self.with_formats(supports)
    }

    /// Sets the demands on the layout.
    #[must_use]
    pub fn with_layout(mut self, layout: LayoutDemands) -> Self {
        self.layout = layout;
        self
    }

    /// Sets how much of the layout the exporter leaves to the negotiation.
    #[must_use]
    pub fn with_layout_control(mut self, control: LayoutControl) -> Self {
        self.layout_control = control;
        self
    }

    /// Sets the kinds of memory that the party takes or makes.
    #[must_use]
    pub fn with_memory(mut self, memory: MemoryKinds) -> Self {
        self.memory = memory;
        self
    }

    /// Limits the party to what it demands at attach
    /// ([`Importer::constraint`](crate::Importer::constraint)): placements, modifiers, stride
    /// alignment. Returns `None` if the two stride alignments have no common multiple that fits.
    #[must_use]
    pub fn constrained(mut self, constraint: &AccessConstraint) -> Option<Self> {
        self.memory = self
            .memory
            .intersect(MemoryKinds::any(constraint.placements));
        if let Some(modifiers) = &constraint.modifiers {
            self.formats
                .retain(|support| modifiers.contains(&support.modifier));
        }
        self.layout.stride_alignment = least_common_multiple(
            self.layout.stride_alignment.max(1),
            constraint.stride_alignment.max(1),
        )?;
        Some(self)
    }

    /// The party's entries for a format and modifier that serve all of its usage.
    pub(crate) fn serving(
        &self,
        format: Fourcc,
        modifier: Modifier,
    ) -> impl Iterator<Item = &FormatSupport> {
        self.formats.iter().filter(move |support| {
            support.format == format
                && support.modifier == modifier
                && support.usage.contains(self.usage)
        })
    }

    /// How much of the layout the party leaves to the negotiation: all of it for an importer, which
    /// makes no layout.
    pub(crate) fn control(&self) -> LayoutControl {
        match self.role {
            Role::Exporter => self.layout_control,
            Role::Importer => LayoutControl::Explicit,
        }
    }
}
