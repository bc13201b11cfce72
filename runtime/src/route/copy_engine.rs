//! What copies a buffer to its shadow.

use std::fmt;

use crate::ids::AttachmentId;
use crate::image::buffer_desc::Usage;
use crate::image::damage::Damage;
use crate::route::error::CopyError;
use crate::shared_buffer::SharedBuffer;

/// Something that copies parts of one buffer to another: a transfer queue, the CPU.
pub trait CopyEngine: Send + Sync + fmt::Debug {
    /// Name of the engine, for reports.
    fn name(&self) -> &str;

    /// What the shadow must be described for, for the engine to write it.
    fn shadow_usage(&self) -> Usage;

    /// Attaches the engine to both buffers, which have one format and extent. It follows them when
    /// they move.
    ///
    /// # Errors
    /// [`CopyError`] by cause; nothing is left behind.
    fn connect(
        &self,
        source: &SharedBuffer,
        shadow: &SharedBuffer,
    ) -> Result<Box<dyn Copier>, CopyError>;
}

/// An engine that is attached to a buffer and its shadow.
pub trait Copier: Send + Sync {
    /// Copies the damaged parts: behind everyone who writes the source or uses the shadow, as a read
    /// of the one and a write of the other, so that later uses of both wait for it. Returns how many
    /// bytes of pixels these parts have. No reservation is held.
    ///
    /// # Errors
    /// [`CopyError`] by cause. It may have copied some of it then, or nothing.
    fn copy(&self, damage: &Damage) -> Result<u64, CopyError>;

    /// Its attachment to the shadow, which is the only one that may write it.
    fn writer(&self) -> AttachmentId;
}
