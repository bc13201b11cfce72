//! Errors of backends.

/// An error of a backend, such as a `vk::Result` or an errno of DRM. This crate passes it on without
/// interpreting it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
