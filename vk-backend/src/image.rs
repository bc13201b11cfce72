//! A shared image on this device: exported by it, or imported into it.

pub(crate) mod copy_image;
pub(crate) mod device_memory;
pub(crate) mod export;
pub(crate) mod exported_planes;
pub(crate) mod first_release_state;
pub(crate) mod import;
pub(crate) mod import_host_pointer;
pub(crate) mod probe_memory_planes;
pub(crate) mod shared_image;
pub(crate) mod ycbcr;

use std::sync::Arc;

use ash::vk;
use dmashare::{Extent, Fourcc, Modifier};

use crate::core::barrier::{Side, acquire_image, release_image};
use crate::image::shared_image::SharedImage;

/// A shared image as a [`Device`](crate::Device) sees it; this is what `mapping.object()` returns.
///
/// It has one mip level and one array layer. Between submissions, the foreign queue family owns it:
/// every command buffer that reads or writes it begins with [`acquire`](Self::acquire) and ends
/// with [`release`](Self::release). In between, the image is in layout `GENERAL`. All attachments
/// of the device that exported it share one `VkImage`.
#[derive(Debug)]
pub struct Image {
    pub(crate) inner: Arc<SharedImage>,
}

impl Image {
    /// The `VkImage`, which this library destroys. The application may create its own views of it
    /// in the view formats of the description and, with `srgb_views`, in
    /// [`vk_srgb_format`](crate::vk_srgb_format).
    pub fn raw(&self) -> vk::Image {
        self.inner.raw
    }

    /// A view of the whole image in its own format, with the identity swizzle, as attachments and
    /// storage images need it. `None` if the usage allows no view (copies only), and for formats of
    /// luma and chroma, for which the application chooses the conversion.
    pub fn view(&self) -> Option<vk::ImageView> {
        let view = self.inner.view;
        (view != vk::ImageView::null()).then_some(view)
    }

    /// A view to sample from. It is [`view`](Self::view), except for formats whose fourth component
    /// is unused (`XRGB8888`), where it reads 1 as alpha.
    pub fn sampled_view(&self) -> Option<vk::ImageView> {
        let view = self.inner.sampled_view;
        (view != vk::ImageView::null())
            .then_some(view)
            .or_else(|| self.view())
    }

    /// The pixel format.
    pub fn format(&self) -> Fourcc {
        self.inner.plan.fourcc
    }

    /// The Vulkan format.
    pub fn vk_format(&self) -> vk::Format {
        self.inner.plan.format
    }

    /// The usage the image was created with.
    pub fn usage(&self) -> vk::ImageUsageFlags {
        self.inner.plan.usage
    }

    /// The size in pixels.
    pub fn extent(&self) -> Extent {
        self.inner.plan.extent
    }

    /// The DRM format modifier.
    pub fn modifier(&self) -> Modifier {
        self.inner.modifier
    }

    fn side(&self, stage: vk::PipelineStageFlags2, access: vk::AccessFlags2) -> Side {
        Side {
            family: self.inner.core.queue_family,
            stage,
            access,
        }
    }

    /// The barrier with which a command buffer acquires the image before the given stages access
    /// it. It preserves the content.
    pub fn acquire(
        &self,
        dst_stage: vk::PipelineStageFlags2,
        dst_access: vk::AccessFlags2,
    ) -> vk::ImageMemoryBarrier2<'static> {
        let foreign = self.inner.core.foreign_family();
        acquire_image(self.inner.raw, foreign, self.side(dst_stage, dst_access))
    }

    /// The barrier with which a command buffer releases the image after the given stages have
    /// accessed it.
    pub fn release(
        &self,
        src_stage: vk::PipelineStageFlags2,
        src_access: vk::AccessFlags2,
    ) -> vk::ImageMemoryBarrier2<'static> {
        let foreign = self.inner.core.foreign_family();
        let own = self.side(src_stage, src_access);
        release_image(self.inner.raw, foreign, own, vk::ImageLayout::GENERAL)
    }
}
