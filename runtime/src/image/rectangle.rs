//! Rectangles in whole pixels.

use std::fmt;

use smallvec::SmallVec;

use crate::image::extent::Extent;

/// A rectangle in whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rectangle {
    /// Left edge in pixels; may be negative on a screen.
    pub x: i32,
    /// Top edge in pixels; may be negative on a screen.
    pub y: i32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Rectangle {
    /// Makes a rectangle with its top left corner at (`x`, `y`).
    pub const fn new(x: i32, y: i32, width: u32, height: u32) -> Self {
        Self {
            x,
            y,
            width,
            height,
        }
    }

    /// Whether the rectangle has no pixels.
    pub fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// Whether the rectangle is not empty and inside an image of this extent.
    pub fn is_inside(self, extent: Extent) -> bool {
        !self.is_empty()
            && self.x >= 0
            && self.y >= 0
            && self.right() <= i64::from(extent.width)
            && self.bottom() <= i64::from(extent.height)
    }

    /// The part of the rectangle that is inside an image of this extent; `None` if there is none.
    pub fn clipped(self, extent: Extent) -> Option<Self> {
        let (width, height) = (i64::from(extent.width), i64::from(extent.height));
        Self::between(
            i64::from(self.x).max(0),
            i64::from(self.y).max(0),
            self.right().min(width),
            self.bottom().min(height),
        )
    }

    /// Number of pixels.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// One past the last column of a rectangle inside an image.
    pub(crate) fn right_edge(self) -> u32 {
        self.x.unsigned_abs() + self.width
    }

    /// One past the last row of a rectangle inside an image.
    pub(crate) fn lower_edge(self) -> u32 {
        self.y.unsigned_abs() + self.height
    }

    fn right(self) -> i64 {
        i64::from(self.x) + i64::from(self.width)
    }

    fn bottom(self) -> i64 {
        i64::from(self.y) + i64::from(self.height)
    }

    /// Makes a rectangle from its edges, which are edges of rectangles, so that they fit. `None` if it
    /// would be empty.
    fn between(left: i64, top: i64, right: i64, bottom: i64) -> Option<Self> {
        let length = |from: i64, to: i64| u32::try_from(to - from).ok().filter(|&it| it > 0);
        Some(Self {
            x: i32::try_from(left).ok()?,
            y: i32::try_from(top).ok()?,
            width: length(left, right)?,
            height: length(top, bottom)?,
        })
    }

    /// The pixels that both contain; `None` if there are none.
    pub(crate) fn intersection(self, other: Self) -> Option<Self> {
        Self::between(
            i64::from(self.x.max(other.x)),
            i64::from(self.y.max(other.y)),
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        )
    }

    /// Whether `other` contains this rectangle.
    pub(crate) fn is_within(self, other: Self) -> bool {
        self.intersection(other) == Some(self)
    }

    /// The smallest rectangle that contains both. Width and height saturate.
    pub(crate) fn joined(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let length = |from: i32, to: i64| u32::try_from(to - i64::from(from)).unwrap_or(u32::MAX);
        Self {
            x,
            y,
            width: length(x, self.right().max(other.right())),
            height: length(y, self.bottom().max(other.bottom())),
        }
    }

    /// The parts of the rectangle outside `other`, without overlaps: above, below, left, right.
    pub(crate) fn without(self, other: Self) -> SmallVec<[Self; 4]> {
        let Some(hole) = self.intersection(other) else {
            return SmallVec::from_slice(&[self]);
        };
        let (left, top) = (i64::from(self.x), i64::from(self.y));
        let (hole_left, hole_top) = (i64::from(hole.x), i64::from(hole.y));
        let (hole_right, hole_bottom) = (hole.right(), hole.bottom());
        [
            Self::between(left, top, self.right(), hole_top),
            Self::between(left, hole_bottom, self.right(), self.bottom()),
            Self::between(left, hole_top, hole_left, hole_bottom),
            Self::between(hole_right, hole_top, self.right(), hole_bottom),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl fmt::Display for Rectangle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}{:+}{:+}", self.width, self.height, self.x, self.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_an_image_is_all_of_it() {
        let extent = Extent::new(640, 480);
        assert!(Rectangle::new(639, 479, 1, 1).is_inside(extent));
        for outside in [
            Rectangle::new(-1, 0, 10, 10),
            Rectangle::new(0, 0, 0, 10),
            Rectangle::new(630, 0, 11, 10),
            Rectangle::new(i32::MAX, 0, u32::MAX, 1),
        ] {
            assert!(!outside.is_inside(extent), "{outside}");
        }
    }

    #[test]
    fn what_is_clipped_is_inside() {
        let extent = Extent::new(640, 480);
        let clipped = Rectangle::new(-5, 470, 10, 100).clipped(extent);
        assert_eq!(clipped, Some(Rectangle::new(0, 470, 5, 10)));
        assert_eq!(Rectangle::new(640, 0, 1, 1).clipped(extent), None);
        let largest = Rectangle::new(i32::MIN, i32::MIN, u32::MAX, u32::MAX);
        assert_eq!(
            largest.clipped(extent),
            Some(Rectangle::new(0, 0, 640, 480))
        );
    }
}
