//! The `IN_FORMATS` blob of a plane, which lists its formats with their modifiers.

use dmashare::{Fourcc, Modifier};

use crate::kms::format_set::FormatSet;

/// Size of `struct drm_format_modifier_blob`.
const HEADER_BYTES: usize = 24;
/// Size of `struct drm_format_modifier`.
const ENTRY_BYTES: usize = 24;
/// `FORMAT_BLOB_CURRENT`.
const VERSION: u32 = 1;

/// A blob is malformed. The kernel never creates such a blob, but parsing one must be safe.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InFormatsError {
    #[error("the blob ends before byte {end}")]
    TooShort { end: usize },
    #[error("version {version} is unknown")]
    Version { version: u32 },
    #[error("an offset or a count overflows")]
    Overflow,
    #[error("a modifier refers to format {index}, but there are only {count} formats")]
    NoSuchFormat { index: usize, count: usize },
}

fn bytes<const N: usize>(blob: &[u8], offset: usize) -> Result<[u8; N], InFormatsError> {
    let end = offset.checked_add(N).ok_or(InFormatsError::Overflow)?;
    blob.get(offset..end)
        .and_then(|slice| slice.try_into().ok())
        .ok_or(InFormatsError::TooShort { end })
}

fn word(blob: &[u8], offset: usize) -> Result<u32, InFormatsError> {
    bytes(blob, offset).map(u32::from_ne_bytes)
}

fn long(blob: &[u8], offset: usize) -> Result<u64, InFormatsError> {
    bytes(blob, offset).map(u64::from_ne_bytes)
}

fn size(blob: &[u8], offset: usize) -> Result<usize, InFormatsError> {
    usize::try_from(word(blob, offset)?).map_err(|_| InFormatsError::Overflow)
}

/// The part of the blob that holds `count` elements of `element` bytes from `offset` on.
fn table(
    blob: &[u8],
    offset: usize,
    count: usize,
    element: usize,
) -> Result<&[u8], InFormatsError> {
    let end = count
        .checked_mul(element)
        .and_then(|length| length.checked_add(offset))
        .ok_or(InFormatsError::Overflow)?;
    blob.get(offset..end)
        .ok_or(InFormatsError::TooShort { end })
}

/// Parses a blob (`drm_mode.h`, "Plane format/modifier blob"): a table of formats, and a table of
/// modifiers, each with a mask of 64 formats that begins at an index.
pub(crate) fn parse(blob: &[u8]) -> Result<FormatSet, InFormatsError> {
    let version = word(blob, 0)?;
    if version != VERSION {
        return Err(InFormatsError::Version { version });
    }
    if blob.len() < HEADER_BYTES {
        return Err(InFormatsError::TooShort { end: HEADER_BYTES });
    }
    let format_count = size(blob, 8)?;
    let formats = table(blob, size(blob, 12)?, format_count, 4)?;
    let modifiers = table(blob, size(blob, 20)?, size(blob, 16)?, ENTRY_BYTES)?;
    let mut set = FormatSet::default();
    for entry in modifiers.chunks_exact(ENTRY_BYTES) {
        let mask = long(entry, 0)?;
        let first = size(entry, 8)?;
        let modifier = Modifier::new(long(entry, 16)?);
        for bit in (0..64_usize).filter(|bit| mask & (1 << bit) != 0) {
            let index = first.checked_add(bit).ok_or(InFormatsError::Overflow)?;
            if index >= format_count {
                return Err(InFormatsError::NoSuchFormat {
                    index,
                    count: format_count,
                });
            }
            set.insert(Fourcc::new(word(formats, index * 4)?), modifier);
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A blob in the layout of the kernel's `create_in_format_blob`.
    fn blob(formats: &[u32], modifiers: &[(u64, u32, u64)]) -> Vec<u8> {
        let formats_offset = 24_u32;
        let formats_end = formats_offset as usize + formats.len() * 4;
        let modifiers_offset = formats_end.next_multiple_of(8);
        let mut blob = Vec::new();
        for word in [
            VERSION,
            0,
            u32::try_from(formats.len()).unwrap(),
            formats_offset,
            u32::try_from(modifiers.len()).unwrap(),
            u32::try_from(modifiers_offset).unwrap(),
        ] {
            blob.extend(word.to_ne_bytes());
        }
        for format in formats {
            blob.extend(format.to_ne_bytes());
        }
        blob.resize(modifiers_offset, 0);
        for (mask, offset, modifier) in modifiers {
            blob.extend(mask.to_ne_bytes());
            blob.extend(offset.to_ne_bytes());
            blob.extend(0_u32.to_ne_bytes());
            blob.extend(modifier.to_ne_bytes());
        }
        blob
    }

    #[test]
    fn every_pair_of_a_mask_is_there_and_no_other() {
        let blob = blob(
            &[Fourcc::XRGB8888.as_raw(), Fourcc::NV12.as_raw()],
            &[(0b11, 0, 0), (0b01, 0, 7)],
        );
        let set = parse(&blob).unwrap();
        assert!(set.contains(Fourcc::XRGB8888, Modifier::LINEAR));
        assert!(set.contains(Fourcc::XRGB8888, Modifier::new(7)));
        assert!(set.contains(Fourcc::NV12, Modifier::LINEAR));
        assert!(!set.contains(Fourcc::NV12, Modifier::new(7)));
        assert!(!set.contains(Fourcc::RGB565, Modifier::LINEAR));
    }

    #[test]
    fn a_mask_may_begin_behind_the_first_64_formats() {
        let formats: Vec<u32> = (1..=70).collect();
        let set = parse(&blob(&formats, &[(0b100, 64, 0)])).unwrap();
        assert_eq!(set.fourccs().collect::<Vec<_>>(), [Fourcc::new(67)]);
    }

    #[test]
    fn broken_blobs_are_refused() {
        let good = blob(&[1, 2], &[(0b11, 0, 0)]);
        assert_eq!(parse(&[]), Err(InFormatsError::TooShort { end: 4 }));
        assert!(matches!(
            parse(&good[..good.len() - 1]),
            Err(InFormatsError::TooShort { .. })
        ));
        let mut version = good.clone();
        version[0] = 9;
        assert_eq!(parse(&version), Err(InFormatsError::Version { version: 9 }));
        let mut count = good.clone();
        count[8..12].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(matches!(
            parse(&count),
            Err(InFormatsError::TooShort { .. })
        ));
        let mut offset = good.clone();
        offset[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(matches!(
            parse(&offset),
            Err(InFormatsError::TooShort { .. })
        ));
        assert_eq!(
            parse(&blob(&[1, 2], &[(0b100, 0, 0)])),
            Err(InFormatsError::NoSuchFormat { index: 2, count: 2 })
        );
        assert_eq!(
            parse(&blob(&[1], &[(1 << 63, u32::MAX, 0)])),
            Err(InFormatsError::NoSuchFormat {
                index: u32::MAX as usize + 63,
                count: 1
            })
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        /// Damaged blobs of the right version reach the tables; random bytes rarely do.
        #[test]
        fn no_damage_makes_it_panic(
            formats in proptest::collection::vec(any::<u32>(), 0..80),
            modifiers in proptest::collection::vec((any::<u64>(), 0_u32..90, any::<u64>()), 0..8),
            position in 8_usize..400,
            value in any::<u32>(),
        ) {
            let mut blob = blob(&formats, &modifiers);
            let position = position % blob.len();
            for (byte, new) in blob[position..].iter_mut().zip(value.to_ne_bytes()) {
                *byte = new;
            }
            let _ = parse(&blob);
        }

        #[test]
        fn a_parsed_blob_has_exactly_the_pairs_of_its_masks(
            masks in proptest::collection::vec(0_u64..(1 << 5), 1..6),
        ) {
            let formats: Vec<u32> = (100..105).collect();
            let modifiers: Vec<_> = masks.iter().zip(0_u64..).map(|(m, i)| (*m, 0, i)).collect();
            let set = parse(&blob(&formats, &modifiers)).unwrap();
            for (bit, format) in formats.iter().enumerate() {
                for (mask, _, modifier) in &modifiers {
                    prop_assert_eq!(
                        set.contains(Fourcc::new(*format), Modifier::new(*modifier)),
                        mask & (1 << bit) != 0
                    );
                }
            }
        }
    }
}
