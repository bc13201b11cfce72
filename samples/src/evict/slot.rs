//! One of the buffers: what it holds, and the attachments to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use dmashare::{DynamicAttachment, InvalidationContext, SharedBuffer};
use dmashare_drm::Card;
use dmashare_vk::Device;
use sha2::{Digest as _, Sha256};

use crate::pixel_format::PixelFormat;

/// A hash of an image's content.
pub(super) type Hash = [u8; 32];

/// The hash of packed rows, without the bits that mean nothing in this format.
pub(super) fn hash_of(rows: &[u8], format: &PixelFormat) -> Hash {
    let mask = format.mask().to_le_bytes();
    let mask = &mask[..format.bytes()];
    if mask.iter().all(|byte| *byte == u8::MAX) {
        return Sha256::digest(rows).into();
    }
    let mut rows = rows.to_vec();
    for pixel in rows.chunks_exact_mut(mask.len()) {
        for (byte, mask) in pixel.iter_mut().zip(mask) {
            *byte &= mask;
        }
    }
    Sha256::digest(&rows).into()
}

/// A buffer, with the attachments of both devices and of the display. All are told when it moves.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) shared: SharedBuffer,
    pub(super) on_first: DynamicAttachment<Device>,
    pub(super) on_second: DynamicAttachment<Device>,
    pub(super) on_card: DynamicAttachment<Card>,
    /// The picture that was drawn last, and its hash.
    pub(super) content: Option<(u32, Hash)>,
    /// The generation in which the display has shown it last.
    pub(super) shown: Option<u64>,
}

impl Slot {
    pub(super) fn new(
        shared: SharedBuffer,
        first: &Device,
        second: &Device,
        card: &Card,
        told: &Arc<AtomicU64>,
    ) -> Result<Self> {
        let count = || {
            let told = told.clone();
            move |_: &InvalidationContext<'_>| {
                told.fetch_add(1, Ordering::Relaxed);
            }
        };
        let name = shared.desc().name.clone();
        let context = |who: &str| format!("'{name}' cannot be attached to {who}");
        Ok(Self {
            on_first: shared
                .attach_dynamic(first, count())
                .with_context(|| context("the first device"))?,
            on_second: shared
                .attach_dynamic(second, count())
                .with_context(|| context("the second device"))?,
            on_card: shared
                .attach_dynamic(card, count())
                .with_context(|| context("the display"))?,
            shared,
            content: None,
            shown: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use dmashare::{Extent, Fourcc};

    use super::*;
    use crate::picture::Picture;

    #[test]
    fn pictures_have_hashes_of_their_own() {
        let format = PixelFormat::of(Fourcc::XRGB8888).unwrap();
        let extent = Extent::new(33, 17);
        let hash = |frame| hash_of(&format.rows(&Picture::new(extent, frame)), format);
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
        // The fourth byte of a pixel of XRGB8888 means nothing.
        assert_eq!(
            hash_of(&[1, 2, 3, 4], format),
            hash_of(&[1, 2, 3, 9], format)
        );
        assert_ne!(
            hash_of(&[1, 2, 3, 4], format),
            hash_of(&[1, 2, 9, 4], format)
        );
    }
}
