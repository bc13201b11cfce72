//! What is too large, or cannot be counted.

use dmashare::Fourcc;
use dmashare::negotiation::{LayoutFigure, Objection};

use crate::awkward::{demands, negotiate};

#[test]
fn what_is_too_large_is_refused_with_who_makes_it_so() {
    let narrow = demands(|it| it.maximum_stride = 1500);
    let wide = demands(|it| it.stride_alignment = 256);
    // 1332 bytes are short enough, 1536 are not.
    assert!(negotiate(Fourcc::XRGB8888, (333, 77), &[narrow]).is_ok());
    let refused = negotiate(Fourcc::XRGB8888, (333, 77), &[narrow, wide]).unwrap_err();
    let format = Fourcc::XRGB8888;
    assert_eq!(
        refused,
        [
            Objection::MaximumStride {
                format,
                maximum: 1500,
                needed: 1536
            },
            Objection::TooLargeFor {
                format,
                figure: LayoutFigure::StrideAlignment,
                value: 256,
                limited: vec!["device 0".to_owned()],
            }
        ]
    );
    let small = |maximum| demands(|it| it.maximum_size = maximum);
    let padded = demands(|it| it.height_alignment = 16);
    assert!(negotiate(Fourcc::R8, (64, 60), &[small(4096), padded]).is_ok());
    let refused = negotiate(Fourcc::R8, (64, 60), &[small(4095), padded]).unwrap_err();
    assert!(matches!(
        refused[0],
        Objection::MaximumSize {
            needed: Some(4096),
            ..
        }
    ));
    assert!(matches!(
        refused[1],
        Objection::TooLargeFor {
            figure: LayoutFigure::PaddedHeight,
            value: 64,
            ..
        }
    ));
}

#[test]
fn nothing_overflows() {
    let most = (u32::MAX, u32::MAX);
    // A row of 16 GiB has no stride.
    let refused = negotiate(Fourcc::XRGB8888, most, &[]).unwrap_err();
    assert!(matches!(
        refused[0],
        Objection::MaximumStride {
            needed: 0x3_ffff_fffc,
            ..
        }
    ));
    // 2^32 - 1 squared fits; with the last multiples it does not.
    let negotiated = negotiate(Fourcc::R8, most, &[]).unwrap();
    let size = u64::from(u32::MAX) * u64::from(u32::MAX);
    assert_eq!(negotiated.linear_layout().unwrap().memory_sizes(), [size]);
    for importer in [
        demands(|it| it.size_alignment = u64::MAX),
        demands(|it| it.tail_bytes = u64::MAX - size),
        demands(|it| it.height_alignment = u32::MAX),
    ] {
        assert!(
            negotiate(Fourcc::R8, most, &[importer]).is_ok(),
            "{importer}"
        );
    }
    for importer in [
        demands(|it| it.tail_bytes = u64::MAX - size + 1),
        demands(|it| (it.size_alignment, it.tail_bytes) = (u64::MAX - 1, u64::MAX - size)),
    ] {
        let refused = negotiate(Fourcc::R8, most, &[importer]).unwrap_err();
        assert!(
            matches!(refused[0], Objection::MaximumSize { needed: None, .. }),
            "{importer}"
        );
    }
    // The second plane's offset.
    let refused = negotiate(
        Fourcc::NV12,
        (u32::MAX - 1, u32::MAX),
        &[demands(|it| it.offset_alignment = u64::MAX - 1)],
    );
    assert!(matches!(
        refused.unwrap_err()[0],
        Objection::MaximumSize { needed: None, .. }
    ));
    // So do its rows, padded to 2^32 + 2, of 2^32 - 1 bytes each.
    let rows = demands(|it| it.height_alignment = (1 << 31) + 1);
    let refused = negotiate(Fourcc::R8, most, &[rows]).unwrap_err();
    assert!(matches!(
        refused[0],
        Objection::MaximumSize { needed: None, .. }
    ));
    // 2^32 - 1 rows, padded to multiples of 2^31 + 1, are more than 32 bits count.
    let negotiated = negotiate(Fourcc::R8, (1, u32::MAX), &[rows]).unwrap();
    let expected = 2 * ((1 << 31) + 1);
    assert_eq!(negotiated.demands().padded_height, expected);
    assert_eq!(
        negotiated.linear_layout().unwrap().memory_sizes(),
        [expected]
    );
}

#[test]
fn alignments_without_a_common_multiple_are_refused() {
    let table = [
        (
            LayoutFigure::StrideAlignment,
            demands(|it| it.stride_alignment = u32::MAX),
            demands(|it| it.stride_alignment = u32::MAX - 1),
        ),
        (
            LayoutFigure::OffsetAlignment,
            demands(|it| it.offset_alignment = u64::MAX),
            demands(|it| it.offset_alignment = u64::MAX - 1),
        ),
        (
            LayoutFigure::SizeAlignment,
            demands(|it| it.size_alignment = u64::MAX),
            demands(|it| it.size_alignment = u64::MAX - 1),
        ),
    ];
    for (expected, one, other) in table {
        let refused = negotiate(Fourcc::R8, (1, 1), &[one, demands(|_| {}), other]).unwrap_err();
        let figures: Vec<_> = refused
            .iter()
            .map(|objection| match objection {
                Objection::NoCommonMultiple { figure, with, .. } => (*figure, &with[0][..]),
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(figures, [(expected, "device 2"), (expected, "device 0")]);
    }
}
