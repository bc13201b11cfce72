//! Conflicts between one party and the others.

use std::fmt;

use crate::image::buffer_desc::Usage;
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;
use crate::negotiation::format_support::DisjointPlanes;
use crate::negotiation::layout_demands::LayoutFigure;
use crate::negotiation::memory_kinds::MemoryKinds;

/// A conflict between one party and the others: the party does not take the image, or other parties do
/// not meet its demands. In the variants, "it" is the party.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objection {
    /// It does not take the format.
    NoFormat {
        /// The pixel format.
        format: Fourcc,
    },
    /// It takes the format only with the driver's own, implicit modifier.
    OnlyImplicit {
        /// The pixel format.
        format: Fourcc,
    },
    /// It takes the format, but not for all of its uses in one image.
    NotForUsage {
        /// The pixel format.
        format: Fourcc,
        /// What it does with the buffer.
        usage: Usage,
    },
    /// The CPU uses the buffer, and it does not take the format with LINEAR.
    NotLinear {
        /// The pixel format.
        format: Fourcc,
        /// The modifiers that it takes.
        modifiers: Vec<Modifier>,
    },
    /// The image is too small or too large for it.
    Extent {
        /// The pixel format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// The smallest image that it takes, in pixels.
        minimum: Extent,
        /// The largest image that it takes, in pixels.
        maximum: Extent,
    },
    /// The width or the height is not a multiple of what it demands.
    ExtentAlignment {
        /// The pixel format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// Pixels of which width and height must be multiples.
        alignment: Extent,
    },
    /// Other parties take the format only with other modifiers.
    Modifiers {
        /// The pixel format.
        format: Fourcc,
        /// The modifiers with which it takes this image.
        modifiers: Vec<Modifier>,
        /// The parties that take none of these modifiers. If the list is empty, each party takes some
        /// of them, but no modifier is taken by all.
        not_by: Vec<String>,
    },
    /// It is the only party that does not take these modifiers, and the modifiers that it does take are
    /// unusable.
    LacksModifiers {
        /// The pixel format.
        format: Fourcc,
        /// The modifiers that all other parties take.
        modifiers: Vec<Modifier>,
    },
    /// It states another number of memory planes than other parties, or than the format has.
    MemoryPlanes {
        /// The pixel format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// The numbers of memory planes with which it takes the image.
        counts: Vec<u8>,
    },
    /// It takes planes in one memory and other parties take them in several, or the reverse.
    Disjoint {
        /// The pixel format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// How it takes the planes.
        disjoint: DisjointPlanes,
    },
    /// The stride of a linear image would be too large for it.
    MaximumStride {
        /// The pixel format.
        format: Fourcc,
        /// The largest stride that it takes, in bytes.
        maximum: u32,
        /// The stride that meets all demands, in bytes.
        needed: u64,
    },
    /// The memory of a linear image would be too large for it.
    MaximumSize {
        /// The pixel format.
        format: Fourcc,
        /// The largest memory that it takes, in bytes.
        maximum: u64,
        /// The size that meets all demands, in bytes; `None` if it overflows.
        needed: Option<u64>,
    },
    /// Its demand makes a linear image too large for other parties.
    TooLargeFor {
        /// The pixel format.
        format: Fourcc,
        /// The figure that it demands.
        figure: LayoutFigure,
        /// The value that it demands.
        value: u64,
        /// The parties whose limits are exceeded.
        limited: Vec<String>,
    },
    /// The exporter lays linear images out by itself and does not promise what the party demands.
    NotPromised {
        /// The pixel format.
        format: Fourcc,
        /// The figure that it demands.
        figure: LayoutFigure,
        /// The value that the party demands.
        demanded: u64,
        /// Name of the exporter.
        exporter: String,
        /// The value that the exporter promises.
        promised: u64,
    },
    /// Its alignment and those of other parties have no common multiple that fits.
    NoCommonMultiple {
        /// The figure that is aligned.
        figure: LayoutFigure,
        /// The alignment that it demands, in bytes.
        alignment: u64,
        /// The other parties that demand one.
        with: Vec<String>,
    },
    /// Other parties take other kinds of memory.
    Memory {
        /// The memory that it takes or makes.
        memory: MemoryKinds,
        /// The parties that take none of it. If the list is empty, each party takes some of it, but no
        /// kind is taken by all.
        not_by: Vec<String>,
    },
}

impl Objection {
    /// The format that the objection concerns; `None` if it concerns all formats.
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
                "it takes the format only with an implicit modifier (INVALID), which no other party can read",
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
                "it is the only party that does not take {}",
                Modifiers(modifiers)
            ),
            Self::MemoryPlanes {
                modifier, counts, ..
            } => {
                let counts: Vec<_> = counts.iter().map(u8::to_string).collect();
                let counts = if counts.is_empty() {
                    "no valid number of planes".to_owned()
                } else {
                    format!("{} plane(s)", counts.join(" or "))
                };
                let modifier = Named(*modifier);
                write!(f, "with {modifier} it states {counts} in memory, and other parties do not")
            }
            Self::Disjoint {
                modifier, disjoint, ..
            } => {
                let modifier = Named(*modifier);
                write!(f, "with {modifier} it takes planes in {disjoint}, and other parties do not")
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
                f.write_str("with LINEAR a memory would need ")?;
                match needed {
                    Some(needed) => write!(f, "{needed} bytes")?,
                    None => f.write_str("more bytes than 64 bits can count")?,
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
                "with LINEAR its demand for {} exceeds the limit of {}",
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
                "with LINEAR it demands {}, and '{exporter}' promises {}",
                figure.with(*demanded),
                figure.with(*promised)
            ),
            Self::NoCommonMultiple {
                figure,
                alignment,
                with,
            } => write!(
                f,
                "its demand for {} and the alignment of {} have no common multiple that fits",
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

/// Displays a modifier by its name, or by its value if it has no name.
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
            return f.write_str("suits each other party in part, but none of it suits all");
        }
        write!(f, "does not suit {}", Quoted(self.0))
    }
}
