//! Importers of buffers.

use crate::fence::set::FenceSet;
use crate::image::buffer_desc::BufferDesc;
use crate::memory::backing::Backing;
use crate::memory::constraint::AccessConstraint;
use crate::memory::import_error::ImportError;

/// A device that can use dma-buf memory: a Vulkan device, a display card.
///
/// Implementations are cheap handles to shared state (an `Arc`). Each attachment keeps a clone.
pub trait Importer: Clone + Send + Sync + 'static {
    /// The device's object for a backing: an image, a framebuffer.
    type Object: Send + Sync + 'static;

    /// Name for reports and errors.
    fn name(&self) -> &str;

    /// Where memory must be and how an image must be laid out in it for this device to use it. Called
    /// once, at attach. A display that scans out only from certain memory states it here. The default
    /// is for a device that can use everything that it can import.
    fn constraint(&self, desc: &BufferDesc) -> AccessConstraint {
        let _ = desc;
        AccessConstraint::default()
    }

    /// Makes the device's object for a backing. The importer duplicates the descriptors that it
    /// keeps. On error it leaves no descriptor, handle or memory behind.
    ///
    /// The importer checks everything before it calls the driver, because drivers check little.
    ///
    /// # Errors
    /// [`ImportError`] by cause.
    fn import(&self, desc: &BufferDesc, backing: &Backing) -> Result<Self::Object, ImportError>;

    /// Takes back an object that no mapping holds any more, to destroy it once `after` is over. Must
    /// not block: put the object on a [`RetireQueue`](crate::RetireQueue), or destroy it at once if the
    /// fences are over.
    fn retire(&self, object: Self::Object, after: FenceSet);
}
