//! Dumb buffers: linear buffers of KMS drivers and vgem.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use dmashare::{
    Allocation, BufferDesc, DmaBuf, DmaBufMemory, ExportError, Exporter, FormatInfo, LayoutError,
    Modifier, Placement, PlaneLayout,
};
use drm::DriverCapability;
use smallvec::SmallVec;

use crate::device::gem::GemHandle;
use crate::device::node::Node;
use crate::device::{DrmDevice, PRIME_CAP_EXPORT, master};
use crate::error::OpenError;
use crate::sys::mode;

/// Alignment of the offsets and strides of chroma planes, in bytes.
const CHROMA_ALIGNMENT: u64 = 64;

/// An exporter of dumb buffers (`DRM_IOCTL_MODE_CREATE_DUMB`). Clones share the open device.
///
/// Dumb buffers are linear and CPU-accessible. Rendering to them with a GPU is slow or impossible, so
/// they are for software rendering and tests.
#[derive(Clone, Debug)]
pub struct DumbBuffers {
    device: Arc<DrmDevice>,
}

impl DumbBuffers {
    pub(crate) fn new(device: Arc<DrmDevice>) -> Self {
        Self { device }
    }

    /// Opens a primary node for its dumb buffers only; the device need not have displays. This does not
    /// become DRM master and does not prevent other processes from becoming master.
    ///
    /// # Errors
    /// - [`OpenError::Open`]: the file cannot be opened.
    /// - [`OpenError::NotDrm`]: the file is not a DRM device.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let device = DrmDevice::open(path.as_ref())?;
        if master::is_master(&device) {
            // The kernel makes the first opener of a card its master.
            master::release(&device).map_err(|source| device.error("DROP_MASTER", source))?;
        }
        Ok(Self::new(Arc::new(device)))
    }

    /// Opens the first device with this driver, such as "vgem".
    ///
    /// # Errors
    /// Same as [`open`](Self::open), and [`OpenError::NoDriver`] if no device uses this driver.
    pub fn of_driver(driver: &str) -> Result<Self, OpenError> {
        match Node::of_driver(driver).first() {
            Some(node) => Self::open(node.path()),
            None => Err(OpenError::NoDriver {
                driver: driver.to_owned(),
            }),
        }
    }

    /// Number of GEM handles that are open on this file; 0 between calls.
    pub fn open_gem_handles(&self) -> usize {
        self.device.gem().len()
    }

    fn check(&self, desc: &BufferDesc) -> Result<&'static FormatInfo, ExportError> {
        desc.validate()?;
        let missing = |missing| ExportError::MissingFeature {
            exporter: self.device.name().to_owned(),
            missing,
        };
        if self.device.capability(DriverCapability::DumbBuffer) == Some(0) {
            return Err(missing("DRM_CAP_DUMB_BUFFER"));
        }
        let prime = self.device.capability(DriverCapability::Prime);
        if prime.is_some_and(|prime| prime & PRIME_CAP_EXPORT == 0) {
            return Err(missing("DRM_PRIME_CAP_EXPORT"));
        }
        desc.format.info().ok_or_else(|| {
            LayoutError::UnknownFormat {
                format: desc.format,
            }
            .into()
        })
    }

    fn error(&self, operation: &'static str, source: io::Error) -> ExportError {
        ExportError::Device {
            exporter: self.device.name().to_owned(),
            operation,
            source: source.into(),
        }
    }
}

impl Exporter for DumbBuffers {
    fn name(&self) -> &str {
        self.device.name()
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        self.check(desc)?;
        Ok(vec![Modifier::LINEAR])
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        let info = self.check(desc)?;
        if !modifiers.contains(&Modifier::LINEAR) {
            return Err(ExportError::UnsupportedModifier {
                exporter: self.device.name().to_owned(),
                format: desc.format,
                asked: modifiers.to_vec(),
                offered: vec![Modifier::LINEAR],
            });
        }
        let too_large = || self.error("MODE_CREATE_DUMB", io::ErrorKind::InvalidInput.into());
        let rows = dumb_rows(info, desc).ok_or_else(too_large)?;
        let bits = u32::from(info.planes[0].bytes_per_sample) * 8;
        let (handle, pitch, size) =
            GemHandle::create_dumb(&self.device, desc.extent.width, rows, bits)
                .map_err(|source| self.error("MODE_CREATE_DUMB", source))?;
        let flags = drm_ffi::DRM_CLOEXEC | drm_ffi::DRM_RDWR;
        let fd = mode::export_prime(self.device.as_fd(), handle.raw(), flags)
            .map_err(|source| self.error("PRIME_HANDLE_TO_FD", source))?;
        // The dma-buf holds the memory. Keeping the handle would interfere with a later import.
        drop(handle);
        let memory = DmaBufMemory::new(fd)?;
        let planes = layout(info, desc, pitch);
        let dmabuf = DmaBuf::from_memories(
            desc.format,
            desc.extent,
            Modifier::LINEAR,
            &planes,
            [memory],
        )?;
        tracing::debug!(buffer = desc.name, pitch, size, "dumb buffer");
        Ok(Allocation::new(dmabuf, Placement::Host, Arc::new(())))
    }
}

/// Number of rows of the dumb buffer: those of the first plane, plus enough for the other planes.
fn dumb_rows(info: &FormatInfo, desc: &BufferDesc) -> Option<u32> {
    let first = info.planes[0];
    let row = first.row_bytes(desc.extent.width);
    let mut behind = 0_u64;
    for plane in &info.planes[1..] {
        let stride = chroma_stride(plane.row_bytes(desc.extent.width));
        let bytes = stride.checked_mul(plane.rows(desc.extent.height).into())?;
        behind = behind.checked_add(bytes)?.checked_add(CHROMA_ALIGNMENT)?;
    }
    let rows = u64::from(first.rows(desc.extent.height)).checked_add(behind.div_ceil(row))?;
    u32::try_from(rows).ok()
}

fn chroma_stride(row: u64) -> u64 {
    row.next_multiple_of(CHROMA_ALIGNMENT)
}

/// Layout of consecutive planes. The first plane has the driver's pitch.
fn layout(info: &FormatInfo, desc: &BufferDesc, pitch: u32) -> SmallVec<[PlaneLayout; 4]> {
    let mut planes = SmallVec::new();
    let mut offset = 0_u64;
    for (index, plane) in info.planes.iter().enumerate() {
        let stride = match index {
            0 => pitch,
            // This does not overflow: `dumb_rows` has counted the rows of the whole buffer in 32 bits.
            _ => {
                u32::try_from(chroma_stride(plane.row_bytes(desc.extent.width))).unwrap_or(u32::MAX)
            }
        };
        planes.push(PlaneLayout {
            memory: 0,
            offset,
            stride,
        });
        let bytes = u64::from(stride) * u64::from(plane.rows(desc.extent.height));
        offset = (offset + bytes).next_multiple_of(CHROMA_ALIGNMENT);
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmashare::{Extent, Layout, Usage};

    #[test]
    fn every_format_fits_into_the_rows_that_are_asked_for() {
        for info in FormatInfo::all() {
            for (width, height) in [(1, 1), (333, 77), (10, 10), (1920, 1080)] {
                let extent = Extent::new(width, height);
                let desc = BufferDesc::new("dumb", extent, info.fourcc, Usage::SCANOUT);
                let rows = dumb_rows(info, &desc).unwrap();
                // The smallest pitch that a driver may choose, and one with padding.
                let row = u32::try_from(info.planes[0].row_bytes(width)).unwrap();
                for pitch in [row, row.next_multiple_of(256)] {
                    let planes = layout(info, &desc, pitch);
                    let size = u64::from(pitch) * u64::from(rows);
                    Layout::new(info.fourcc, extent, Modifier::LINEAR, &planes, &[size])
                        .unwrap_or_else(|error| panic!("{info:?} {extent}: {error}"));
                }
            }
        }
    }
}
