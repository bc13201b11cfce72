//! `Fourcc`, `FormatInfo`, `Modifier`.
#![allow(missing_docs, clippy::unwrap_used)]

use dmashare::{FormatInfo, Fourcc, LayoutError, Modifier, PlaneInfo};
use proptest::prelude::*;

#[test]
fn codes_are_those_of_drm_fourcc_h() {
    // Values as the header's fourcc_code macro computes them.
    let table = [
        (Fourcc::XRGB8888, 0x3432_5258, "XR24"),
        (Fourcc::RGB565, 0x3631_4752, "RG16"),
        (Fourcc::NV12, 0x3231_564e, "NV12"),
        (Fourcc::R8, 0x2020_3852, "R8"),
        (Fourcc::ABGR16161616F, 0x4834_4241, "AB4H"),
        (Fourcc::XRGB16161616F, 0x4834_5258, "XR4H"),
        (Fourcc::ARGB16161616F, 0x4834_5241, "AR4H"),
        (Fourcc::RGB888, 0x3432_4752, "RG24"),
        (Fourcc::BGR888, 0x3432_4742, "BG24"),
        (Fourcc::NV16, 0x3631_564e, "NV16"),
        (Fourcc::P010, 0x3031_3050, "P010"),
        (Fourcc::YUV420, 0x3231_5559, "YU12"),
        (Fourcc::GR88, 0x3838_5247, "GR88"),
    ];
    for (fourcc, raw, text) in table {
        assert_eq!(fourcc.as_raw(), raw);
        assert_eq!(fourcc.to_string(), text);
    }
}

#[test]
fn every_known_format_is_read_by_code_and_by_name() {
    for info in FormatInfo::all() {
        assert_eq!(info.fourcc.to_string().parse(), Ok(info.fourcc));
        assert_eq!(info.name.parse(), Ok(info.fourcc));
        assert_eq!(info.fourcc.info(), Some(info));
        assert!((1..=4).contains(&info.planes.len()), "{}", info.name);
    }
    let mut codes: Vec<_> = FormatInfo::all().iter().map(|info| info.fourcc).collect();
    codes.sort();
    codes.dedup();
    assert_eq!(
        codes.len(),
        FormatInfo::all().len(),
        "a format stands twice in the table"
    );
}

#[test]
fn text_that_is_no_format_is_refused() {
    for text in ["", "XRGB88888", "XR 2", "\u{e9}"] {
        let error = text.parse::<Fourcc>().unwrap_err();
        assert_eq!(
            error,
            LayoutError::NotAFourcc {
                text: text.to_owned()
            }
        );
    }
}

/// Bytes of a row and rows of each plane, for images of odd and of very small sizes.
#[test]
fn planes_of_odd_sizes_round_up() {
    type Planes = &'static [(u64, u32)];
    let table: [(Fourcc, (u32, u32), Planes); 24] = [
        (Fourcc::R8, (333, 77), &[(333, 77)]),
        (Fourcc::GR88, (333, 77), &[(666, 77)]),
        (Fourcc::RGB565, (333, 77), &[(666, 77)]),
        (Fourcc::RGB888, (333, 77), &[(999, 77)]),
        (Fourcc::XRGB8888, (333, 77), &[(1332, 77)]),
        (Fourcc::XRGB2101010, (333, 77), &[(1332, 77)]),
        (Fourcc::XRGB16161616, (333, 77), &[(2664, 77)]),
        (Fourcc::ABGR16161616F, (333, 77), &[(2664, 77)]),
        (Fourcc::NV12, (334, 78), &[(334, 78), (334, 39)]),
        (Fourcc::NV12, (333, 77), &[(333, 77), (334, 39)]),
        (Fourcc::NV12, (1, 1), &[(1, 1), (2, 1)]),
        (Fourcc::NV12, (2, 2), &[(2, 2), (2, 1)]),
        (Fourcc::NV12, (3, 3), &[(3, 3), (4, 2)]),
        (Fourcc::NV16, (334, 78), &[(334, 78), (334, 78)]),
        (Fourcc::NV16, (333, 77), &[(333, 77), (334, 77)]),
        (Fourcc::NV16, (1, 1), &[(1, 1), (2, 1)]),
        (Fourcc::P010, (334, 78), &[(668, 78), (668, 39)]),
        (Fourcc::P010, (333, 77), &[(666, 77), (668, 39)]),
        (Fourcc::P010, (1, 1), &[(2, 1), (4, 1)]),
        (
            Fourcc::YUV420,
            (334, 78),
            &[(334, 78), (167, 39), (167, 39)],
        ),
        (
            Fourcc::YUV420,
            (333, 77),
            &[(333, 77), (167, 39), (167, 39)],
        ),
        (Fourcc::YUV420, (1, 1), &[(1, 1), (1, 1), (1, 1)]),
        (Fourcc::YUV420, (3, 1), &[(3, 1), (2, 1), (2, 1)]),
        // The largest width: nothing overflows.
        (
            Fourcc::P010,
            (u32::MAX, u32::MAX),
            &[(8_589_934_590, u32::MAX), (8_589_934_592, 1 << 31)],
        ),
    ];
    for (format, (width, height), expected) in table {
        let planes = format.info().unwrap().planes.iter();
        let planes: Vec<_> = planes
            .map(|plane| (plane.row_bytes(width), plane.rows(height)))
            .collect();
        assert_eq!(planes, expected, "{format} of {width}x{height}");
    }
}

#[test]
fn only_subsampled_formats_are_luma_and_chroma() {
    for info in FormatInfo::all() {
        let is_subsampled =
            |plane: &PlaneInfo| plane.horizontal_subsampling > 1 || plane.vertical_subsampling > 1;
        assert_eq!(
            info.planes.iter().any(is_subsampled),
            info.is_yuv,
            "{}",
            info.name
        );
        assert!(!is_subsampled(&info.planes[0]), "{}", info.name);
        assert_eq!(info.name.contains('A'), info.has_alpha, "{}", info.name);
    }
}

#[test]
fn modifiers_are_named() {
    assert_eq!(Modifier::LINEAR.to_string(), "LINEAR");
    assert_eq!(Modifier::INVALID.to_string(), "INVALID");
    let intel_x_tiled = Modifier::new(0x0100_0000_0000_0001);
    assert_eq!(
        (intel_x_tiled.vendor(), intel_x_tiled.to_string()),
        (1, "0x0100000000000001".to_owned())
    );
    let name = |raw| Modifier::new(raw).name();
    assert_eq!(Modifier::LINEAR.name(), Some("LINEAR"));
    assert_eq!(Modifier::INVALID.name(), Some("INVALID"));
    assert_eq!(intel_x_tiled.name(), Some("I915_FORMAT_MOD_X_TILED"));
    assert_eq!(
        name(0x0100_0000_0000_0011),
        Some("I915_FORMAT_MOD_4_TILED_BMG_CCS")
    );
    for unnamed in [
        1,
        0x0100_0000_0000_0000,
        0x0100_0000_0000_0012,
        0x0100_0000_0000_0101,
    ] {
        assert_eq!(name(unnamed), None, "{unnamed:#x}");
    }
}

proptest! {
    #[test]
    fn any_code_survives_display_and_parse(code in "[!-~]{1,4}") {
        let fourcc: Fourcc = code.parse().unwrap();
        prop_assert_eq!(fourcc.to_string(), code);
    }
}
