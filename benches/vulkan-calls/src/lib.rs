//! A Vulkan layer that counts the calls that a program makes, by name, and a reader of its counts.
//!
//! The loader puts the layer between itself and the driver (or other layers), so it sees what a program
//! asks for, whoever opened the device, and not what drivers do among themselves. [`Counts`] says where
//! the counts are. Each function that a program can get is a [trampoline](trampolines): it adds one
//! and jumps on, with all arguments where they were, so no function's signature has to be known. Not
//! counted are `vkGetInstanceProcAddr` and `vkGetDeviceProcAddr`, which the loader itself calls, and
//! functions without an instance.
//!
//! The layer is for x86-64: elsewhere it refuses to be loaded.

mod counts;

#[cfg(target_arch = "x86_64")]
mod chain;
#[cfg(target_arch = "x86_64")]
mod layer;
#[cfg(target_arch = "x86_64")]
mod slots;
#[cfg(target_arch = "x86_64")]
pub mod trampolines;

pub use counts::{COUNTS_VARIABLE, Counts};

/// The layer's name, for `VK_INSTANCE_LAYERS`.
pub const LAYER: &str = "VK_LAYER_DMASHARE_calls";

/// The layer's file in the folder into which cargo built it: `deps` beside the programs that depend
/// on this package.
pub const LIBRARY: &str = "libdmashare_vulkan_calls.so";
