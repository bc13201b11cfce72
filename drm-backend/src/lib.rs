//! drm-backend
