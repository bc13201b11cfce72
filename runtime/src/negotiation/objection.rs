//! What stands between one party and the others.

use std::fmt;

use crate::image::buffer_desc::Usage;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;
use crate::negotiation::format_support::DisjointPlanes;
use crate::negotiation::layout_demands::LayoutFigure;
use crate::negotiation::memory_kinds::MemoryKinds;

/// What stands between one party and the others: a demand of the image that the party does not meet,
/// or a demand of the party that others do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objection {
    /// It does not know the format.
    NoFormat {
        /// The format.
        format: Fourcc,
    },
    /// It takes the format only with the driver's own, implicit modifier.
    OnlyImplicit {
        /// The format.
        format: Fourcc,
    },
    /// It knows the format, but not for all of its uses in one image.
    NotForUsage {
        /// The format.
        format: Fourcc,
        /// What it does with the buffer.
        usage: Usage,
    },
    /// The CPU uses the buffer, and the party does not take the format with LINEAR.
    NotLinear {
        /// The format.
        format: Fourcc,
        /// What it takes.
        modifiers: Vec<Modifier>,
    },
    /// The image is too small or too large for it.
    Extent {
        /// The format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// The smallest image.
        minimum: Extent,
        /// The largest image.
        maximum: Extent,
    },
    /// Width and height are not multiples of what it demands.
    ExtentAlignment {
        /// The format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// Pixels of which they must be multiples.
        alignment: Extent,
    },
    /// Others take the format with other modifiers.
    Modifiers {
        /// The format.
        format: Fourcc,
        /// What the party takes for this image.
        modifiers: Vec<Modifier>,
        /// The parties that take none of them. If the list is empty, each party takes some, but no
        /// two lists meet.
        not_by: Vec<String>,
    },
    /// It alone does not take modifiers that all others do, and those that it takes will not do.
    LacksModifiers {
        /// The format.
        format: Fourcc,
        /// What all others take.
        modifiers: Vec<Modifier>,
    },
    /// It counts other planes in memory than others, or than the format has.
    MemoryPlanes {
        /// The format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// The numbers of planes with which it takes the image.
        counts: Vec<u8>,
    },
    /// It takes planes in one memory and others in several, or the other way round.
    Disjoint {
        /// The format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// What the party takes.
        disjoint: DisjointPlanes,
    },
    /// A linear image's stride would be too large for it.
    MaximumStride {
        /// The format.
        format: Fourcc,
        /// The largest stride that it takes, in bytes.
        maximum: u32,
        /// What all demands together lead to, in bytes.
        needed: u64,
    },
    /// A linear image's memory would be too large for it.
    MaximumSize {
        /// The format.
        format: Fourcc,
        /// The largest memory that it takes, in bytes.
        maximum: u64,
        /// What all demands together lead to, in bytes; `None` if that overflows.
        needed: Option<u64>,
    },
    /// With what it demands, a linear image would be too large for others.
    TooLargeFor {
        /// The format.
        format: Fourcc,
        /// What is demanded.
        figure: LayoutFigure,
        /// How much of it.
        value: u64,
        /// The party whose limit is exceeded.
        limited: Vec<String>,
    },
    /// The exporter lays linear images out by itself, and promises less than the party demands.
    NotPromised {
        /// The format.
        format: Fourcc,
        /// What is demanded.
        figure: LayoutFigure,
        /// How much of it the party demands.
        demanded: u64,
        /// The exporter.
        exporter: String,
        /// How much of it the exporter promises.
        promised: u64,
    },
    /// Its alignment has no common multiple with those of others that fits.
    NoCommonMultiple {
        /// What is aligned.
        figure: LayoutFigure,
        /// The party's alignment, in bytes.
        alignment: u64,
        /// The other parties that state one.
        with: Vec<String>,
    },
    /// Others take other memory.
    Memory {
        /// What the party takes or makes.
        memory: MemoryKinds,
        /// The parties that take none of it. If the list is empty, each party takes some, but no
        /// two lists meet.
        not_by: Vec<String>,
    },
}

impl Objection {
    /// The format that it concerns; `None` if it concerns them all.
    pub fn format(&self) -> Option<Fourcc> {
        match self {
            Self::NoFormat { format }
            | Self::OnlyImplicit { format }
            | Self::NotForUsage { format, .. }
            | Self::NotLinear { format, .. }
            | Self::Extent { format, .. }
            | Self::ExtentAlignment { format, .. }
            | Self::Modifiers { format, .. }
            | Self::LacksModifiers { format, .. }
            | Self::MemoryPlanes { format, .. }
            | Self::Disjoint { format, .. }
            | Self::MaximumStride { format, .. }
            | Self::MaximumSize { format, .. }
            | Self::TooLargeFor { format, .. }
            | Self::NotPromised { format, .. } => Some(*format),
            Self::NoCommonMultiple { .. } | Self::Memory { .. } => None,
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(format) = self.format() {
            write!(f, "{format}: ")?;
        }
        match self {
            Self::NoFormat { .. } => f.write_str("it does not take the format"),
            Self::OnlyImplicit { .. } => f.write_str(
                "it takes the format only with an implicit modifier (INVALID), which nobody else can read",
            ),
            Self::NotForUsage { usage, .. } => {
                write!(f, "it does not take the format for {usage} in one image")
            }
            Self::NotLinear { modifiers, .. } => write!(
                f,
                "the CPU uses the buffer, so it must be LINEAR, and it takes {}",
                Modifiers(modifiers)
            ),
            Self::Extent {
                modifier,
                minimum,
                maximum,
                ..
            } => write!(
                f,
                "with {} it takes images from {minimum} to {maximum} pixels",
                Named(*modifier)
            ),
            Self::ExtentAlignment {
                modifier,
                alignment,
                ..
            } => write!(
                f,
                "with {} it takes widths and heights that are multiples of {alignment}",
                Named(*modifier)
            ),
            Self::Modifiers {
                modifiers, not_by, ..
            } => write!(f, "{} {}", Modifiers(modifiers), Takers(not_by)),
            Self::LacksModifiers { modifiers, .. } => write!(
                f,
                "it alone does not take {}, which all others take",
                Modifiers(modifiers)
            ),
            Self::MemoryPlanes {
                modifier, counts, ..
            } => {
                let counts: Vec<_> = counts.iter().map(u8::to_string).collect();
                let counts = if counts.is_empty() {
                    "no possible number of planes".to_owned()
                } else {
                    format!("{} plane(s)", counts.join(" or "))
                };
                let modifier = Named(*modifier);
                write!(f, "with {modifier} it counts {counts} in memory, and others do not")
            }
            Self::Disjoint {
                modifier, disjoint, ..
            } => {
                let modifier = Named(*modifier);
                write!(f, "with {modifier} it takes planes in {disjoint}, and others do not")
            }
            Self::MaximumStride {
                maximum, needed, ..
            } => write!(
                f,
                "with LINEAR the stride would be {needed} bytes, and it takes {maximum} at most"
            ),
            Self::MaximumSize {
                maximum, needed, ..
            } => {
                f.write_str("with LINEAR a memory would have ")?;
                match needed {
                    Some(needed) => write!(f, "{needed} bytes")?,
                    None => f.write_str("more bytes than can be counted")?,
                }
                write!(f, ", and it takes {maximum} at most")
            }
            Self::TooLargeFor {
                figure,
                value,
                limited,
                ..
            } => write!(
                f,
                "with LINEAR its {} lead past the limit of {}",
                figure.with(*value),
                Quoted(limited)
            ),
            Self::NotPromised {
                figure,
                demanded,
                exporter,
                promised,
                ..
            } => write!(
                f,
                "with LINEAR it demands {}, and '{exporter}' makes {}",
                figure.with(*demanded),
                figure.with(*promised)
            ),
            Self::NoCommonMultiple {
                figure,
                alignment,
                with,
            } => write!(
                f,
                "{} cannot also be what {} demand(s)",
                figure.with(*alignment),
                Quoted(with)
            ),
            Self::Memory { memory, not_by } => write!(f, "{memory} {}", Takers(not_by)),
        }
    }
}

impl fmt::Display for DisjointPlanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "one memory",
            Self::Allowed => "one memory or several",
            Self::Required => "several memories",
        })
    }
}

/// A modifier by its name, if it has one, and its value.
pub(crate) struct Named(pub(crate) Modifier);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

pub(crate) struct Modifiers<'a>(pub(crate) &'a [Modifier]);

impl fmt::Display for Modifiers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|one| Named(*one).to_string()).collect();
        f.write_str(&names.join(", "))
    }
}

struct Quoted<'a>(&'a [String]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|name| format!("'{name}'")).collect();
        f.write_str(&names.join(", "))
    }
}

struct Takers<'a>(&'a [String]);

impl fmt::Display for Takers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("suits some of the others, but none of it suits all");
        }
        write!(f, "does not suit {}", Quoted(self.0))
    }
}
