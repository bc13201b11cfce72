//! The device as an importer of images.

use std::sync::Arc;

use dmashare::{AccessConstraint, Backing, BufferDesc, FenceSet, ImportError, Importer};

use crate::device::Device;
use crate::device::retired::Retired;
use crate::image::Image;
use crate::image::shared_image::SharedImage;

impl Device {
    /// The device's image for a backing: the image it exported if it made the memory for such a
    /// description, otherwise an import.
    fn import_image(&self, desc: &BufferDesc, backing: &Backing) -> Result<Image, ImportError> {
        let own = backing
            .origin::<SharedImage>()
            .filter(|image| Arc::ptr_eq(&image.core, self.core()) && image.serves(desc));
        if let Some(inner) = own {
            return Ok(Image { inner });
        }
        let inner = self
            .core()
            .import_dmabuf(desc, backing.dmabuf(), backing.placement())?;
        Ok(Image { inner })
    }
}

impl Importer for Device {
    type Object = Image;

    fn name(&self) -> &str {
        &self.core().name
    }

    /// No demand, except for a device without dma-bufs
    /// ([`PhysicalDevice::imports_by_host_pointer`](crate::PhysicalDevice::imports_by_host_pointer)),
    /// which demands linear images in host memory with its driver's stride.
    fn constraint(&self, desc: &BufferDesc) -> AccessConstraint {
        self.core().host_pointer_constraint(desc)
    }

    fn import(&self, desc: &BufferDesc, backing: &Backing) -> Result<Image, ImportError> {
        self.check_not_lost(|name, result| ImportError::Device {
            importer: name.to_owned(),
            operation: "vkCreateImage",
            source: result.into(),
        })?;
        self.import_image(desc, backing)
    }

    fn retire(&self, object: Image, after: FenceSet) {
        self.retire_object(Retired::Image(object), after);
    }
}
