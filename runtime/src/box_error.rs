//! An error of a backend.

/// An error of a backend (a `vk::Result`, an errno of DRM). This crate passes it on without
/// interpreting it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
