//! `Fourcc`, `FormatInfo`, `Modifier`.
#![allow(missing_docs, clippy::unwrap_used)]

use dmashare::{FormatInfo, Fourcc, LayoutError, Modifier};
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

#[test]
fn chroma_of_odd_sizes_rounds_up() {
    let nv12 = Fourcc::NV12.info().unwrap();
    assert_eq!(nv12.planes[0].row_bytes(333), 333);
    assert_eq!(nv12.planes[1].row_bytes(333), 334);
    assert_eq!(nv12.planes[1].rows(77), 39);
    assert_eq!(Fourcc::P010.info().unwrap().planes[1].row_bytes(1), 4);
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
}

proptest! {
    #[test]
    fn any_code_survives_display_and_parse(code in "[!-~]{1,4}") {
        let fourcc: Fourcc = code.parse().unwrap();
        prop_assert_eq!(fourcc.to_string(), code);
    }
}
