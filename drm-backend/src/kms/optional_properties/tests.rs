//! Tests of planes with and without these properties.

use dmashare::{BufferDesc, Color, Extent, Fourcc, Usage};

use super::*;

const DISCRETE: &[(&str, u64)] = &[("rotate-0", 0), ("rotate-180", 2), ("reflect-x", 4)];

fn optional(properties: Vec<Property>) -> OptionalProperties {
    OptionalProperties::new(33, &Properties::of_test(properties))
}

fn content(format: Fourcc) -> PixelMeaning {
    let desc = BufferDesc::new("content", Extent::new(1, 1), format, Usage::SCANOUT);
    PixelMeaning::new(format, &desc)
}

fn yuv(matrix: MatrixCoefficients, range: ColorRange) -> PixelMeaning {
    let mut content = content(Fourcc::NV12);
    content.color = Color::default();
    content.color.matrix = matrix;
    content.color.range = range;
    content
}

/// The value that `asked` gives one property.
fn value(
    properties: &OptionalProperties,
    asked: Appearance,
    content: PixelMeaning,
    property: PlaneProperty,
) -> Option<u64> {
    let values = properties.values(&asked, content).unwrap();
    let mut set = values.iter();
    set.find_map(|(of, value)| (of == property).then_some(value))
}

#[track_caller]
fn refused(
    properties: &OptionalProperties,
    asked: Appearance,
    content: PixelMeaning,
    expected: (PlaneProperty, &str, Option<&str>),
) {
    let result = properties.values(&asked, content);
    let Err(CommitError::PlaneProperty {
        plane: 33,
        property,
        value,
        available,
    }) = result
    else {
        panic!("{result:?}");
    };
    assert_eq!((property, &*value, available.as_deref()), expected);
}

fn asks(change: impl FnOnce(&mut Appearance)) -> Appearance {
    let mut appearance = Appearance::default();
    change(&mut appearance);
    appearance
}

#[test]
fn a_plane_that_lacks_everything_shows_what_is_usual() {
    let plain = optional(Vec::new());
    for content in [
        content(Fourcc::XRGB8888),
        content(Fourcc::ARGB8888),
        content(Fourcc::NV12),
        yuv(MatrixCoefficients::Bt601, ColorRange::Limited),
    ] {
        let values = plain.values(&Appearance::default(), content).unwrap();
        assert_eq!(values, PlaneValues::default());
    }
}

#[test]
fn a_plane_that_lacks_everything_refuses_what_is_not_usual() {
    let plain = optional(Vec::new());
    let rgb = content(Fourcc::ARGB8888);
    let turned = asks(|asked| asked.rotation = Rotation::ROTATE_180.reflect_x());
    let expected = (PlaneProperty::Rotation, "rotate-180 reflect-x", None);
    refused(&plain, turned, rgb, expected);
    let thin = asks(|asked| asked.alpha = 0x8000);
    refused(&plain, thin, rgb, (PlaneProperty::Alpha, "32768", None));
    let zpos = asks(|asked| asked.zpos = Some(0));
    refused(&plain, zpos, rgb, (PlaneProperty::Zpos, "0", None));
    let straight = asks(|asked| asked.pixel_blend_mode = Some(AlphaMode::Coverage));
    let expected = (PlaneProperty::PixelBlendMode, "Coverage", None);
    refused(&plain, straight, rgb, expected);
    let usual = Appearance::default();
    let wide = yuv(MatrixCoefficients::Bt2020, ColorRange::Limited);
    let expected = (PlaneProperty::ColorEncoding, "ITU-R BT.2020 YCbCr", None);
    refused(&plain, usual, wide, expected);
    let full = yuv(MatrixCoefficients::Bt601, ColorRange::Full);
    let expected = (PlaneProperty::ColorRange, "YCbCr full range", None);
    refused(&plain, usual, full, expected);
    let error = plain.values(&thin, rgb).unwrap_err().to_string();
    assert!(
        error.contains("plane 33") && error.contains("alpha"),
        "{error}"
    );
}

#[test]
fn rotation_is_a_mask_of_the_propertys_bits() {
    let plane = optional(vec![Property::of_words("rotation", 1, DISCRETE)]);
    let rgb = content(Fourcc::XRGB8888);
    let of = |rotation| {
        let asked = asks(|asked| asked.rotation = rotation);
        value(&plane, asked, rgb, PlaneProperty::Rotation)
    };
    assert_eq!(of(Rotation::ROTATE_0), Some(1));
    assert_eq!(of(Rotation::ROTATE_180), Some(4));
    assert_eq!(of(Rotation::ROTATE_180.reflect_x()), Some(4 | 16));
    let turned = asks(|asked| asked.rotation = Rotation::ROTATE_90);
    let takes = Some("rotate-0, rotate-180, reflect-x");
    refused(
        &plane,
        turned,
        rgb,
        (PlaneProperty::Rotation, "rotate-90", takes),
    );
}

#[test]
fn alpha_is_always_set() {
    let plane = optional(vec![Property::of_range("alpha", 1, 7, (0, 0xffff))]);
    let rgb = content(Fourcc::XRGB8888);
    let of = |asked| value(&plane, asked, rgb, PlaneProperty::Alpha);
    assert_eq!(of(Appearance::default()), Some(0xffff));
    assert_eq!(of(asks(|asked| asked.alpha = 0)), Some(0));
}

#[test]
fn the_blend_mode_is_the_buffers_unless_another_is_asked_for() {
    let words = [("None", 0), ("Pre-multiplied", 1), ("Coverage", 2)];
    let plane = optional(vec![Property::of_words("pixel blend mode", 1, &words)]);
    let of = |asked, content| value(&plane, asked, content, PlaneProperty::PixelBlendMode);
    let usual = Appearance::default();
    let mut straight = content(Fourcc::ARGB8888);
    assert_eq!(of(usual, straight), Some(1));
    straight.alpha = AlphaMode::Coverage;
    assert_eq!(of(usual, straight), Some(2));
    let opaque = asks(|asked| asked.pixel_blend_mode = Some(AlphaMode::Opaque));
    assert_eq!(of(opaque, straight), Some(0));
    // Without alpha the blend mode has no effect, so it must not change the configuration.
    straight.has_alpha = false;
    assert_eq!(of(opaque, straight), Some(1));
    let plain = optional(Vec::new());
    plain.values(&opaque, straight).unwrap();
    let poor = optional(vec![Property::of_words(
        "pixel blend mode",
        1,
        &words[1..2],
    )]);
    let expected = (
        PlaneProperty::PixelBlendMode,
        "None",
        Some("Pre-multiplied"),
    );
    refused(&poor, opaque, content(Fourcc::ARGB8888), expected);
}

#[test]
fn zpos_goes_back_to_where_it_was() {
    let plane = optional(vec![Property::of_range("zpos", 1, 2, (1, 4))]);
    let rgb = content(Fourcc::XRGB8888);
    let at = |zpos| asks(|asked| asked.zpos = Some(zpos));
    let of = |asked| value(&plane, asked, rgb, PlaneProperty::Zpos);
    assert_eq!(of(Appearance::default()), Some(2));
    assert_eq!(of(at(4)), Some(4));
    refused(
        &plane,
        at(5),
        rgb,
        (PlaneProperty::Zpos, "5", Some("1 to 4")),
    );
    // An immutable zpos must not be set.
    let mut fixed = Property::of_range("zpos", 1, 2, (2, 2));
    fixed.immutable = true;
    let plane = optional(vec![fixed]);
    let of = |asked| value(&plane, asked, rgb, PlaneProperty::Zpos);
    assert_eq!(of(Appearance::default()), None);
    assert_eq!(of(at(2)), None);
    refused(&plane, at(3), rgb, (PlaneProperty::Zpos, "3", Some("2")));
}

#[test]
fn color_is_always_set_for_yuv_and_never_for_rgb() {
    let encodings = [("ITU-R BT.601 YCbCr", 0), ("ITU-R BT.709 YCbCr", 1)];
    let ranges = [("YCbCr limited range", 0), ("YCbCr full range", 1)];
    let plane = optional(vec![
        Property::of_words("COLOR_ENCODING", 1, &encodings),
        Property::of_words("COLOR_RANGE", 2, &ranges),
    ]);
    let usual = Appearance::default();
    let of = |content| {
        let encoding = value(&plane, usual, content, PlaneProperty::ColorEncoding);
        (
            encoding,
            value(&plane, usual, content, PlaneProperty::ColorRange),
        )
    };
    assert_eq!(of(content(Fourcc::XRGB8888)), (None, None));
    assert_eq!(of(content(Fourcc::NV12)), (Some(0), Some(1)));
    let video = yuv(MatrixCoefficients::Bt709, ColorRange::Limited);
    assert_eq!(of(video), (Some(1), Some(0)));
    let wide = yuv(MatrixCoefficients::Bt2020, ColorRange::Limited);
    let takes = Some("ITU-R BT.601 YCbCr, ITU-R BT.709 YCbCr");
    let expected = (PlaneProperty::ColorEncoding, "ITU-R BT.2020 YCbCr", takes);
    refused(&plane, usual, wide, expected);
}
