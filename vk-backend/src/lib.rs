//! vk-backend
