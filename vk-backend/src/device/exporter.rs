//! The device as exporter of images.

use std::sync::Arc;
use std::time::Duration;

use dmashare::{Allocation, Backing, BufferDesc, ExportError, Exporter, Fence, Modifier};

use crate::device::Device;
use crate::image::export::Where;
use crate::image::shared_image::SharedImage;
use crate::physical_device::PhysicalDevice;

/// How long the export of an image for the CPU waits for the queue to reach its first release.
const FIRST_RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

impl Device {
    /// Makes an image with one of `modifiers` and exports it. Its first release is owed until it is
    /// used ([`Exporter::prepare`](dmashare::Exporter::prepare)), but for one that the CPU may touch.
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
            // Nobody is told when the CPU comes; what it writes must not be taken for undefined then.
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

/// An export submits nothing: see [`Exporter::prepare`] here. But if the description names the CPU among
/// its uses, the image is released at once, and that is waited for (ten seconds at most), because nobody
/// is told when the CPU comes.
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

    /// A new image leaves layout `UNDEFINED` here, at its first use, and is released to everyone: a
    /// submission of its own, which is not waited for. A thread that holds the queue
    /// ([`Device::queue`]) cannot be the first to use an image.
    fn prepare(&self, backing: &Backing) -> Result<Option<Fence>, ExportError> {
        match backing.origin::<SharedImage>() {
            Some(image) if Arc::ptr_eq(&image.core, self.core()) => self.release_first(&image),
            _ => Ok(None),
        }
    }
}
