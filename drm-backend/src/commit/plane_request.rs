//! Plane properties of an atomic request.

use dmashare::Rectangle;

use crate::card::configuration::PlaneConfiguration;
use crate::kms::plane::PlaneProperties;
use crate::kms::request::Request;
use crate::plane_property::PlaneProperty;

/// Per-commit values of an active plane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaneOn {
    /// Object id of the plane.
    pub(crate) plane: u32,
    /// Object id of the CRTC.
    pub(crate) crtc: u32,
    /// Object id of the framebuffer.
    pub(crate) framebuffer: u32,
    /// File descriptor for `IN_FENCE_FD`.
    pub(crate) fence: Option<i32>,
    /// Blob id for `FB_DAMAGE_CLIPS`.
    pub(crate) damage: Option<u64>,
}

/// Adds an active plane to the request: all properties if its configuration changes, otherwise only
/// framebuffer, fence and damage. The request need not name the plane's CRTC: the kernel adds the
/// CRTC, and sends its event, for every plane that is on it or moves to it
/// (`drm_atomic_get_plane_state`, `drm_atomic_set_crtc_for_plane`).
pub(crate) fn plane_on(
    request: &mut Request,
    properties: &PlaneProperties,
    on: PlaneOn,
    current: Option<&PlaneConfiguration>,
    next: &PlaneConfiguration,
) {
    request.object(on.plane);
    request.set(properties.fb_id, on.framebuffer.into());
    if current != Some(next) {
        request.set(properties.crtc_id, on.crtc.into());
        for (property, value) in properties.source.iter().zip(fixed_point(next.source)) {
            request.set(*property, value);
        }
        for (property, value) in properties.destination.iter().zip(pixels(next.destination)) {
            request.set(*property, value);
        }
        for (property, value) in next.values.iter() {
            if let Some(property) = properties.optional.get(property) {
                request.set(property.id, value);
            }
        }
    }
    if let (Some(property), Some(fd)) = (properties.in_fence_fd, on.fence) {
        request.set(property, i64::from(fd).cast_unsigned());
    }
    let clips = properties.optional.get(PlaneProperty::FbDamageClips);
    if let (Some(property), Some(blob)) = (clips, on.damage) {
        request.set(property.id, blob);
    }
}

/// Disables a plane.
pub(crate) fn plane_off(request: &mut Request, plane: u32, properties: &PlaneProperties) {
    request.object(plane);
    request.set(properties.fb_id, 0);
    request.set(properties.crtc_id, 0);
}

/// Values of `SRC_*` in 16.16 fixed point. The plan has checked the range.
fn fixed_point(source: Rectangle) -> [u64; 4] {
    let start = |pixels: i32| u64::try_from(pixels).unwrap_or(0) << 16;
    [
        start(source.x),
        start(source.y),
        u64::from(source.width) << 16,
        u64::from(source.height) << 16,
    ]
}

/// Values of `CRTC_*` in pixels. Positions are signed; the kernel casts them from 64 bits.
fn pixels(destination: Rectangle) -> [u64; 4] {
    [
        i64::from(destination.x).cast_unsigned(),
        i64::from(destination.y).cast_unsigned(),
        destination.width.into(),
        destination.height.into(),
    ]
}

#[cfg(test)]
mod tests {
    use dmashare::{Extent, Fourcc, Modifier};

    use super::*;
    use crate::card::configuration::FramebufferKind;
    use crate::framebuffer::PixelMeaning;
    use crate::kms::appearance::Appearance;
    use crate::kms::optional_properties::OptionalProperties;
    use crate::kms::property::{Properties, Property};
    use crate::kms::rotation::Rotation;

    const FB_ID: u32 = 1;
    const CRTC_ID: u32 = 2;
    const IN_FENCE_FD: u32 = 11;
    const ROTATION: u32 = 12;
    const FB_DAMAGE_CLIPS: u32 = 13;

    fn properties() -> PlaneProperties {
        let optional = Properties::of_test(vec![
            Property::of_words("rotation", ROTATION, &[("rotate-0", 0), ("rotate-180", 2)]),
            Property::of_words("FB_DAMAGE_CLIPS", FB_DAMAGE_CLIPS, &[]),
        ]);
        PlaneProperties {
            fb_id: FB_ID,
            crtc_id: CRTC_ID,
            source: [3, 4, 5, 6],
            destination: [7, 8, 9, 10],
            in_fence_fd: Some(IN_FENCE_FD),
            optional: OptionalProperties::new(30, &optional),
        }
    }

    fn configuration(properties: &PlaneProperties, rotation: Rotation) -> PlaneConfiguration {
        let appearance = Appearance {
            rotation,
            ..Appearance::default()
        };
        PlaneConfiguration {
            crtc: 0,
            source: Rectangle::new(0, 0, 640, 480),
            destination: Rectangle::new(0, 0, 640, 480),
            framebuffer: FramebufferKind {
                format: Fourcc::XRGB8888,
                modifier: Modifier::LINEAR,
                extent: Extent::new(640, 480),
            },
            values: properties
                .optional
                .values(&appearance, PixelMeaning::default())
                .unwrap(),
        }
    }

    const ON: PlaneOn = PlaneOn {
        plane: 30,
        crtc: 40,
        framebuffer: 50,
        fence: Some(6),
        damage: None,
    };

    fn request(
        properties: &PlaneProperties,
        on: PlaneOn,
        current: Option<&PlaneConfiguration>,
        next: &PlaneConfiguration,
    ) -> Vec<(u32, u64)> {
        let mut request = Request::default();
        plane_on(&mut request, properties, on, current, next);
        let arrays = request.arrays();
        assert_eq!(arrays.objects, [30]);
        let properties = arrays.properties.iter().copied();
        properties.zip(arrays.values.iter().copied()).collect()
    }

    #[test]
    fn a_steady_flip_sets_two_properties() {
        let properties = properties();
        let same = configuration(&properties, Rotation::ROTATE_0);
        let set = request(&properties, ON, Some(&same), &same);
        assert_eq!(set, [(FB_ID, 50), (IN_FENCE_FD, 6)]);
        let without_fence = PlaneOn { fence: None, ..ON };
        let set = request(&properties, without_fence, Some(&same), &same);
        assert_eq!(set, [(FB_ID, 50)]);
    }

    #[test]
    fn damage_is_one_more() {
        let properties = properties();
        let same = configuration(&properties, Rotation::ROTATE_0);
        let damaged = PlaneOn {
            damage: Some(70),
            ..ON
        };
        let set = request(&properties, damaged, Some(&same), &same);
        assert_eq!(set, [(FB_ID, 50), (IN_FENCE_FD, 6), (FB_DAMAGE_CLIPS, 70)]);
    }

    #[test]
    fn a_plane_that_was_off_or_differs_is_set_as_a_whole() {
        let properties = properties();
        let next = configuration(&properties, Rotation::ROTATE_0);
        let turned = configuration(&properties, Rotation::ROTATE_180);
        for current in [None, Some(&turned)] {
            let set = request(&properties, ON, current, &next);
            let ids: Vec<u32> = set.iter().map(|(property, _)| *property).collect();
            assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ROTATION, IN_FENCE_FD]);
            assert!(set.contains(&(CRTC_ID, 40)) && set.contains(&(ROTATION, 1)));
        }
        let set = request(&properties, ON, Some(&next), &turned);
        assert!(set.contains(&(ROTATION, 4)), "{set:?}");
    }

    #[test]
    fn rectangles_become_property_values() {
        let rectangle = Rectangle::new(3, 4, 1024, 768);
        assert_eq!(
            fixed_point(rectangle),
            [3 << 16, 4 << 16, 1024 << 16, 768 << 16]
        );
        let negative = Rectangle::new(-1, -2, 5, 6);
        assert_eq!(pixels(negative), [u64::MAX, u64::MAX - 1, 5, 6]);
    }
}
