//! The size of an image.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};
use ash::vk;
use dmashare::Extent;

/// Width and height in pixels; `1920x1080` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// The sizes at which images are measured: a cursor or an icon, full HD, 4K and 8K.
    pub const COMMON: [Self; 4] = [
        Self::new(256, 256),
        Self::new(1920, 1080),
        Self::new(3840, 2160),
        Self::new(7680, 4320),
    ];

    /// A size.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Bytes of an image of 32 bits a pixel without padding.
    pub const fn bytes(self) -> u64 {
        self.width as u64 * self.height as u64 * 4
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (width, height) = text
            .split_once('x')
            .with_context(|| format!("{text:?} is not a size such as 1920x1080"))?;
        Ok(Self::new(width.parse()?, height.parse()?))
    }
}

impl From<Size> for Extent {
    fn from(size: Size) -> Self {
        Self::new(size.width, size.height)
    }
}

impl From<Size> for vk::Extent2D {
    fn from(size: Size) -> Self {
        Self {
            width: size.width,
            height: size.height,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_shown() {
        let size = Size::new(1920, 1080);
        assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        for text in ["", "1920", "1920x", "x1080", "-1x1", "1920x1080x1"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
