//! Images in host memory, for a driver that imports pointers but no dma-bufs.
//!
//! A CPU renderer may lack `VK_EXT_external_memory_dma_buf` and have `VK_EXT_external_memory_host`,
//! as SwiftShader does. For such a driver, a linear dma-buf is mapped into the process and imported
//! by its address ([`MappedMemory`]). The import cannot pass a `VkSubresourceLayout`: the driver
//! uses its own layout for a linear image, and the buffer must have the same.
//! [`Device::constraint`] demands that. A buffer that can move is moved to fit, and any other gets
//! a shadow ([`dmashare::route`]) with the driver's stride.
//!
//! There is no `DMA_BUF_IOCTL_SYNC` around the driver's accesses. So this is only for devices of
//! type CPU, for host pages, and for machines where all devices snoop the CPU's caches: elsewhere
//! the driver might not see what a device has written.
//!
//! [`Device::constraint`]: dmashare::Importer::constraint

use std::io;
use std::sync::Arc;

use dmashare::{
    AccessConstraint, BufferDesc, DmaBuf, DmaBufError, DmaBufMemory, ImportError, MappedMemory,
    Modifier, Placement,
};
use nix::errno::Errno;

use crate::core::device_core::DeviceCore;
use crate::error::UnfitForPointer;
use crate::failure::Failure;
use crate::image::device_memory::{DeviceMemory, choose_type, types_of_pointer};
use crate::image::shared_image::{Arrangement, SharedImage};
use crate::physical_device::extensions::EXTERNAL_MEMORY_DMA_BUF;
use crate::physical_device::host_pointer_support::PLACEMENTS;
use crate::physical_device::image_plan::ImagePlan;
use crate::physical_device::modifier_support::ModifierSupport;

impl DeviceCore {
    /// The constraint on memory that the driver imports by pointer; no demand for a device that
    /// imports dma-bufs. Creates an image without memory to query the driver's layout.
    pub(crate) fn host_pointer_constraint(self: &Arc<Self>, desc: &BufferDesc) -> AccessConstraint {
        if self.functions.memory_host.is_none() {
            return AccessConstraint::default();
        }
        let mut constraint = AccessConstraint::placements(PLACEMENTS);
        constraint.modifiers = Some(vec![Modifier::LINEAR]);
        constraint.stride = self.linear_stride(desc);
        let rows = match constraint.stride {
            Some(stride) => format!(", with a stride of exactly {stride} bytes"),
            None => String::new(),
        };
        let because = format!(
            "{} lacks {} and imports linear images in {PLACEMENTS} by pointer instead{rows}",
            self.name, EXTERNAL_MEMORY_DMA_BUF.text,
        );
        constraint.because = Some(because.into());
        constraint
    }

    /// The driver's stride for a linear image in bytes; `None` if it cannot make such an image. The
    /// import tries again and reports the error.
    fn linear_stride(self: &Arc<Self>, desc: &BufferDesc) -> Option<u32> {
        let plan = ImagePlan::new(desc)?;
        let supports = self.physical.modifier_supports(&plan).ok()?;
        let is_large_enough =
            |support: &ModifierSupport| support.importable && desc.extent.fits(support.max_extent);
        supports.iter().find(|support| is_large_enough(support))?;
        let image = SharedImage::create(self, &plan, &Arrangement::HostPointer).ok()?;
        u32::try_from(image.linear_layout().row_pitch).ok()
    }

    /// Maps the memory, creates the image and imports the pages. A failed step undoes the previous
    /// ones.
    pub(crate) fn import_host_pointer(
        self: &Arc<Self>,
        functions: &ash::ext::external_memory_host::Device,
        plan: &ImagePlan,
        dmabuf: &DmaBuf,
        placement: Placement,
    ) -> Result<Arc<SharedImage>, ImportError> {
        let failed = |failure: Failure| failure.import(&self.name);
        let unfit = |unfit: UnfitForPointer| unfit.import(&self.name);
        if !PLACEMENTS.has(placement) {
            return Err(ImportError::Unreachable {
                importer: self.name.clone(),
                placement,
                reason: format!("it imports by pointer, and only from {PLACEMENTS}"),
            });
        }
        let (memory, plane) = (&dmabuf.memories()[0], dmabuf.layout().planes()[0]);
        let mut image =
            SharedImage::create(self, plan, &Arrangement::HostPointer).map_err(failed)?;
        let (own, requirements) = (image.linear_layout(), image.requirements());
        if own.row_pitch != u64::from(plane.stride) {
            return Err(unfit(UnfitForPointer::Stride {
                stride: plane.stride,
                taken: own.row_pitch,
            }));
        }
        let offset = plane.offset.checked_sub(own.offset);
        let offset = offset
            .filter(|offset| offset.is_multiple_of(requirements.alignment.max(1)))
            .ok_or_else(|| {
                unfit(UnfitForPointer::Offset {
                    offset: plane.offset,
                    own: own.offset,
                    alignment: requirements.alignment,
                })
            })?;
        let mapping = map(&self.name, memory)?;
        let page = self.physical.host_pointer_alignment().max(1);
        if !mapping.address().addr().get().is_multiple_of(page) {
            return Err(unfit(UnfitForPointer::Address { alignment: page }));
        }
        // Imports whole pages only (VUID-VkMemoryAllocateInfo-allocationSize-01745). The mapping
        // may end within the last page.
        let size = mapping.size().get() / page * page;
        // The plane fits its memory, so the sum cannot overflow.
        let required = offset + requirements.size;
        if usize::try_from(required).map_or(true, |required| size < required) {
            return Err(ImportError::MemoryTooSmall {
                importer: self.name.clone(),
                required,
                actual: memory.size(),
            });
        }
        let importable = types_of_pointer(self, functions, mapping.address()).map_err(failed)?;
        let memory_type = choose_type(
            self.physical.memory_types(),
            requirements.memory_type_bits & importable,
            &[],
        )
        .ok_or_else(|| ImportError::Unreachable {
            importer: self.name.clone(),
            placement,
            reason: format!(
                "no memory type serves both the image ({:#x}) and its pages ({importable:#x})",
                requirements.memory_type_bits
            ),
        })?;
        let memory =
            DeviceMemory::of_pointer(self, mapping, size as u64, memory_type).map_err(failed)?;
        image.bind_at(memory, offset).map_err(failed)?;
        image.create_views().map_err(failed)?;
        Ok(Arc::new(image))
    }
}

/// Maps a memory. A dma-buf that does not support mmap, or not for writing, is refused for good; a
/// lack of room may pass.
fn map(importer: &str, memory: &DmaBufMemory) -> Result<MappedMemory, ImportError> {
    MappedMemory::new(memory).map_err(|error| match error {
        DmaBufError::Os { operation, source } if is_unmappable(&source) => ImportError::Refused {
            importer: importer.to_owned(),
            operation,
            source: source.into(),
        },
        error => error.into(),
    })
}

/// Whether `dma_buf_mmap_internal` or mmap(2) says that a dma-buf does not support mmap or is open
/// read-only.
fn is_unmappable(error: &io::Error) -> bool {
    [Errno::EINVAL, Errno::EACCES, Errno::EPERM, Errno::ENODEV]
        .iter()
        .any(|errno| error.raw_os_error() == Some(*errno as i32))
}
