//! A size in pixels on a command line.

use dmashare::Extent;

/// Reads `WxH`, each from 1 to 16384, the greatest that any device here has.
///
/// # Errors
/// What to give instead.
pub(crate) fn extent(text: &str) -> Result<Extent, String> {
    let side = |side: &str| side.parse().ok().filter(|side| (1..=16384).contains(side));
    text.split_once('x')
        .and_then(|(width, height)| Some(Extent::new(side(width)?, side(height)?)))
        .ok_or_else(|| "give a width and a height of 1 to 16384, such as 1920x1080".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents() {
        assert_eq!(extent("333x77"), Ok(Extent::new(333, 77)));
        for wrong in [
            "", "x", "0x4", "4x0", "4", "4x4x4", "-1x4", "16385x1", "4 x 4",
        ] {
            assert!(extent(wrong).is_err(), "{wrong}");
        }
    }
}
