//! Display modes.

use std::fmt;

use dmashare::Extent;
use drm::control::ModeTypeFlags;
use drm_ffi::drm_mode_modeinfo;

use crate::error::ModeError;

/// A mode of an output: size, refresh rate and timings, as reported by the driver.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode {
    raw: drm_mode_modeinfo,
}

impl Mode {
    pub(crate) fn from_drm(mode: drm::control::Mode) -> Self {
        Self { raw: mode.into() }
    }

    /// The `struct drm_mode_modeinfo` of the mode, for a `MODE_ID` blob.
    pub(crate) fn as_drm(&self) -> drm::control::Mode {
        self.raw.into()
    }

    /// Visible size, in pixels.
    pub fn extent(&self) -> Extent {
        Extent::new(self.raw.hdisplay.into(), self.raw.vdisplay.into())
    }

    /// Refresh rate in millihertz, computed from the timings as in the kernel's `drm_mode_vrefresh`, but
    /// not rounded to whole hertz.
    pub fn refresh_millihertz(&self) -> u32 {
        let mut clock = u64::from(self.raw.clock) * 1_000_000;
        let mut total = u64::from(self.raw.htotal) * u64::from(self.raw.vtotal);
        if self.raw.flags & drm_ffi::DRM_MODE_FLAG_INTERLACE != 0 {
            clock *= 2;
        }
        if self.raw.flags & drm_ffi::DRM_MODE_FLAG_DBLSCAN != 0 {
            total *= 2;
        }
        if self.raw.vscan > 1 {
            total *= u64::from(self.raw.vscan);
        }
        if total == 0 {
            return 0;
        }
        u32::try_from((clock + total / 2) / total).unwrap_or(u32::MAX)
    }

    /// Whether this is the preferred mode of the display.
    pub fn is_preferred(&self) -> bool {
        ModeTypeFlags::from_bits_truncate(self.raw.type_).contains(ModeTypeFlags::PREFERRED)
    }

    /// Whether the mode is interlaced.
    pub fn is_interlaced(&self) -> bool {
        self.raw.flags & drm_ffi::DRM_MODE_FLAG_INTERLACE != 0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millihertz = self.refresh_millihertz();
        let interlaced = if self.is_interlaced() { "i" } else { "" };
        write!(
            f,
            "{}{interlaced}@{}.{:03}",
            self.extent(),
            millihertz / 1000,
            millihertz % 1000
        )
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mode({self})")
    }
}

/// Finds the mode that `text` names: "preferred", "1920x1080" (the preferred mode of that size, or else
/// the one with the highest refresh rate), or "1920x1080@60" (as before, among the modes whose refresh
/// rate rounds to 60 Hz). A size never selects an interlaced mode.
pub(crate) fn find(output: &str, modes: &[Mode], text: &str) -> Result<Mode, ModeError> {
    let none = || ModeError::NoSuchMode {
        output: output.to_owned(),
        text: text.to_owned(),
        modes: modes.iter().map(ToString::to_string).collect(),
    };
    if text == "preferred" {
        return preferred(modes).ok_or_else(none);
    }
    let not_a_mode = || ModeError::NotAMode {
        text: text.to_owned(),
    };
    let (size, hertz) = match text.split_once('@') {
        Some((size, hertz)) => (size, Some(hertz)),
        None => (text, None),
    };
    let (width, height) = size.split_once('x').ok_or_else(not_a_mode)?;
    let number = |digits: &str| digits.parse::<u32>().map_err(|_| not_a_mode());
    let extent = Extent::new(number(width)?, number(height)?);
    let hertz = hertz.map(number).transpose()?;
    modes
        .iter()
        .filter(|mode| mode.extent() == extent && !mode.is_interlaced())
        .filter(|mode| hertz.is_none_or(|hertz| (mode.refresh_millihertz() + 500) / 1000 == hertz))
        .max_by_key(|mode| (mode.is_preferred(), mode.refresh_millihertz()))
        .copied()
        .ok_or_else(none)
}

/// The preferred mode, or else the first mode.
pub(crate) fn preferred(modes: &[Mode]) -> Option<Mode> {
    modes
        .iter()
        .find(|mode| mode.is_preferred())
        .or(modes.first())
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(width: u16, height: u16, hertz: u32, preferred: bool) -> Mode {
        let raw = drm_mode_modeinfo {
            clock: u32::from(width) * u32::from(height) * hertz / 1000,
            hdisplay: width,
            htotal: width,
            vdisplay: height,
            vtotal: height,
            type_: if preferred {
                drm_ffi::DRM_MODE_TYPE_PREFERRED
            } else {
                0
            },
            ..Default::default()
        };
        Mode { raw }
    }

    #[test]
    fn modes_are_found_by_their_text() {
        let modes = [
            mode(1920, 1080, 60, false),
            mode(1920, 1080, 120, false),
            mode(1000, 1000, 60, true),
            mode(1000, 1000, 75, false),
        ];
        let find = |text| find("Virtual-1", &modes, text);
        assert_eq!(find("preferred"), Ok(modes[2]));
        assert_eq!(find("1920x1080"), Ok(modes[1]));
        assert_eq!(find("1920x1080@60"), Ok(modes[0]));
        assert_eq!(find("1000x1000"), Ok(modes[2]));
        assert!(matches!(
            find("1000x1000@30"),
            Err(ModeError::NoSuchMode { modes, .. }) if modes.len() == 4
        ));
        for text in [
            "",
            "x",
            "1920",
            "1920x",
            "axb",
            "1920x1080@",
            "-1x5",
            "1x2x3",
        ] {
            assert!(
                matches!(find(text), Err(ModeError::NotAMode { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn an_empty_mode_has_no_rate() {
        let mode = Mode {
            raw: drm_mode_modeinfo::default(),
        };
        assert_eq!(mode.refresh_millihertz(), 0);
        assert_eq!(preferred(&[]), None);
    }
}
