//! Why nothing suits everyone.

use std::fmt;

use crate::image::buffer_desc::Usage;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;
use crate::negotiation::layout_demands::{LayoutControl, LayoutDemands};
use crate::negotiation::memory_kinds::MemoryKinds;
use crate::negotiation::objection::{Modifiers, Objection};
use crate::negotiation::party::Role;

/// Why nothing suits everyone, party by party. Its text has a line for each party and one for each
/// objection.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The buffer's name.
    pub buffer: String,
    /// Size of the image in pixels.
    pub extent: Extent,
    /// The formats that were acceptable, best first.
    pub formats: Vec<Fourcc>,
    /// Everything that anyone would have done with it.
    pub usage: Usage,
    /// Every party, in the order in which they were stated.
    pub parties: Vec<RefusedParty>,
}

/// One party of a refusal: what it would have taken, and what stands between it and the others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedParty {
    /// Name of the party.
    pub name: String,
    /// Whether it makes the memory.
    pub role: Role,
    /// What it does with the buffer.
    pub usage: Usage,
    /// The formats that it would have taken for this image, each with its modifiers.
    pub would_take: Vec<(Fourcc, Vec<Modifier>)>,
    /// How the image would have had to lie in memory.
    pub layout: LayoutDemands,
    /// The party that decides about the layout.
    pub layout_control: LayoutControl,
    /// The memory that it would have taken or made.
    pub memory: MemoryKinds,
    /// What stands between it and the others; empty if no party objects.
    pub objections: Vec<Objection>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let formats: Vec<_> = self.formats.iter().map(Fourcc::to_string).collect();
        let (buffer, extent, usage) = (&self.buffer, self.extent, self.usage);
        let formats = formats.join(" or ");
        write!(
            f,
            "nothing suits everyone for '{buffer}' ({formats}, {extent}, {usage}):"
        )?;
        for party in &self.parties {
            write!(f, "\n- {party}")?;
            for objection in &party.objections {
                write!(f, "\n  - {objection}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for RefusedParty {
    /// What it would have taken, in one line; the objections are not part of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, memory) = match self.role {
            Role::Exporter => ("makes", self.memory),
            Role::Importer => ("takes", self.memory),
        };
        write!(f, "{} '{}' ({}) {verb} ", self.role, self.name, self.usage)?;
        if self.would_take.is_empty() {
            f.write_str("none of the formats for this image")?;
        }
        for (index, (format, modifiers)) in self.would_take.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{format} with {}", Modifiers(modifiers))?;
        }
        let demands = self.layout.to_string();
        if !demands.is_empty() {
            write!(f, "; {demands}")?;
        }
        write!(f, "; {memory}")
    }
}
