//! Which operations there are.

use std::fmt;

use anyhow::{Result, bail};

use crate::{Machine, Operation, Size, floor, library};

/// By whom an operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// By the library.
    Dmashare,
    /// By ash and ioctls alone.
    Floor,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dmashare => "dmashare",
            Self::Floor => "floor",
        })
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum OperationKind {
    /// A Vulkan image is made, exported as a dma-buf, and freed.
    Export,
    /// A dma-buf is imported into a second Vulkan device for the first time, and freed.
    Import,
    /// A dma-buf becomes a framebuffer (PRIME import and ADDFB2), and goes.
    Framebuffer,
    /// A display that is on shows the other of two framebuffers: the commit, without waiting for it.
    Flip,
    /// A buffer that the device knows is used once more: map, submission, vkQueueSubmit2, commit. The
    /// floor is a bare vkQueueSubmit2.
    KnownBuffer,
    /// A buffer is moved out of the device's memory and back, into memory from the pool. The floor is
    /// a memcpy of its bytes, out and back.
    Eviction,
    /// The same into memory that is made for each move.
    FreshEviction,
}

impl OperationKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Export,
        Self::Import,
        Self::Framebuffer,
        Self::Flip,
        Self::KnownBuffer,
        Self::Eviction,
        Self::FreshEviction,
    ];

    /// How many runs are timed together, so that reading the clock does not count: none where each
    /// run has to be waited for.
    pub fn runs_per_batch(self) -> usize {
        match self {
            Self::Export | Self::Flip | Self::Eviction | Self::FreshEviction => 1,
            Self::Import | Self::Framebuffer => 8,
            Self::KnownBuffer => library::BUFFERS,
        }
    }

    /// The sizes at which it is measured; for flips, those that the display has a mode for.
    ///
    /// # Errors
    /// When the display has none of them.
    pub fn sizes(self, machine: &Machine) -> Result<Vec<Size>> {
        if self != Self::Flip {
            return Ok(vec![
                Size::new(256, 256),
                Size::new(1920, 1080),
                Size::new(3840, 2160),
            ]);
        }
        let display = floor::Display::find(machine.card_file()?)?;
        let modes = display.sizes();
        let common = [(1024, 768), (1920, 1080), (3840, 2160), (4096, 2160)];
        let sizes: Vec<_> = common
            .into_iter()
            .filter(|size| modes.contains(size))
            .map(|(width, height)| Size::new(width, height))
            .collect();
        if sizes.is_empty() {
            bail!("the display has none of the sizes {common:?}, only {modes:?}");
        }
        Ok(sizes)
    }

    /// Gets the operation ready to run.
    ///
    /// # Errors
    /// When the machine lacks what it takes; it says what.
    pub fn open(self, by: By, machine: &Machine, size: Size) -> Result<Box<dyn Operation>> {
        Ok(match (self, by) {
            (Self::Export, By::Dmashare) => Box::new(library::Export::open(machine, size)?),
            (Self::Export, By::Floor) => Box::new(floor::operation::Export::open(machine, size)?),
            (Self::Import, By::Dmashare) => Box::new(library::Import::open(machine, size)?),
            (Self::Import, By::Floor) => Box::new(floor::operation::Import::open(machine, size)?),
            (Self::Framebuffer, By::Dmashare) => {
                Box::new(library::Framebuffer::open(machine, size)?)
            }
            (Self::Framebuffer, By::Floor) => {
                Box::new(floor::operation::Framebuffer::open(machine, size)?)
            }
            (Self::Flip, By::Dmashare) => Box::new(library::Flip::open(machine, size)?),
            (Self::Flip, By::Floor) => Box::new(floor::operation::Flip::open(machine, size)?),
            (Self::KnownBuffer, By::Dmashare) => {
                Box::new(library::KnownBuffer::open(machine, size)?)
            }
            (Self::KnownBuffer, By::Floor) => {
                Box::new(floor::operation::KnownBuffer::open(machine, size)?)
            }
            (Self::Eviction, By::Dmashare) => {
                Box::new(library::Eviction::open(machine, size, library::Pool::Kept)?)
            }
            (Self::FreshEviction, By::Dmashare) => {
                Box::new(library::Eviction::open(machine, size, library::Pool::None)?)
            }
            (Self::Eviction | Self::FreshEviction, By::Floor) => {
                Box::new(floor::operation::Eviction::open(machine, size)?)
            }
        })
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Export => "export",
            Self::Import => "import",
            Self::Framebuffer => "framebuffer",
            Self::Flip => "flip",
            Self::KnownBuffer => "known_buffer",
            Self::Eviction => "eviction",
            Self::FreshEviction => "fresh_eviction",
        })
    }
}
