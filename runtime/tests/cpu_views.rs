//! `CpuAccess::plane`, `CpuAccess::plane_mut`: planes as rows of samples, in real dma-bufs.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::{
    Access, CpuAccess, CpuAccessError, CpuMapping, DmaBuf, Extent, Fourcc, Modifier, PlaneFd,
    Sample,
};

/// An image whose planes have padding and begin at odd places, each in a memory of its own if so asked.
fn image(format: Fourcc, extent: Extent, disjoint: bool) -> DmaBuf {
    let allocate = || support::heap().allocate_memory(1 << 16).unwrap();
    let whole = allocate();
    let mut offset = 3;
    let mut planes = Vec::new();
    for info in format.info().unwrap().planes {
        let stride = u32::try_from(info.row_bytes(extent.width)).unwrap() + 5;
        let memory = if disjoint { allocate() } else { whole.clone() };
        planes.push(PlaneFd {
            fd: memory.duplicate_fd().unwrap(),
            offset,
            stride,
        });
        offset += u64::from(stride) * u64::from(info.rows(extent.height)) + 1;
    }
    DmaBuf::new(format, extent, Modifier::LINEAR, planes).unwrap()
}

/// Writes numbers that count up in a plane, and reads them back: as samples, and as the bytes of rows.
fn counts<S: Sample + PartialEq>(image: &DmaBuf, plane: usize, number: impl Fn(u32, usize) -> S) {
    let what = format!("{} plane {plane} as {}", image.format(), S::BYTES);
    let mut access = CpuAccess::begin(image, Access::Write).unwrap();
    let info = image.format().info().unwrap().planes[plane];
    let row_bytes = access.row_bytes(plane).unwrap();
    let mut view = access.plane_mut::<S>(plane).unwrap();
    assert_eq!(view.rows(), info.rows(image.extent().height), "{what}");
    assert_eq!(view.samples() * S::BYTES, row_bytes, "{what}");
    for row in 0..view.rows() {
        let numbers: Vec<S> = (0..view.samples()).map(|x| number(row, x)).collect();
        // In two parts, so that the second begins inside the row.
        let (first, second) = numbers.split_at(numbers.len() / 3);
        view.write(row, first.len(), second).unwrap();
        view.write(row, 0, first).unwrap();
    }
    drop(access);
    let access = CpuAccess::begin(image, Access::Read).unwrap();
    let view = access.plane::<S>(plane).unwrap();
    let mut bytes = vec![0; row_bytes];
    for row in 0..view.rows() {
        let mut numbers = vec![S::default(); view.samples()];
        view.read(row, 0, &mut numbers).unwrap();
        access.read_row(plane, row, &mut bytes).unwrap();
        for (x, seen) in numbers.iter().enumerate() {
            assert_eq!(*seen, number(row, x), "{what} row {row}");
            assert_eq!(view.sample(row, x).unwrap(), *seen, "{what} row {row}");
            let own = &bytes[x * S::BYTES..][..S::BYTES];
            assert_eq!(S::from_plane(own), *seen, "{what} row {row}");
        }
    }
}

fn hash(row: u32, index: usize) -> u64 {
    let at = (u64::from(row) << 32) | index as u64;
    at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[test]
#[allow(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
fn samples_of_every_size_are_read_as_they_were_written() {
    // Longer than a chunk, and odd.
    let extent = Extent::new(1001, 5);
    for disjoint in [false, true] {
        let planes = |format| image(format, extent, disjoint);
        let nv12 = planes(Fourcc::NV12);
        counts(&nv12, 0, |row, x| hash(row, x) as u8);
        counts(&nv12, 1, |row, x| hash(row, x) as u8);
        counts(&nv12, 1, |row, x| hash(row, x) as u16);
        let p010 = planes(Fourcc::P010);
        counts(&p010, 0, |row, x| hash(row, x) as u16);
        counts(&p010, 1, |row, x| hash(row, x) as u16);
        counts(&p010, 1, |row, x| hash(row, x) as u32);
        let planar = planes(Fourcc::YUV420);
        for plane in 0..3 {
            counts(&planar, plane, |row, x| hash(row, x) as u8);
        }
        counts(&planes(Fourcc::XRGB2101010), 0, |row, x| {
            hash(row, x) as u32
        });
        counts(&planes(Fourcc::RGB888), 0, |row, x| hash(row, x) as u8);
        counts(&planes(Fourcc::ABGR16161616), 0, |row, x| {
            hash(row, x) as u16
        });
        counts(&planes(Fourcc::ABGR16161616F), 0, hash);
    }
}

/// What one plane is given reaches no other, and no byte of the padding.
#[test]
fn a_plane_is_filled_and_nothing_else() {
    let extent = Extent::new(777, 9);
    let image = image(Fourcc::NV12, extent, false);
    for (plane, value) in [(0, 0x11_u8), (1, 0x22)] {
        let mut access = CpuAccess::begin(&image, Access::Write).unwrap();
        let mut view = access.plane_mut::<u8>(plane).unwrap();
        for row in 0..view.rows() {
            view.fill(row, value).unwrap();
        }
    }
    // The memory as one row of bytes.
    let memory = image.memories()[0].clone();
    let size = u32::try_from(memory.size()).unwrap();
    let whole = PlaneFd {
        fd: memory.duplicate_fd().unwrap(),
        offset: 0,
        stride: size,
    };
    let whole = DmaBuf::new(Fourcc::R8, Extent::new(size, 1), Modifier::LINEAR, [whole]).unwrap();
    let access = CpuAccess::begin(&whole, Access::Read).unwrap();
    let mut bytes = vec![0_u8; size as usize];
    let bytes_of_it = access.plane::<u8>(0).unwrap();
    bytes_of_it.read(0, 0, &mut bytes).unwrap();
    let mut expected = vec![0; size as usize];
    let info = Fourcc::NV12.info().unwrap();
    for ((plane, info), value) in image
        .layout()
        .planes()
        .iter()
        .zip(info.planes)
        .zip([0x11, 0x22])
    {
        for row in 0..info.rows(extent.height) {
            let start = usize::try_from(plane.offset).unwrap() + (row * plane.stride) as usize;
            let length = usize::try_from(info.row_bytes(extent.width)).unwrap();
            expected[start..start + length].fill(value);
        }
    }
    assert!(bytes == expected);
}

#[test]
fn what_is_not_there_is_refused_by_its_bounds() {
    let image = image(Fourcc::P010, Extent::new(33, 7), false);
    let mut mapping = CpuMapping::new(&image, Access::Write).unwrap();
    let mut access = mapping.begin(Access::Write).unwrap();
    assert_eq!(access.rows(1).unwrap(), 4);
    assert!(matches!(
        access.plane::<u16>(2),
        Err(CpuAccessError::OutOfBounds { plane: 2, .. })
    ));
    // Luma has two bytes: they are no number of four.
    match access.plane_mut::<u32>(0) {
        Err(CpuAccessError::SampleSize {
            plane: 0,
            bytes: 2,
            asked: 4,
        }) => {}
        other => panic!("{other:?}"),
    }
    let mut view = access.plane_mut::<u16>(1).unwrap();
    assert_eq!((view.samples(), view.rows()), (34, 4));
    let refused = |result: Result<(), CpuAccessError>, expected: (u32, usize)| match result {
        Err(CpuAccessError::OutOfBounds {
            plane: 1,
            row,
            bytes,
        }) => assert_eq!((row, bytes), expected),
        other => panic!("{other:?}"),
    };
    refused(view.write(4, 0, &[1]), (4, 2));
    refused(view.write(0, 33, &[1, 2]), (0, 70));
    refused(view.write(0, usize::MAX, &[1, 2]), (0, usize::MAX));
    refused(view.read(3, 0, &mut [0; 35]), (3, 70));
    refused(view.fill(4, 1), (4, 68));
    // Nothing of what was refused was written, and the last sample of the last row is there.
    let mut row = [0; 34];
    view.read(0, 0, &mut row).unwrap();
    assert_eq!(row, [0; 34]);
    view.write(3, 33, &[7]).unwrap();
    view.read(3, 33, &mut row[..1]).unwrap();
    assert_eq!(row[0], 7);
    drop(access);
    let mut access = mapping.begin(Access::Read).unwrap();
    assert!(matches!(
        access.plane_mut::<u16>(1),
        Err(CpuAccessError::ReadOnly)
    ));
    assert_eq!(access.plane::<u16>(1).unwrap().sample(3, 33).unwrap(), 7);
}
