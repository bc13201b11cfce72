//! `Layout`: what may be shared and what is refused before any driver sees it.
#![allow(missing_docs, clippy::unwrap_used)]

use dmashare::{Extent, Fourcc, Layout, LayoutError, Modifier, PlaneLayout};
use proptest::prelude::*;

const TILED: Modifier = Modifier::new(0x0100_0000_0000_0001);

fn plane(offset: u64, stride: u32) -> PlaneLayout {
    PlaneLayout {
        memory: 0,
        offset,
        stride,
    }
}

fn check(
    format: Fourcc,
    (width, height): (u32, u32),
    modifier: Modifier,
    planes: &[PlaneLayout],
    sizes: &[u64],
) -> Result<Layout, LayoutError> {
    Layout::new(format, Extent::new(width, height), modifier, planes, sizes)
}

#[test]
fn right_layouts_are_taken() {
    let x = Fourcc::XRGB8888;
    type Row<'a> = (
        &'a str,
        Fourcc,
        (u32, u32),
        Modifier,
        &'a [PlaneLayout],
        u64,
    );
    let table: &[Row<'_>] = &[
        ("one pixel", x, (1, 1), Modifier::LINEAR, &[plane(0, 4)], 4),
        (
            "last row without padding",
            x,
            (100, 2),
            Modifier::LINEAR,
            &[plane(0, 512)],
            912,
        ),
        (
            "unaligned stride",
            x,
            (100, 2),
            Modifier::LINEAR,
            &[plane(4, 402)],
            4096,
        ),
        (
            "odd NV12",
            Fourcc::NV12,
            (3, 3),
            Modifier::LINEAR,
            &[plane(0, 3), plane(9, 4)],
            17,
        ),
        (
            "three planes",
            Fourcc::YUV420,
            (2, 2),
            Modifier::LINEAR,
            &[plane(0, 2), plane(4, 1), plane(5, 1)],
            6,
        ),
        ("tiled", x, (64, 64), TILED, &[plane(0, 1)], 4096),
        (
            "tiled with metadata",
            x,
            (64, 64),
            TILED,
            &[plane(0, 256), plane(4095, 1)],
            4096,
        ),
    ];
    for (name, format, extent, modifier, planes, size) in table {
        let layout = check(*format, *extent, *modifier, planes, &[*size]);
        assert_eq!(
            layout.map(|layout| layout.planes().to_vec()),
            Ok(planes.to_vec()),
            "{name}"
        );
    }
}

#[test]
fn wrong_layouts_are_refused_by_cause() {
    let x = Fourcc::XRGB8888;
    let extent = (100, 100);
    let linear = Modifier::LINEAR;
    let count = |modifier, given| LayoutError::PlaneCount {
        format: x,
        modifier,
        expected: 1,
        given,
    };
    let past = |end, memory_size| LayoutError::PlanePastEnd {
        plane: 0,
        end,
        memory_size,
    };
    type Row<'a> = (
        &'a str,
        (u32, u32),
        Modifier,
        &'a [PlaneLayout],
        u64,
        LayoutError,
    );
    let table: &[Row<'_>] = &[
        (
            "no width",
            (0, 1),
            linear,
            &[plane(0, 4)],
            4096,
            LayoutError::EmptyExtent {
                extent: Extent::new(0, 1),
            },
        ),
        ("zero planes", extent, linear, &[], 65536, count(linear, 0)),
        (
            "two planes",
            extent,
            linear,
            &[plane(0, 400); 2],
            65536,
            count(linear, 2),
        ),
        (
            "five planes",
            extent,
            TILED,
            &[plane(0, 400); 5],
            65536,
            count(TILED, 5),
        ),
        (
            "INVALID",
            extent,
            Modifier::INVALID,
            &[plane(0, 400)],
            65536,
            LayoutError::ImplicitModifier { format: x },
        ),
        (
            "overlapping rows",
            extent,
            linear,
            &[plane(0, 200)],
            65536,
            LayoutError::StrideTooSmall {
                plane: 0,
                stride: 200,
                needed: 400,
            },
        ),
        (
            "one byte short",
            extent,
            linear,
            &[plane(0, 400)],
            39_999,
            past(Some(40_000), 39_999),
        ),
        (
            "offset past the end",
            extent,
            linear,
            &[plane(65536, 400)],
            65536,
            past(Some(105_536), 65536),
        ),
        (
            "offset overflows",
            extent,
            linear,
            &[plane(u64::MAX, 400)],
            65536,
            past(None, 65536),
        ),
        (
            "tiled offset at the end",
            extent,
            TILED,
            &[plane(65536, 400)],
            65536,
            past(Some(65537), 65536),
        ),
        (
            "empty memory",
            extent,
            TILED,
            &[plane(0, 400)],
            0,
            past(Some(1), 0),
        ),
    ];
    for (name, extent, modifier, planes, size, error) in table {
        assert_eq!(
            check(x, *extent, *modifier, planes, &[*size]).unwrap_err(),
            *error,
            "{name}"
        );
    }
    let unknown = Fourcc::new(u32::from_le_bytes(*b"ZZZZ"));
    assert_eq!(
        check(unknown, (1, 1), linear, &[plane(0, 4)], &[4096]).unwrap_err(),
        LayoutError::UnknownFormat { format: unknown }
    );
    let elsewhere = PlaneLayout {
        memory: 1,
        offset: 0,
        stride: 400,
    };
    assert_eq!(
        check(x, extent, linear, &[elsewhere], &[65536]).unwrap_err(),
        LayoutError::NoSuchMemory {
            plane: 0,
            memory: 1
        }
    );
}

#[test]
fn disjoint_is_more_than_one_memory() {
    let planes = [
        plane(0, 4),
        PlaneLayout {
            memory: 1,
            offset: 0,
            stride: 4,
        },
    ];
    let layout = check(Fourcc::NV12, (4, 4), Modifier::LINEAR, &planes, &[16, 8]).unwrap();
    assert!(layout.is_disjoint());
}

proptest! {
    /// Whatever the numbers, a linear layout that is taken has every byte of every row in memory,
    /// and one that is refused for its end or stride has one outside or overlapping.
    #[test]
    fn accepted_means_every_byte_is_inside(
        width in 1_u32..=20_000, height in 1_u32..=20_000,
        offset in prop_oneof![0_u64..100_000, any::<u64>()],
        stride in prop_oneof![0_u32..200_000, any::<u32>()],
        size in prop_oneof![0_u64..1 << 33, any::<u64>()],
    ) {
        let result = check(Fourcc::ARGB8888, (width, height), Modifier::LINEAR, &[plane(offset, stride)], &[size]);
        let row = u128::from(width) * 4;
        let end = u128::from(offset) + u128::from(height - 1) * u128::from(stride) + row;
        let right = u128::from(stride) >= row && end <= u128::from(size);
        prop_assert_eq!(result.is_ok(), right);
    }
}
