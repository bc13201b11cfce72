//! Whether a layout that was made is the one that was negotiated.

use dmashare::negotiation::{DisjointPlanes, FormatSupport};
use dmashare::{
    BufferDesc, Extent, Fourcc, Layout, Modifier, Negotiated, Negotiation, Party, PlaneLayout,
    UnfitError, Usage,
};

use crate::awkward::demands;

const TILED: Modifier = Modifier::new(0x0100_0000_0000_0001);

fn negotiated(disjoint: DisjointPlanes) -> Negotiated {
    let support = |modifier, planes| {
        FormatSupport::new(Fourcc::NV12, modifier, Usage::all())
            .with_memory_planes(planes)
            .with_disjoint(disjoint)
    };
    let desc = BufferDesc::new("checked", Extent::new(64, 30), Fourcc::NV12, Usage::SAMPLE);
    let exporter = Party::exporter("memory", Usage::SAMPLE)
        .with_formats([support(Modifier::LINEAR, 2), support(TILED, 3)])
        .with_layout(demands(|it| {
            it.stride_alignment = 64;
            it.maximum_stride = 256;
            it.offset_alignment = 128;
            it.height_alignment = 16;
            it.tail_bytes = 10;
            it.size_alignment = 2;
            it.maximum_size = 100_000;
        }));
    Negotiation::new(desc).party(exporter).solve().unwrap()
}

fn check(
    modifier: Modifier,
    planes: &[(usize, u64, u32)],
    sizes: &[u64],
) -> Result<(), UnfitError> {
    let planes: Vec<_> = planes
        .iter()
        .map(|&(memory, offset, stride)| PlaneLayout {
            memory,
            offset,
            stride,
        })
        .collect();
    let layout = Layout::new(Fourcc::NV12, Extent::new(64, 30), modifier, &planes, sizes).unwrap();
    let disjoint = if sizes.len() > 1 {
        DisjointPlanes::Required
    } else {
        DisjointPlanes::Refused
    };
    negotiated(disjoint).check_layout(&layout, sizes)
}

#[test]
fn what_fits_is_taken_and_what_does_not_is_named() {
    // 32 rows of luma are 2048 bytes, 16 of chroma 1024, then 10.
    assert_eq!(
        check(Modifier::LINEAR, &[(0, 0, 64), (0, 2048, 64)], &[3082]),
        Ok(())
    );
    // Chroma may come first, and there may be room in between.
    assert_eq!(
        check(Modifier::LINEAR, &[(0, 2048, 64), (0, 0, 64)], &[4106]),
        Ok(())
    );
    assert_eq!(
        check(Modifier::LINEAR, &[(0, 0, 64), (0, 2176, 128)], &[5000]),
        Ok(())
    );
    let refused = |planes: &[(usize, u64, u32)], sizes: &[u64]| {
        check(Modifier::LINEAR, planes, sizes)
            .unwrap_err()
            .to_string()
    };
    let table = [
        (
            refused(&[(0, 0, 96), (0, 3072, 64)], &[5000]),
            "plane 0: the stride must be a multiple of 64 bytes and at most 256, and is 96",
        ),
        (
            refused(&[(0, 0, 64), (0, 2048, 320)], &[9000]),
            "plane 1: the stride must be a multiple of 64 bytes and at most 256, and is 320",
        ),
        (
            refused(&[(0, 0, 64), (0, 2112, 64)], &[5000]),
            "plane 1: the offset must be a multiple of 128 bytes, and is 2112",
        ),
        (
            refused(&[(0, 0, 64), (0, 2048, 64)], &[3080]),
            "plane 1: with its padding it ends at byte 3082, but has room until byte 3080",
        ),
        (
            refused(&[(0, 0, 64), (0, 1920, 64)], &[5000]),
            "plane 0: with its padding it ends at byte 2048, but has room until byte 1920",
        ),
        (
            refused(&[(0, 0, 64), (0, 0, 64)], &[5000]),
            "plane 0: with its padding it ends at byte 2048, but has room until byte 0",
        ),
        (
            refused(&[(0, 0, 64), (0, 2048, 64)], &[3083]),
            "a memory's size must be a multiple of 2 bytes and at most 100000, and is 3083",
        ),
        (
            refused(&[(0, 0, 64), (0, 2048, 64)], &[100_002]),
            "a memory's size must be a multiple of 2 bytes and at most 100000, and is 100002",
        ),
    ];
    for (said, expected) in table {
        assert_eq!(said, expected);
    }
}

#[test]
fn arrangements_that_were_not_negotiated_are_refused() {
    // A modifier defines what its rows are: there is no padding to check.
    let three = [(0, 0, 64), (0, 128, 64), (0, 256, 64)];
    assert_eq!(check(TILED, &three, &[258]), Ok(()));
    let said = check(TILED, &three[..2], &[258]).unwrap_err().to_string();
    assert_eq!(
        said,
        "a layout with modifier 0x0100000000000001 must have 3 plane(s), and has 2"
    );
    let other = check(Modifier::new(7), &three, &[258]);
    assert!(matches!(other, Err(UnfitError::Modifier { .. })));
    // Alignments hold for every modifier.
    let crooked = check(TILED, &[(0, 0, 64), (0, 128, 64), (0, 200, 64)], &[258]);
    assert!(matches!(crooked, Err(UnfitError::Offset { plane: 2, .. })));
}

#[test]
fn disjoint_planes_lie_in_a_memory_each() {
    let sizes = [3082, 3082, 3082];
    assert_eq!(
        check(Modifier::LINEAR, &[(0, 0, 64), (1, 0, 64)], &sizes[..2]),
        Ok(())
    );
    let said = check(Modifier::LINEAR, &[(0, 0, 64), (0, 2048, 64)], &sizes[..2]);
    assert_eq!(
        said.unwrap_err().to_string(),
        "each plane must lie in a memory of its own"
    );
    // Two of three together are not apart.
    let two = [(0, 0, 64), (1, 0, 64), (1, 128, 64)];
    assert!(matches!(
        check(TILED, &two, &sizes),
        Err(UnfitError::Disjoint { .. })
    ));
    let three = [(0, 0, 64), (1, 0, 64), (2, 128, 64)];
    assert_eq!(check(TILED, &three, &sizes), Ok(()));
    let layout = Layout::new(
        Fourcc::NV12,
        Extent::new(64, 30),
        Modifier::LINEAR,
        &[0, 1].map(|memory| PlaneLayout {
            memory,
            offset: 0,
            stride: 64,
        }),
        &sizes[..2],
    );
    let together = negotiated(DisjointPlanes::Refused).check_layout(&layout.unwrap(), &sizes[..2]);
    assert_eq!(
        together.unwrap_err().to_string(),
        "all planes must lie in one memory"
    );
}
