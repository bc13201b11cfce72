//! DRM format modifiers.

use std::fmt;

/// A DRM format modifier: how pixels are arranged in memory (linear, tiled, compressed).
///
/// Any value is allowed, because vendors define their own (`drm_fourcc.h`, "Format Modifiers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Modifier(u64);

impl Modifier {
    /// `DRM_FORMAT_MOD_LINEAR`: rows follow each other.
    pub const LINEAR: Self = Self(0);
    /// `DRM_FORMAT_MOD_INVALID`: no explicit modifier. Only the driver that allocated the memory knows
    /// how its pixels are arranged. This is not [`LINEAR`](Self::LINEAR).
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

    /// The name in `drm_fourcc.h` without `DRM_FORMAT_MOD_`, for messages only. `None` for most vendors'
    /// modifiers, which are sets of parameters without a name.
    pub const fn name(self) -> Option<&'static str> {
        // Indexed by the n of fourcc_mod_code(INTEL, n).
        const INTEL: [&str; 18] = [
            "",
            "I915_FORMAT_MOD_X_TILED",
            "I915_FORMAT_MOD_Y_TILED",
            "I915_FORMAT_MOD_Yf_TILED",
            "I915_FORMAT_MOD_Y_TILED_CCS",
            "I915_FORMAT_MOD_Yf_TILED_CCS",
            "I915_FORMAT_MOD_Y_TILED_GEN12_RC_CCS",
            "I915_FORMAT_MOD_Y_TILED_GEN12_MC_CCS",
            "I915_FORMAT_MOD_Y_TILED_GEN12_RC_CCS_CC",
            "I915_FORMAT_MOD_4_TILED",
            "I915_FORMAT_MOD_4_TILED_DG2_RC_CCS",
            "I915_FORMAT_MOD_4_TILED_DG2_MC_CCS",
            "I915_FORMAT_MOD_4_TILED_DG2_RC_CCS_CC",
            "I915_FORMAT_MOD_4_TILED_MTL_RC_CCS",
            "I915_FORMAT_MOD_4_TILED_MTL_MC_CCS",
            "I915_FORMAT_MOD_4_TILED_MTL_RC_CCS_CC",
            "I915_FORMAT_MOD_4_TILED_LNL_CCS",
            "I915_FORMAT_MOD_4_TILED_BMG_CCS",
        ];
        match self.0.to_be_bytes() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Some("LINEAR"),
            [0, 255, 255, 255, 255, 255, 255, 255] => Some("INVALID"),
            [1, 0, 0, 0, 0, 0, 0, number @ 1..18] => Some(INTEL[number as usize]),
            _ => None,
        }
    }

    /// The vendor (`fourcc_mod_get_vendor`); 0 for the kernel's own modifiers.
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
