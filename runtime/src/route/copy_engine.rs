//! Engines that copy a buffer to its shadow.

use std::fmt;

use crate::ids::AttachmentId;
use crate::image::buffer_desc::Usage;
use crate::image::damage::Damage;
use crate::route::error::CopyError;
use crate::shared_buffer::SharedBuffer;

/// Copies parts of one buffer to another, for example with a transfer queue or the CPU.
pub trait CopyEngine: Send + Sync + fmt::Debug {
    /// Name of the engine, for reports.
    fn name(&self) -> &str;

    /// The usage that the shadow's description must have so that the engine can write it.
    fn shadow_usage(&self) -> Usage;

    /// Attaches the engine to both buffers, if they are two images of the same format and extent
    /// ([`check_alike`]). The engine follows them when they move.
    ///
    /// # Errors
    /// [`CopyError`] by cause. Nothing stays attached then.
    fn connect(
        &self,
        source: &SharedBuffer,
        shadow: &SharedBuffer,
    ) -> Result<Box<dyn Copier>, CopyError>;
}

/// Checks that two buffers can be connected by a [`CopyEngine`].
///
/// # Errors
/// [`CopyError::Mismatch`]: they differ in format or extent, or share memory.
pub fn check_alike(source: &SharedBuffer, shadow: &SharedBuffer) -> Result<(), CopyError> {
    let image = |buffer: &SharedBuffer| (buffer.desc().format, buffer.desc().extent);
    let (from, to) = (source.backing(), shadow.backing());
    if image(source) == image(shadow) && !from.dmabuf().shares_memory_with(to.dmabuf()) {
        return Ok(());
    }
    Err(CopyError::Mismatch {
        buffer: source.desc().name.clone(),
        shadow: shadow.desc().name.clone(),
    })
}

/// An engine that is attached to a buffer and its shadow.
pub trait Copier: Send + Sync {
    /// Copies the damaged parts. The copy waits for all writers of the source and all users of the
    /// shadow, and counts as a read of the source and a write of the shadow, so that later uses of
    /// both wait for it. Returns the size of the damaged parts' pixels in bytes. The caller holds no
    /// reservation.
    ///
    /// # Errors
    /// [`CopyError`] by cause. Some of the damage may have been copied then.
    fn copy(&self, damage: &Damage) -> Result<u64, CopyError>;

    /// The engine's attachment to the shadow, the only one that may write it.
    fn writer(&self) -> AttachmentId;
}
