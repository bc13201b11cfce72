//! Damage: the parts of a buffer that have changed.

use smallvec::SmallVec;

use crate::image::extent::Extent;
use crate::image::rectangle::Rectangle;

/// Above this number pieces are joined, starting with the pair that grows the least.
const PIECES: usize = 64;

/// The parts of a buffer that have changed. Its rectangles do not overlap, so that nothing is copied
/// twice. More than 64 rectangles are joined to fewer, larger ones.
///
/// A [use](crate::MappingUse::damaging) without damage counts as damaging the whole buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    whole: bool,
    pieces: SmallVec<[Rectangle; 4]>,
}

impl Damage {
    /// No damage.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Damage of the whole buffer.
    pub fn whole() -> Self {
        Self {
            whole: true,
            pieces: SmallVec::new(),
        }
    }

    /// Whether nothing has changed.
    pub fn is_nothing(&self) -> bool {
        !self.whole && self.pieces.is_empty()
    }

    /// Whether everything may have changed.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Adds a rectangle. Parts outside the buffer are ignored.
    pub fn add(&mut self, rectangle: Rectangle) {
        if self.whole || rectangle.is_empty() {
            return;
        }
        self.pieces.retain(|known| !known.is_within(rectangle));
        let mut new = SmallVec::<[Rectangle; 4]>::from_slice(&[rectangle]);
        for known in &self.pieces {
            new = new.iter().flat_map(|piece| piece.without(*known)).collect();
        }
        self.pieces.extend(new);
        while self.pieces.len() > PIECES {
            self.join_two();
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.whole {
            *self = Self::whole();
        }
        for piece in &other.pieces {
            self.add(*piece);
        }
    }

    /// The damage within a buffer of this extent, as rectangles that do not overlap.
    pub fn within(&self, extent: Extent) -> impl Iterator<Item = Rectangle> {
        // Images are never larger than the largest rectangle.
        let whole = self
            .whole
            .then_some(Rectangle::new(0, 0, extent.width, extent.height));
        let pieces = self.pieces.iter().copied();
        whole
            .into_iter()
            .chain(pieces)
            .filter_map(move |piece| piece.clipped(extent))
    }

    fn join_two(&mut self) {
        let growth = |a: Rectangle, b: Rectangle| {
            let both = a.pixels().saturating_add(b.pixels());
            a.joined(b).pixels().saturating_sub(both)
        };
        let count = self.pieces.len();
        let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
        let Some((a, b)) = pairs.min_by_key(|&(a, b)| growth(self.pieces[a], self.pieces[b]))
        else {
            return;
        };
        // Remove the later one first, so that the index of the other stays valid.
        let mut joined = self
            .pieces
            .swap_remove(b)
            .joined(self.pieces.swap_remove(a));
        // The result may overlap other pieces; join them, too.
        while let Some(index) = self
            .pieces
            .iter()
            .position(|piece| piece.intersection(joined).is_some())
        {
            joined = joined.joined(self.pieces.swap_remove(index));
        }
        self.pieces.push(joined);
    }
}

impl From<Rectangle> for Damage {
    fn from(rectangle: Rectangle) -> Self {
        [rectangle].into_iter().collect()
    }
}

impl FromIterator<Rectangle> for Damage {
    fn from_iter<T: IntoIterator<Item = Rectangle>>(rectangles: T) -> Self {
        let mut damage = Self::nothing();
        for rectangle in rectangles {
            damage.add(rectangle);
        }
        damage
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXTENT: Extent = Extent::new(40, 30);

    /// Counts how many of the rectangles contain each pixel.
    fn coverage(rectangles: impl IntoIterator<Item = Rectangle>) -> Vec<u32> {
        let mut counts = vec![0; 40 * 30];
        for rectangle in rectangles {
            for y in rectangle.y..rectangle.y + i32::try_from(rectangle.height).unwrap() {
                for x in rectangle.x..rectangle.x + i32::try_from(rectangle.width).unwrap() {
                    counts[usize::try_from(y * 40 + x).unwrap()] += 1;
                }
            }
        }
        counts
    }

    fn rectangles(most: usize) -> impl Strategy<Value = Vec<Rectangle>> {
        let one = (-10..45_i32, -10..35_i32, 0..20_u32, 0..20_u32)
            .prop_map(|(x, y, width, height)| Rectangle::new(x, y, width, height));
        proptest::collection::vec(one, 0..most)
    }

    proptest! {
        #[test]
        fn every_damaged_pixel_is_there_once_and_no_other(list in rectangles(12)) {
            let damage: Damage = list.iter().copied().collect();
            let wanted = coverage(list.iter().filter_map(|piece| piece.clipped(EXTENT)));
            let kept = coverage(damage.within(EXTENT));
            for (wanted, kept) in wanted.iter().zip(&kept) {
                prop_assert_eq!(u32::from(*wanted > 0), *kept);
            }
        }

        #[test]
        fn many_pieces_are_joined_and_lose_nothing(list in rectangles(400)) {
            let damage: Damage = list.iter().copied().collect();
            prop_assert!(damage.pieces.len() <= PIECES);
            let wanted = coverage(list.iter().filter_map(|piece| piece.clipped(EXTENT)));
            let kept = coverage(damage.within(EXTENT));
            for (wanted, kept) in wanted.iter().zip(&kept) {
                prop_assert!(*kept <= 1 && (*wanted == 0 || *kept == 1));
            }
        }
    }

    #[test]
    fn rectangles_of_any_size_and_place_can_be_added() {
        let edges = [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX - 1, i32::MAX];
        let sizes = [1, 2, i32::MAX.unsigned_abs(), u32::MAX - 1, u32::MAX];
        let mut damage = Damage::nothing();
        for (x, y) in edges.into_iter().flat_map(|x| edges.map(|y| (x, y))) {
            for (width, height) in sizes.into_iter().flat_map(|w| sizes.map(|h| (w, h))) {
                let one = Damage::from(Rectangle::new(x, y, width, height));
                assert!(!one.is_nothing());
                damage.add(Rectangle::new(x, y, width, height));
            }
        }
        assert_eq!(coverage(damage.within(EXTENT)), vec![1; 40 * 30]);
    }

    #[test]
    fn many_huge_pieces_are_joined() {
        let rows = (0..200).map(|row| Rectangle::new(i32::MIN, row * 2, u32::MAX, 1));
        let damage: Damage = rows.collect();
        assert!(damage.pieces.len() <= PIECES);
    }

    #[test]
    fn whole_stays_whole() {
        let mut damage = Damage::from(Rectangle::new(1, 2, 3, 4));
        damage.merge(&Damage::whole());
        damage.add(Rectangle::new(0, 0, 1, 1));
        assert!(damage.is_whole());
        let all: Vec<_> = damage.within(EXTENT).collect();
        assert_eq!(all, [Rectangle::new(0, 0, 40, 30)]);
    }

    #[test]
    fn nothing_is_nothing() {
        let mut damage = Damage::nothing();
        damage.add(Rectangle::new(5, 5, 0, 9));
        assert!(damage.is_nothing());
        assert_eq!(damage.within(EXTENT).count(), 0);
    }
}
