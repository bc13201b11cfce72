//! Why a negotiation was refused.

use std::fmt;

use crate::image::buffer_desc::Usage;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;
use crate::negotiation::layout_demands::{LayoutControl, LayoutDemands};
use crate::negotiation::memory_kinds::MemoryKinds;
use crate::negotiation::objection::{Modifiers, Objection};
use crate::negotiation::party::Role;

/// Why the parties of a negotiation have no format, layout and memory in common. Its text has a line
/// for each party and one for each objection.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Name of the buffer.
    pub buffer: String,
    /// Size of the image in pixels.
    pub extent: Extent,
    /// The acceptable formats, best first.
    pub formats: Vec<Fourcc>,
    /// All uses of the buffer, by the description and by all parties.
    pub usage: Usage,
    /// All parties, in the order in which they were added.
    pub parties: Vec<RefusedParty>,
}

/// One party of a refusal: what it would have taken, and its objections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedParty {
    /// Name of the party.
    pub name: String,
    /// Whether the party makes the memory or uses it.
    pub role: Role,
    /// How the party uses the buffer.
    pub usage: Usage,
    /// The formats that the party takes for this image, each with its modifiers.
    pub would_take: Vec<(Fourcc, Vec<Modifier>)>,
    /// The party's demands on the layout.
    pub layout: LayoutDemands,
    /// How much of the layout the party leaves to the negotiation.
    pub layout_control: LayoutControl,
    /// The kinds of memory that the party takes or makes.
    pub memory: MemoryKinds,
    /// Conflicts between this party and the others; empty if there are none.
    pub objections: Vec<Objection>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let formats: Vec<_> = self.formats.iter().map(Fourcc::to_string).collect();
        let (buffer, extent, usage) = (&self.buffer, self.extent, self.usage);
        let formats = formats.join(" or ");
        write!(
            f,
            "no common format, layout and memory for '{buffer}' ({formats}, {extent}, {usage}):"
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
    /// Formats one line of what the party takes, without the objections.
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
