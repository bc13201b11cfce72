//! Which plane shows what, and where: a background, the camera's frame over it, and the upper left quarter
//! of the drawn layer over the frame's lower right quarter.

use anyhow::{Result, bail, ensure};
use dmashare::{Extent, Fence, Fourcc, Mapping};
use dmashare_drm::{Card, Output, Plane, PlaneCommit, PlaneKind, Rectangle};

use crate::pixel_format::list;

/// The planes of a display, and where on the screen their pictures are.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    screen: Extent,
    /// With a plane to spare, the primary plane shows a background.
    pub(super) has_background: bool,
    camera: Plane,
    layer: Plane,
    pub(super) camera_at: Rectangle,
    pub(super) layer_at: Rectangle,
}

impl Stage {
    /// Chooses planes. With two overlay planes the camera is on the lower one; with one the camera is
    /// on the primary plane, which many displays want to be as large as the screen. Planes of a kind lie
    /// over each other in the order in which the card lists them.
    pub(super) fn choose(
        output: &Output,
        screen: Extent,
        format: Fourcc,
        layer_format: Fourcc,
        extent: Extent,
    ) -> Result<Self> {
        ensure!(
            extent.fits(screen),
            "frames of {extent} do not fit on a screen of {screen}: choose a smaller --extent or a larger \
             --mode"
        );
        let takes = |plane: &Plane, format| !plane.formats().modifiers(format).is_empty();
        let overlays = || {
            let planes = output.planes().iter();
            planes.filter(|plane| plane.kind() == PlaneKind::Overlay)
        };
        let lower = overlays().find(|plane| takes(plane, format));
        let upper = overlays()
            .skip_while(|plane| lower.is_none_or(|lower| plane.id() != lower.id()))
            .skip(1)
            .find(|plane| takes(plane, layer_format));
        let primary = output.primary_plane().filter(|plane| takes(plane, format));
        let only = overlays().find(|plane| takes(plane, layer_format));
        let (has_background, camera, layer) = match (lower, upper, primary, only) {
            (Some(lower), Some(upper), _, _) => (true, lower, upper),
            (_, _, Some(primary), Some(only)) => (false, primary, only),
            _ => {
                let shown = output.planes().iter().map(|plane| {
                    format!("{:?}: {}", plane.kind(), list(plane.formats().fourccs()))
                });
                bail!(
                    "{} has no two planes for a camera's {format} and a layer of {layer_format} above \
                     it; its planes: {}",
                    output.name(),
                    shown.collect::<Vec<_>>().join("; ")
                )
            }
        };
        // Half a chroma sample must not be cut off.
        let even = |pixels: u32| pixels & !1;
        let offset = |whole: u32, part: u32| i32::try_from(even(whole - part)).unwrap_or(0);
        let (x, y) = match has_background {
            true => (
                offset(screen.width, extent.width) / 4,
                offset(screen.height, extent.height) / 4,
            ),
            false => (0, 0),
        };
        let quarter = Extent::new(
            even(extent.width / 2).max(1),
            even(extent.height / 2).max(1),
        );
        let inner = (
            x + offset(extent.width, quarter.width),
            y + offset(extent.height, quarter.height),
        );
        Ok(Self {
            screen,
            has_background,
            camera: camera.clone(),
            layer: layer.clone(),
            camera_at: Rectangle::new(x, y, extent.width, extent.height),
            layer_at: Rectangle::new(inner.0, inner.1, quarter.width, quarter.height),
        })
    }

    /// Size of the screen in pixels.
    pub(super) fn screen(&self) -> Extent {
        self.screen
    }

    /// Which planes show the camera and the layer, in words.
    pub(super) fn planes(&self) -> String {
        format!(
            "camera on plane {} ({:?}), layer on plane {} ({:?})",
            self.camera.id(),
            self.camera.kind(),
            self.layer.id(),
            self.layer.kind()
        )
    }

    /// The planes of one commit.
    pub(super) fn commit(
        &self,
        background: Option<&Mapping<Card>>,
        camera: &Mapping<Card>,
        layer: &Mapping<Card>,
        drawn: &Fence,
    ) -> Vec<PlaneCommit> {
        let background = background.map(PlaneCommit::primary);
        let camera = PlaneCommit::on(&self.camera, camera).destination(self.camera_at);
        let shown = Rectangle::new(0, 0, self.layer_at.width, self.layer_at.height);
        let layer = PlaneCommit::on(&self.layer, layer)
            .source(shown)
            .destination(self.layer_at)
            .fence(drawn);
        background.into_iter().chain([camera, layer]).collect()
    }
}

/// Where in a rectangle a pixel of the screen is.
pub(super) fn inside(rectangle: Rectangle, x: u32, y: u32) -> Option<(u32, u32)> {
    let within = |position: u32, start: i32, length: u32| {
        let offset = i64::from(position) - i64::from(start);
        u32::try_from(offset).ok().filter(|offset| *offset < length)
    };
    Some((
        within(x, rectangle.x, rectangle.width)?,
        within(y, rectangle.y, rectangle.height)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_found_in_a_rectangle() {
        let rectangle = Rectangle::new(10, -5, 20, 10);
        assert_eq!(inside(rectangle, 10, 0), Some((0, 5)));
        assert_eq!(inside(rectangle, 29, 4), Some((19, 9)));
        assert_eq!(inside(rectangle, 30, 4), None);
        assert_eq!(inside(rectangle, 9, 0), None);
        assert_eq!(inside(rectangle, 10, 5), None);
    }
}
