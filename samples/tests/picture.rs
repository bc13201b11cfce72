//! The picture as a function: properties that hold for every extent and frame. Needs no device.
#![allow(missing_docs, clippy::unwrap_used)]

use dmashare::Extent;
use dmashare_samples::picture::{Picture, Rgb};
use dmashare_samples::pixel_format::PixelFormat;
use proptest::prelude::*;

fn extents() -> impl Strategy<Value = Extent> {
    let side = || prop_oneof![1..=20_u32, 1..=400_u32, Just(4096), Just(16384)];
    (side(), side()).prop_map(|(width, height)| Extent::new(width, height))
}

fn positions() -> impl Strategy<Value = (Extent, u32, u32)> {
    extents().prop_flat_map(|extent| (Just(extent), 0..extent.width, 0..extent.height))
}

proptest! {
    // A failure prints its input; nothing is written beside the sources.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_pixel_of_every_frame_has_a_color(
        (extent, x, y) in positions(),
        frame in any::<u32>(),
    ) {
        let color = Picture::new(extent, frame).pixel(x, y);
        // A pure function: the same again.
        prop_assert_eq!(Picture::new(extent, frame).pixel(x, y), color);
    }

    #[test]
    fn the_border_is_one_pixel_wide(frame in 0..1000_u32) {
        let picture = Picture::new(Extent::new(400, 300), frame);
        let red = Rgb::new(u16::MAX, 0, 0);
        let reds = (0..400).filter(|&x| picture.pixel(x, 0) == red).count();
        prop_assert_eq!(reds, 400);
        // The second row has the checker, background and grid; no run of red.
        let reds = (0..400).filter(|&x| picture.pixel(x, 1) == red).count();
        prop_assert!(reds < 10, "{} red pixels in the second row", reds);
    }

    #[test]
    fn pixels_survive_their_format(channels in any::<[u16; 3]>()) {
        let [red, green, blue] = channels;
        for format in PixelFormat::all() {
            let pixel = format.encode(Rgb::new(red, green, blue));
            prop_assert_eq!(pixel & !format.mask(), 0);
            // What was kept comes back: encoding what was decoded changes nothing.
            prop_assert_eq!(format.encode(format.decode(pixel)), pixel, "{}", format.fourcc());
        }
    }

    #[test]
    fn every_frame_differs_from_the_next(frame in 0..999_998_u32) {
        let extent = Extent::new(160, 120);
        let (this, next) = (Picture::new(extent, frame), Picture::new(extent, frame + 1));
        let differing = (0..120)
            .flat_map(|y| (0..160).map(move |x| (x, y)))
            .filter(|&(x, y)| this.pixel(x, y) != next.pixel(x, y))
            .count();
        prop_assert!(differing > 160 * 120 / 3, "only {} pixels differ", differing);
    }
}

#[test]
fn the_disc_stays_inside_and_moves() {
    let extent = Extent::new(320, 240);
    let mut centres = std::collections::BTreeSet::new();
    for frame in 0..200 {
        let picture = Picture::new(extent, frame);
        let orange = |x: u32, y: u32| {
            let color = picture.pixel(x, y);
            color.red > 0x4000 && color.green == color.red / 2 && color.blue == color.red / 8
        };
        let inside = (1..239)
            .flat_map(|y| (1..319).map(move |x| (x, y)))
            .filter(|&(x, y)| orange(x, y))
            .count();
        // A radius of 40 covers about 5,000 pixels; checker and counter hide some of them at times.
        assert!((3500..5200).contains(&inside), "frame {frame}: {inside}");
        let brightest = (1..239)
            .flat_map(|y| (1..319).map(move |x| (x, y)))
            .filter(|&(x, y)| orange(x, y))
            .max_by_key(|&(x, y)| picture.pixel(x, y).red);
        centres.insert(brightest);
    }
    assert!(
        centres.len() > 150,
        "{} places in 200 frames",
        centres.len()
    );
}
