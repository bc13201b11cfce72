//! The floor: what the operations cost without the library.
//!
//! Each is written straight against ash and the kernel's ioctls, as good code written by hand for one
//! program would be: the same dma-buf, the same modifier list, dedicated allocations, explicit
//! layouts, framebuffers with modifiers, atomic flips with an in-fence. What can be asked once is
//! asked once, when it is opened. It checks nothing that it was given.

pub mod operation;

mod copied_memory;
mod display;
mod export;
mod flip;
mod framebuffer;
mod gate;
mod image;
mod import;
mod modifiers;
mod signalled_fence;
mod submit;
mod vulkan;

pub use copied_memory::CopiedMemory;
pub use display::{Display, open_card};
pub use export::{Exported, Exporter, Plane};
pub use flip::Flips;
pub use framebuffer::{Framebuffer, Framebuffers};
pub use gate::Gate;
pub use image::Image;
pub use import::Importer;
pub use modifiers::{SupportedModifier, supported_modifiers};
pub use signalled_fence::signalled_fence;
pub use submit::Submitter;
pub use vulkan::{EXTENSIONS, Vulkan};
