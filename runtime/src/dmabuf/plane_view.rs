//! Views of a plane as rows of samples.

use std::fmt;
use std::marker::PhantomData;

use crate::dmabuf::cpu_access::CpuAccess;
use crate::dmabuf::cpu_access_error::CpuAccessError;

mod sealed {
    pub trait Sealed {}
}

/// A number stored in a plane: `u8`, `u16`, `u32` or `u64`, little-endian as in all DRM formats.
pub trait Sample: sealed::Sealed + Copy + Default + fmt::Debug + Send + Sync + 'static {
    /// Size in bytes.
    const BYTES: usize;

    /// Converts from [`BYTES`](Self::BYTES) bytes of a plane.
    fn from_plane(bytes: &[u8]) -> Self;

    /// Converts to [`BYTES`](Self::BYTES) bytes of a plane.
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

/// Bytes that are converted at a time between a plane and samples, on the stack.
const CHUNK: usize = 512;

/// A view of a plane for reading, as rows of `S`. Made by [`CpuAccess::plane`].
///
/// Samples are copied out, because a reference to memory that a device may write is unsound. A read
/// during a write by a device returns a mixture of old and new bytes, never an invalid value.
///
/// The number of samples in a row depends on `S`. The chroma plane of `NV12` has two `u8` or one `u16`
/// for each pair of pixels.
pub struct PlaneView<'a, S> {
    access: &'a CpuAccess<'a>,
    shape: Shape,
    sample: PhantomData<S>,
}

/// A view of a plane for reading and writing, as rows of `S`. Made by [`CpuAccess::plane_mut`].
///
/// Samples are copied in and out, as for [`PlaneView`].
pub struct PlaneViewMut<'a, 'm, S> {
    access: &'a mut CpuAccess<'m>,
    shape: Shape,
    sample: PhantomData<S>,
}

/// The size of a plane in samples.
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

    /// Returns the offset in the row, in bytes, of a run of samples that is inside the row. Saturates on
    /// overflow, so that such a run is refused.
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

    /// Copies samples of a row, starting at index `from`, to fill `destination`.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: no such row, or the row has too few samples.
    pub fn read(&self, row: u32, from: usize, destination: &mut [S]) -> Result<(), CpuAccessError> {
        read(self.access, self.shape, row, from, destination)
    }

    /// Reads one sample.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: no such row or sample.
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

    /// Copies samples of a row; see [`PlaneView::read`].
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: no such row, or the row has too few samples.
    pub fn read(&self, row: u32, from: usize, destination: &mut [S]) -> Result<(), CpuAccessError> {
        read(self.access, self.shape, row, from, destination)
    }

    /// Copies `source` into a row, starting at index `from`. Writes nothing on error.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: no such row, or the row has too few samples.
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

    /// Fills a whole row with one sample.
    ///
    /// # Errors
    /// [`CpuAccessError::OutOfBounds`]: no such row.
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
    /// Returns a view of a plane for reading, as rows of `S`.
    ///
    /// # Errors
    /// - [`CpuAccessError::OutOfBounds`]: no such plane.
    /// - [`CpuAccessError::SampleSize`]: the plane's sample is not a whole number of `S`.
    pub fn plane<S: Sample>(&self, plane: usize) -> Result<PlaneView<'_, S>, CpuAccessError> {
        Ok(PlaneView {
            shape: Shape::of::<S>(self, plane)?,
            access: self,
            sample: PhantomData,
        })
    }

    /// Returns a view of a plane for reading and writing, as rows of `S`.
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
