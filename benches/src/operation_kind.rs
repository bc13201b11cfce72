//! Which operations there are, who does them, and in which suite they are measured.

use std::fmt;

use anyhow::{Result, bail};

use crate::{Machine, Opened, Size, floor, library, peers};

/// By whom an operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum By {
    /// By the library.
    Dmashare,
    /// By ash and ioctls alone.
    Floor,
    /// By the same with the library's named safeties: what they cost by themselves.
    CheckedFloor,
    /// By Smithay's allocators, renderer and DRM surfaces.
    Smithay,
    /// By Mesa's GBM.
    Gbm,
    /// By wgpu.
    Wgpu,
}

impl By {
    /// Those who are compared with the library: the peers.
    pub const PEERS: [Self; 3] = [Self::Smithay, Self::Gbm, Self::Wgpu];
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dmashare => "dmashare",
            Self::Floor => "floor",
            Self::CheckedFloor => "checked_floor",
            Self::Smithay => "smithay",
            Self::Gbm => "gbm",
            Self::Wgpu => "wgpu",
        })
    }
}

/// What is measured together, by one bench program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Memory becomes a dma-buf, a dma-buf becomes an image or a framebuffer, a display shows it.
    ExportImport,
    /// A buffer is moved out of the device's memory, and back.
    Eviction,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExportImport => "export_import",
            Self::Eviction => "eviction",
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
    /// A dma-buf that the device knows is asked for once more, as an image.
    KnownImport,
    /// A dma-buf becomes a framebuffer (PRIME import and ADDFB2), and goes.
    Framebuffer,
    /// A dma-buf that the card knows is asked for once more, as a framebuffer.
    KnownFramebuffer,
    /// A display that is on shows the next of three framebuffers: the commit, without waiting for it.
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
    pub const ALL: [Self; 9] = [
        Self::Export,
        Self::Import,
        Self::KnownImport,
        Self::Framebuffer,
        Self::KnownFramebuffer,
        Self::Flip,
        Self::KnownBuffer,
        Self::Eviction,
        Self::FreshEviction,
    ];

    /// The suite in which it is measured.
    pub fn suite(self) -> Suite {
        match self {
            Self::Export
            | Self::Import
            | Self::KnownImport
            | Self::Framebuffer
            | Self::KnownFramebuffer
            | Self::Flip
            | Self::KnownBuffer => Suite::ExportImport,
            Self::Eviction | Self::FreshEviction => Suite::Eviction,
        }
    }

    /// Who is asked to do it, the library first. Whoever cannot says why
    /// ([`Opened::Absent`]).
    pub fn sides(self) -> &'static [By] {
        match self.suite() {
            Suite::ExportImport if matches!(self, Self::Export | Self::Import) => &[
                By::Dmashare,
                By::Floor,
                By::CheckedFloor,
                By::Smithay,
                By::Gbm,
                By::Wgpu,
            ],
            Suite::ExportImport => &[By::Dmashare, By::Floor, By::Smithay, By::Gbm, By::Wgpu],
            Suite::Eviction => &[By::Dmashare, By::Floor],
        }
    }

    /// How many runs are timed together, so that reading the clock does not count: none where each
    /// run has to be waited for.
    pub fn runs_per_batch(self) -> usize {
        match self {
            Self::Export | Self::Flip | Self::Eviction | Self::FreshEviction => 1,
            Self::Import | Self::Framebuffer => 8,
            Self::KnownBuffer => library::BUFFERS,
            Self::KnownImport | Self::KnownFramebuffer => 1000,
        }
    }

    /// The sizes at which it is measured; for flips, those that the display has a mode for.
    ///
    /// # Errors
    /// When the display has none of them.
    pub fn sizes(self, machine: &Machine) -> Result<Vec<Size>> {
        if self != Self::Flip {
            return Ok(Size::COMMON.to_vec());
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
    pub fn open(self, by: By, machine: &Machine, size: Size) -> Result<Opened> {
        match by {
            By::Dmashare => library::open(self, machine, size),
            By::Floor => floor::open(self, machine, size),
            By::CheckedFloor => floor::open_checked(self, machine, size),
            By::Smithay | By::Gbm | By::Wgpu => peers::open(self, by, machine, size),
        }
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Export => "export",
            Self::Import => "import",
            Self::KnownImport => "known_import",
            Self::Framebuffer => "framebuffer",
            Self::KnownFramebuffer => "known_framebuffer",
            Self::Flip => "flip",
            Self::KnownBuffer => "known_buffer",
            Self::Eviction => "eviction",
            Self::FreshEviction => "fresh_eviction",
        })
    }
}
