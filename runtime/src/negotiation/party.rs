//! Someone who takes part in a buffer.

use std::fmt;

use crate::image::buffer_desc::Usage;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;
use crate::memory::constraint::{AccessConstraint, least_common_multiple};
use crate::negotiation::format_support::FormatSupport;
use crate::negotiation::layout_demands::{LayoutControl, LayoutDemands};
use crate::negotiation::memory_kinds::MemoryKinds;

/// What a party does for a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It makes the memory. There is one in a negotiation; what it does with the buffer besides
    /// (its [`usage`](Party::usage)) it says like everyone else.
    Exporter,
    /// It uses the memory.
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

/// Someone who takes part in a buffer, with all that it takes. Made by [`Party::exporter`] and
/// [`Party::importer`], which take no format and every memory, and by setting members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Party {
    /// Name of the party, in refusals: "Vulkan llvmpipe", "card vkms". No two of a negotiation are
    /// of the same name.
    pub name: String,
    /// Whether it makes the memory.
    pub role: Role,
    /// What it does with the buffer.
    pub usage: Usage,
    /// What it can do, best first. The exporter's order decides where nothing else does.
    pub formats: Vec<FormatSupport>,
    /// How an image must lie in memory.
    pub layout: LayoutDemands,
    /// How much of the layout the exporter leaves to others. Nothing for an importer.
    pub layout_control: LayoutControl,
    /// The memory that it takes, or makes.
    pub memory: MemoryKinds,
}

impl Party {
    /// The party that makes the memory, and itself uses it for `usage`, which may be nothing.
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

    /// Adds formats behind those that it has.
    #[must_use]
    pub fn with_formats(mut self, formats: impl IntoIterator<Item = FormatSupport>) -> Self {
        self.formats.extend(formats);
        self
    }

    /// Adds modifiers of a format, for the party's own usage: what `IN_FORMATS` of a plane
    /// tells.
    #[must_use]
    pub fn with_modifiers(self, format: Fourcc, modifiers: &[Modifier]) -> Self {
        let usage = self.usage;
        let supports = modifiers
            .iter()
            .map(|modifier| FormatSupport::new(format, *modifier, usage));
        self.with_formats(supports)
    }

    /// Sets demands on the layout.
    #[must_use]
    pub fn with_layout(mut self, layout: LayoutDemands) -> Self {
        self.layout = layout;
        self
    }

    /// Sets how much of the layout it leaves to others.
    #[must_use]
    pub fn with_layout_control(mut self, control: LayoutControl) -> Self {
        self.layout_control = control;
        self
    }

    /// Sets the memory that it takes.
    #[must_use]
    pub fn with_memory(mut self, memory: MemoryKinds) -> Self {
        self.memory = memory;
        self
    }

    /// The party within what it says at attach
    /// ([`Importer::constraint`](crate::Importer::constraint)): its placements, its modifiers, its
    /// stride alignment. `None` if the two stride alignments have no common multiple that fits.
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

    /// Its entries for a format and modifier that serve its usage.
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

    /// How much it leaves to the negotiation: an importer makes no layout.
    pub(crate) fn control(&self) -> LayoutControl {
        match self.role {
            Role::Exporter => self.layout_control,
            Role::Importer => LayoutControl::Explicit,
        }
    }
}
