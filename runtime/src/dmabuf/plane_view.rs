//! A plane of an image, sample by sample and row by row.

use std::fmt;
use std::marker::PhantomData;

use crate::dmabuf::cpu_access::CpuAccess;
use crate::dmabuf::cpu_access_error::CpuAccessError;

mod sealed {
    pub trait Sealed {}
}

/// A number as it lies in a plane: `u8`, `u16`, `u32` or `u64`, little-endian as every DRM format.
pub trait Sample: sealed::Sealed + Copy + Default + fmt::Debug + Send + Sync + 'static {
    /// Its bytes.
    const BYTES: usize;

    /// From the bytes of a plane; there are [`BYTES`](Self::BYTES) of them.
    fn from_plane(bytes: &[u8]) -> Self;

    /// To the bytes of a plane; there are [`BYTES`](Self::BYTES) of them.
    fn to_plane(self, bytes: &mut [u8]);
}

macro_rules! samples {
    ($($sample:ty),*) => {$(
        impl sealed::Sealed for $sample {}

        impl Sample for $sample {
            const BYTES: usize = size_of::<$sample>();

            fn from_plane(bytes: &[u8]) -> Self {
                let mut array = [0; size_of::<$sample>()];
                array.copy_from_slice(bytes);
                Self::from_le_bytes(array)
            }

            fn to_plane(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

samples!(u8, u16, u32, u64);

/// Bytes that are converted at once between a plane and typed samples: no allocation, and few copies.
const CHUNK: usize = 512;

/// Reads a plane as rows of `S`: from [`CpuAccess::plane`].
///
/// Samples are copied out; there is no reference to memory that a device may write. What is read while
/// a device writes all the same is some mixture of old and new bytes, never an invalid value.
///
/// A row has as many samples as its pixels take: a chroma plane of `NV12` read as `u8` has two for each
/// pair of pixels, read as `u16` one.
pub struct PlaneView<'a, S> {
    access: &'a CpuAccess<'a>,
    shape: Shape,
    sample: PhantomData<S>,
}

/// Reads and writes a plane as rows of `S`: from [`CpuAccess::plane_mut`].
///
/// Samples are copied in and out, as with [`PlaneView`].
pub struct PlaneViewMut<'a, 'm, S> {
    access: &'a mut CpuAccess<'m>,
    shape: Shape,
    sample: PhantomData<S>,
}

/// A plane in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    plane: usize,
    samples: usize,
    rows: u32,
}

impl Shape {
    fn of<S: Sample>(access: &CpuAccess<'_>, plane: usize) -> Result<Self, CpuAccessError> {
        let row = access.row_bytes(plane)?;
        let rows = access.rows(plane)?;
        let pixel = access.sample_bytes(plane)?;
        if !pixel.is_multiple_of(S::BYTES) {
            return Err(CpuAccessError::SampleSize {
                plane,
                bytes: pixel,
                asked: S::BYTES,
            });
        }
        Ok(Self {
            plane,
            samples: row / S::BYTES,
            rows,
        })
    }

    /// The byte of a row at which a run of samples begins, if it is inside the row. So many bytes that
    /// no number says how many are as many as that, and refused.
    fn start<S: Sample>(
        self,
        row: u32,
        from: usize,
        count: usize,
    ) -> Result<usize, CpuAccessError> {
        let end = from.saturating_add(count);
        if row < self.rows && end <= self.samples {
            return Ok(from * S::BYTES);
        }
        Err(CpuAccessError::OutOfBounds {
            plane: self.plane,
            row,
            bytes: end.saturating_mul(S::BYTES),
        })
    }
}

fn read<S: Sample>(
    access: &CpuAccess<'_>,
    shape: Shape,
    row: u32,
    from: usize,
    destination: &mut [S],
) -> Result<(), CpuAccessError> {
    let mut at = shape.start::<S>(row, from, destination.len())?;
    let mut chunk = [0; CHUNK];
    for samples in destination.chunks_mut(CHUNK / S::BYTES) {
        let bytes = &mut chunk[..samples.len() * S::BYTES];
        access.read_at(shape.plane, row, at, bytes)?;
        for (sample, bytes) in samples.iter_mut().zip(bytes.chunks_exact(S::BYTES)) {
            *sample = S::from_plane(bytes);
        }
        at += bytes.len();
    }
    Ok(())
}

impl<S: Sample> PlaneView<'_, S> {
    /// Samples in a row.
    pub fn samples(&self) -> usize {
        self.shape.samples
    }

    /// Rows of samples.
    pub fn rows(&self) -> u32 {
        self.shape.rows
    }

    /// Copies samples of a row out, from the one at index `from` on: as many as `destination` has.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: there is no such row, or the row ends before.
    pub fn read(&self, row: u32, from: usize, destination: &mut [S]) -> Result<(), CpuAccessError> {
        read(self.access, self.shape, row, from, destination)
    }

    /// One sample.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: there is none.
    pub fn sample(&self, row: u32, index: usize) -> Result<S, CpuAccessError> {
        let mut sample = [S::default()];
        self.read(row, index, &mut sample)?;
        Ok(sample[0])
    }
}

impl<S: Sample> PlaneViewMut<'_, '_, S> {
    /// Samples in a row.
    pub fn samples(&self) -> usize {
        self.shape.samples
    }

    /// Rows of samples.
    pub fn rows(&self) -> u32 {
        self.shape.rows
    }

    /// Copies samples of a row out; see [`PlaneView::read`].
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: there is no such row, or the row ends before.
    pub fn read(&self, row: u32, from: usize, destination: &mut [S]) -> Result<(), CpuAccessError> {
        read(self.access, self.shape, row, from, destination)
    }

    /// Copies samples into a row, from the index `from` on. Nothing is written if not all of them fit.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: there is no such row, or the row ends before.
    pub fn write(&mut self, row: u32, from: usize, source: &[S]) -> Result<(), CpuAccessError> {
        let mut at = self.shape.start::<S>(row, from, source.len())?;
        let mut chunk = [0; CHUNK];
        for samples in source.chunks(CHUNK / S::BYTES) {
            let bytes = &mut chunk[..samples.len() * S::BYTES];
            for (sample, bytes) in samples.iter().zip(bytes.chunks_exact_mut(S::BYTES)) {
                sample.to_plane(bytes);
            }
            self.access.write_at(self.shape.plane, row, at, bytes)?;
            at += bytes.len();
        }
        Ok(())
    }

    /// Writes the same sample to a whole row.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: there is no such row.
    pub fn fill(&mut self, row: u32, sample: S) -> Result<(), CpuAccessError> {
        let mut at = self.shape.start::<S>(row, 0, self.shape.samples)?;
        let mut chunk = [0; CHUNK];
        for bytes in chunk.chunks_exact_mut(S::BYTES) {
            sample.to_plane(bytes);
        }
        let end = self.shape.samples * S::BYTES;
        while at < end {
            let bytes = (end - at).min(CHUNK);
            self.access
                .write_at(self.shape.plane, row, at, &chunk[..bytes])?;
            at += bytes;
        }
        Ok(())
    }
}

impl<'m> CpuAccess<'m> {
    /// A plane as rows of `S`, to be read.
    ///
    /// # Errors
    /// - [`CpuAccessError::OutOfBounds`]: there is no such plane.
    /// - [`CpuAccessError::SampleSize`]: what the plane has for a pixel is not a whole number of `S`.
    pub fn plane<S: Sample>(&self, plane: usize) -> Result<PlaneView<'_, S>, CpuAccessError> {
        Ok(PlaneView {
            shape: Shape::of::<S>(self, plane)?,
            access: self,
            sample: PhantomData,
        })
    }

    /// A plane as rows of `S`, to be written.
    ///
    /// # Errors
    /// - [`CpuAccessError::ReadOnly`]: the access was begun for reading.
    /// - As [`plane`](Self::plane).
    pub fn plane_mut<S: Sample>(
        &mut self,
        plane: usize,
    ) -> Result<PlaneViewMut<'_, 'm, S>, CpuAccessError> {
        self.check_writable()?;
        Ok(PlaneViewMut {
            shape: Shape::of::<S>(self, plane)?,
            access: self,
            sample: PhantomData,
        })
    }
}

impl<S> fmt::Debug for PlaneView<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PlaneView").field(&self.shape).finish()
    }
}

impl<S> fmt::Debug for PlaneViewMut<'_, '_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PlaneViewMut").field(&self.shape).finish()
    }
}
