//! DRM format modifiers.

use std::fmt;

/// A DRM format modifier: how pixels are arranged in memory (linear, tiled, compressed).
///
/// Any value is legal, because vendors define their own (`drm_fourcc.h`, "Format Modifiers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Modifier(u64);

impl Modifier {
    /// `DRM_FORMAT_MOD_LINEAR`: rows one after the other.
    pub const LINEAR: Self = Self(0);
    /// `DRM_FORMAT_MOD_INVALID`: "no modifier given". It names no arrangement of pixels; only the
    /// driver that allocated the memory knows it. It is not [`LINEAR`](Self::LINEAR).
    pub const INVALID: Self = Self(0x00ff_ffff_ffff_ffff);

    /// Wraps the kernel's value.
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The kernel's value.
    pub const fn as_raw(self) -> u64 {
        self.0
    }

    /// Whether this is [`Modifier::LINEAR`].
    pub const fn is_linear(self) -> bool {
        self.0 == Self::LINEAR.0
    }

    /// The vendor part (`fourcc_mod_get_vendor`), 0 for the kernel's own modifiers.
    pub const fn vendor(self) -> u8 {
        self.0.to_be_bytes()[0]
    }
}

impl fmt::Display for Modifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LINEAR => f.write_str("LINEAR"),
            Self::INVALID => f.write_str("INVALID"),
            Self(raw) => write!(f, "{raw:#018x}"),
        }
    }
}
