//! Damage clips: the parts of a buffer that differ from the previously shown buffer.

use dmashare::Extent;
use dmashare::Rectangle;
use smallvec::SmallVec;

use crate::error::CommitError;

/// Checks that every clip is inside the buffer, like the kernel (`drm_atomic_plane_check`).
pub(crate) fn check(clips: &[Rectangle], extent: Extent) -> Result<(), CommitError> {
    match clips.iter().find(|clip| !clip.is_inside(extent)) {
        None => Ok(()),
        Some(clip) => Err(CommitError::Damage {
            x: clip.x,
            y: clip.y,
            width: clip.width,
            height: clip.height,
            extent,
        }),
    }
}

/// Contents of a `FB_DAMAGE_CLIPS` blob: one `struct drm_mode_rect` (left, top, right, bottom) per
/// clip. All clips must be inside the buffer. Up to four clips need no allocation.
pub(crate) fn blob(clips: &[Rectangle]) -> SmallVec<[u8; 64]> {
    let end = |start: i32, length: u32| start.saturating_add_unsigned(length);
    clips
        .iter()
        .flat_map(|clip| {
            [
                clip.x,
                clip.y,
                end(clip.x, clip.width),
                end(clip.y, clip.height),
            ]
        })
        .flat_map(i32::to_ne_bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_become_the_kernels_rectangles() {
        let clips = [Rectangle::new(1, 2, 3, 4), Rectangle::new(0, 0, 640, 480)];
        let expected: Vec<u8> = [1_i32, 2, 4, 6, 0, 0, 640, 480]
            .into_iter()
            .flat_map(i32::to_ne_bytes)
            .collect();
        assert_eq!(blob(&clips).as_slice(), expected);
        assert!(blob(&[]).is_empty());
    }

    #[test]
    fn four_clips_allocate_nothing() {
        let clips = [Rectangle::new(1, 2, 3, 4); 4];
        let allocations = allocation_counter::measure(|| {
            assert_eq!(blob(&clips).len(), 64);
        });
        assert_eq!(allocations.count_total, 0, "{allocations:?}");
    }

    #[test]
    fn clips_outside_the_buffer_are_refused() {
        let extent = Extent::new(640, 480);
        check(&[], extent).unwrap();
        check(&[Rectangle::new(639, 479, 1, 1)], extent).unwrap();
        for clip in [
            Rectangle::new(-1, 0, 10, 10),
            Rectangle::new(0, 0, 0, 10),
            Rectangle::new(630, 0, 11, 10),
            Rectangle::new(0, 479, 1, 2),
            Rectangle::new(i32::MAX, 0, u32::MAX, 1),
        ] {
            let result = check(&[Rectangle::new(0, 0, 1, 1), clip], extent);
            assert!(
                matches!(&result, Err(CommitError::Damage { x, .. }) if *x == clip.x),
                "{clip:?}: {result:?}"
            );
        }
    }
}
