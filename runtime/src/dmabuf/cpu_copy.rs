//! Copies between images by the CPU.

use crate::dmabuf::cpu_access::CpuAccess;
use crate::dmabuf::cpu_access_error::CpuAccessError;
use crate::image::damage::Damage;

impl CpuAccess<'_> {
    /// Copies the damaged parts of every plane to another image of the same format and extent, and
    /// returns the number of bytes copied. Damage is widened to whole samples where chroma is
    /// subsampled. Rows are copied directly from memory to memory.
    ///
    /// # Errors
    /// - [`CpuAccessError::Mismatch`]: the images differ in format or extent.
    /// - [`CpuAccessError::ReadOnly`]: the target's access was begun for reading.
    pub fn copy_to(
        &self,
        target: &mut CpuAccess<'_>,
        damage: &Damage,
    ) -> Result<u64, CpuAccessError> {
        target.check_writable()?;
        let (format, extent) = (self.dmabuf().format(), self.dmabuf().extent());
        if (target.dmabuf().format(), target.dmabuf().extent()) != (format, extent) {
            return Err(CpuAccessError::Mismatch);
        }
        let planes = format.info().map_or(&[][..], |info| info.planes);
        let mut copied = 0;
        for piece in damage.within(extent) {
            for (plane, info) in planes.iter().enumerate() {
                let samples = info.samples(piece);
                let sample_bytes = usize::from(info.bytes_per_sample);
                let columns = index(samples.x.unsigned_abs())..index(samples.right_edge());
                let skipped = columns.start * sample_bytes;
                let bytes = columns.len() * sample_bytes;
                for row in samples.y.unsigned_abs()..samples.lower_edge() {
                    let (from, from_offset) = self.locate(plane, row, skipped, bytes)?;
                    let (to, to_offset) = target.locate(plane, row, skipped, bytes)?;
                    let source = self.mapping.get().memory(from);
                    let target = target.mapping.get_mut().memory_mut(to);
                    source.copy_to(from_offset, target, to_offset, bytes);
                    copied += bytes as u64;
                }
            }
        }
        Ok(copied)
    }
}

/// Converts a coordinate inside an image, which is addressable.
fn index(coordinate: u32) -> usize {
    usize::try_from(coordinate).unwrap_or(usize::MAX)
}
