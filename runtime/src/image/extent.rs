//! Width and height.
use std::fmt;

/// Width and height in pixels, each at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Extent {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Extent {
    /// An extent of `width` by `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Whether an image of this extent fits into `maximum`.
    pub const fn fits(self, maximum: Self) -> bool {
        self.width <= maximum.width && self.height <= maximum.height
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}
