//! What a card's driver can do.

use dmashare::Extent;

/// What the driver says of itself (`DRM_IOCTL_GET_CAP` and the resources of mode setting).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Framebuffers are made with explicit modifiers (`DRM_CAP_ADDFB2_MODIFIERS`). Without it only
    /// LINEAR is accepted.
    pub addfb2_modifiers: bool,
    /// Foreign dma-bufs can be imported (`DRM_PRIME_CAP_IMPORT`).
    pub prime_import: bool,
    /// Its own buffers can be exported as dma-bufs (`DRM_PRIME_CAP_EXPORT`).
    pub prime_export: bool,
    /// It makes dumb buffers (`DRM_CAP_DUMB_BUFFER`).
    pub dumb_buffer: bool,
    /// The times of events are of `CLOCK_MONOTONIC` (`DRM_CAP_TIMESTAMP_MONOTONIC`).
    pub timestamp_monotonic: bool,
    /// Smallest framebuffer.
    pub minimum_extent: Extent,
    /// Largest framebuffer.
    pub maximum_extent: Extent,
}
