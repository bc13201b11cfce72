//! The device as an exporter of images.

use std::sync::Arc;
use std::time::Duration;

use dmashare::{Allocation, Backing, BufferDesc, ExportError, Exporter, Fence, Modifier};

use crate::device::Device;
use crate::image::export::Where;
use crate::image::shared_image::SharedImage;
use crate::physical_device::PhysicalDevice;

/// How long the export of an image for the CPU waits for its first release.
const FIRST_RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

impl Device {
    /// Creates an image with one of `modifiers` and exports it. Its first release happens at its
    /// first use ([`Exporter::prepare`](dmashare::Exporter::prepare)), or here if the CPU may
    /// access it.
    fn export_image(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        let (plan, supports) = self.core().exportable(desc)?;
        let exported = self
            .core()
            .create_exported(&plan, &supports, modifiers, Where::Anywhere)?;
        if plan.cpu
            && let Some(fence) = self.release_first(&exported.image)?
        {
            // CPU accesses are not announced. The release must come before the first one, or it
            // could discard what the CPU has written.
            let released = fence.wait(FIRST_RELEASE_TIMEOUT);
            released.map_err(|error| ExportError::Device {
                exporter: self.core().name.clone(),
                operation: "vkWaitSemaphores",
                source: error.into(),
            })?;
        }
        tracing::debug!(
            device = self.core().name,
            buffer = desc.name,
            inode = exported.dmabuf.id().inode(),
            modifier = %exported.dmabuf.layout().modifier(),
            "image exported"
        );
        Ok(Allocation::new(
            exported.dmabuf,
            exported.placement,
            exported.image,
        ))
    }
}

/// An export submits nothing: see [`Exporter::prepare`] here. Only if the description names the CPU
/// among its uses is the image released at once, with a wait of up to ten seconds, because CPU
/// accesses are not announced.
impl Exporter for Device {
    fn name(&self) -> &str {
        &self.core().name
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        let (_, supports) = self.core().exportable(desc)?;
        Ok(PhysicalDevice::modifier_values(&supports))
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        self.check_not_lost(|name, result| ExportError::Device {
            exporter: name.to_owned(),
            operation: "vkCreateImage",
            source: result.into(),
        })?;
        self.export_image(desc, modifiers)
    }

    /// At its first use, a new image leaves layout `UNDEFINED` and is released to all other
    /// devices. This is a submission of its own, which this call does not wait for. A thread that
    /// holds the queue ([`Device::queue`]) cannot be the first to use an image.
    fn prepare(&self, backing: &Backing) -> Result<Option<Fence>, ExportError> {
        match backing.origin::<SharedImage>() {
            Some(image) if Arc::ptr_eq(&image.core, self.core()) => self.release_first(&image),
            _ => Ok(None),
        }
    }
}
