//! Who uses buffers.

use crate::fence::set::FenceSet;
use crate::image::buffer_desc::BufferDesc;
use crate::memory::backing::Backing;
use crate::memory::constraint::AccessConstraint;
use crate::memory::import_error::ImportError;

/// A device that can use dma-buf memory: a Vulkan device, a display card.
///
/// Implementations are cheap handles of something shared (an `Arc` inside): an attachment keeps a
/// clone.
pub trait Importer: Clone + Send + Sync + 'static {
    /// The device's own object for a backing: an image, a framebuffer.
    type Object: Send + Sync + 'static;

    /// Who this is, for reports and errors.
    fn name(&self) -> &str;

    /// Where memory must be and how an image must lie in it for this device to use it. Asked once,
    /// at attach. A display that scans out from some memory only says it here; a device that can
    /// use all that it can import says nothing.
    fn constraint(&self, desc: &BufferDesc) -> AccessConstraint {
        let _ = desc;
        AccessConstraint::default()
    }

    /// Makes the device's object for a backing. The importer duplicates the descriptors that it
    /// keeps. On error nothing is left behind: no descriptor, no handle, no memory.
    ///
    /// Everything is checked before the driver sees it, because drivers check little.
    ///
    /// # Errors
    /// [`ImportError`] by cause.
    fn import(&self, desc: &BufferDesc, backing: &Backing) -> Result<Self::Object, ImportError>;

    /// Takes back an object that no mapping holds any more, to be destroyed once the fences are
    /// over. Must not block: it puts the object on a [`RetireQueue`](crate::RetireQueue), or
    /// destroys it at once if the fences are over already.
    fn retire(&self, object: Self::Object, after: FenceSet);
}
