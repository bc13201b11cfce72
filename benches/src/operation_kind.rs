//! Which operations there are, who does them, and in which suite they are measured.

use std::fmt;

use anyhow::{Result, bail};

use crate::{Machine, Opened, Parameter, Size, floor, library, peers};

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
    /// What the library does at an export, a first import and a first use beyond its floor, each by
    /// itself.
    Safeties,
    /// Memory becomes a dma-buf, a dma-buf becomes an image or a framebuffer, a display shows it.
    ExportImport,
    /// A buffer is moved out of the device's memory, and back.
    Eviction,
    /// A frame goes from one device to another: nothing is copied.
    Handoff,
    /// A frame is copied: what sharing replaces.
    Copy,
    /// Fences are made, merged, waited for, and given to another device.
    Fences,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safeties => "safeties",
            Self::ExportImport => "export_import",
            Self::Eviction => "eviction",
            Self::Handoff => "handoff",
            Self::Copy => "copy",
            Self::Fences => "fences",
        })
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum OperationKind {
    /// A Vulkan image is made, exported as a dma-buf, and freed.
    Export,
    /// An image that was exported just now is mapped for the first time, by the device that made it: it
    /// leaves layout `UNDEFINED` and is released to everyone. The floor submits that. The end of the
    /// work is not waited for.
    FirstUse,
    /// A descriptor is looked at, whether it can be a dma-buf, and which one, with how many bytes: fstat.
    CheckDescriptor,
    /// A descriptor is duplicated, and closed: fcntl, close.
    KeepDescriptor,
    /// A dma-buf is given a name: DMA_BUF_SET_NAME.
    NameDmabuf,
    /// A dma-buf is imported into a second Vulkan device for the first time, and freed.
    Import,
    /// A dma-buf that the device knows is asked for once more, as an image.
    KnownImport,
    /// A dma-buf becomes a framebuffer (PRIME import and ADDFB2), and goes.
    Framebuffer,
    /// A dma-buf that the card knows is asked for once more, as a framebuffer.
    KnownFramebuffer,
    /// A display that is on shows another of three framebuffers: the commit, without waiting for it.
    Flip,
    /// A buffer that the device knows is used once more: map, submission, vkQueueSubmit2, commit. The
    /// floor is a bare vkQueueSubmit2.
    KnownBuffer,
    /// A buffer is moved out of the device's memory and back, into memory from the pool. The floor is
    /// a memcpy of its bytes, out and back.
    Eviction,
    /// The same into memory that is made for each move.
    FreshEviction,
    /// One of three buffers goes from a Vulkan device to another of the same process: the one submits
    /// commands with the barriers of a write, the other those of a read that waits for the first, and
    /// the end of the reading is waited for. No pixel is touched. So a run is a frame's whole latency,
    /// and frames in a second are 1 divided by its time.
    Handoff,
    /// The same to a device of another process, through a socket: the memory was sent once, and with
    /// each frame a sync_file goes there and one comes back.
    HandoffProcesses,
    /// The same to a display: the submission and the commit; the flip's event is waited for, but not
    /// timed, because a display flips at its own rate.
    HandoffDisplay,
    /// The other device copies the shared image into one of its own, and that is waited for.
    CopyGpu,
    /// A frame goes between devices that share nothing: a device copies its image to host memory, a
    /// memcpy brings that into the other's host memory, and the other device copies it to its image.
    CopyStaging,
    /// A memcpy of a frame's bytes.
    CopyMemcpy,
    /// A frame's bytes go through a Unix stream socket to another thread, which acknowledges them.
    CopySocket,
    /// A point of a queue's timeline that has signalled becomes a sync_file.
    FenceCreate,
    /// So many sync_files become one. They are pending where there is sw_sync, else they have
    /// signalled.
    FenceMerge,
    /// A sync_file that has signalled is waited for.
    FenceWait,
    /// A sync_file is waited for that another thread signals when it is asked to: a run begins with
    /// asking.
    FenceWaitPending,
    /// A device's work becomes what another device waits for: an empty submission, its sync_file, that
    /// as a semaphore, an empty submission that waits for it; the end is waited for.
    FenceConvert,
}

impl OperationKind {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::Export,
        Self::FirstUse,
        Self::CheckDescriptor,
        Self::KeepDescriptor,
        Self::NameDmabuf,
        Self::Import,
        Self::KnownImport,
        Self::Framebuffer,
        Self::KnownFramebuffer,
        Self::Flip,
        Self::KnownBuffer,
        Self::Eviction,
        Self::FreshEviction,
        Self::Handoff,
        Self::HandoffProcesses,
        Self::HandoffDisplay,
        Self::CopyGpu,
        Self::CopyStaging,
        Self::CopyMemcpy,
        Self::CopySocket,
        Self::FenceCreate,
        Self::FenceMerge,
        Self::FenceWait,
        Self::FenceWaitPending,
        Self::FenceConvert,
    ];

    /// The suite in which it is measured.
    pub fn suite(self) -> Suite {
        match self {
            Self::FirstUse | Self::CheckDescriptor | Self::KeepDescriptor | Self::NameDmabuf => {
                Suite::Safeties
            }
            Self::Export
            | Self::Import
            | Self::KnownImport
            | Self::Framebuffer
            | Self::KnownFramebuffer
            | Self::Flip
            | Self::KnownBuffer => Suite::ExportImport,
            Self::Eviction | Self::FreshEviction => Suite::Eviction,
            Self::Handoff | Self::HandoffProcesses | Self::HandoffDisplay => Suite::Handoff,
            Self::CopyGpu | Self::CopyStaging | Self::CopyMemcpy | Self::CopySocket => Suite::Copy,
            Self::FenceCreate
            | Self::FenceMerge
            | Self::FenceWait
            | Self::FenceWaitPending
            | Self::FenceConvert => Suite::Fences,
        }
    }

    /// Whether it takes a display. Where there is none, as in a server with a GPU, nobody can do it, and
    /// everything else is measured all the same.
    fn needs_display(self) -> bool {
        matches!(
            self,
            Self::Framebuffer | Self::KnownFramebuffer | Self::Flip | Self::HandoffDisplay
        )
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
            Suite::ExportImport | Suite::Handoff => {
                &[By::Dmashare, By::Floor, By::Smithay, By::Gbm, By::Wgpu]
            }
            Suite::Safeties if self != Self::FirstUse => &[By::Floor],
            Suite::Safeties | Suite::Eviction | Suite::Fences => &[By::Dmashare, By::Floor],
            Suite::Copy => &[By::Floor],
        }
    }

    /// Whether each run makes memory for a large image: kernels clear it, which takes long.
    pub fn makes_memory_of(self, parameter: Parameter) -> bool {
        let is_large = matches!(parameter, Parameter::Size(size) if size.width >= 3840);
        is_large && matches!(self, Self::Export | Self::FreshEviction)
    }

    /// How many runs are timed together, so that reading the clock does not count: none where each
    /// run has to be waited for.
    pub fn runs_per_batch(self) -> usize {
        match self {
            Self::Export
            | Self::FirstUse
            | Self::Flip
            | Self::Eviction
            | Self::FreshEviction
            | Self::Handoff
            | Self::HandoffProcesses
            | Self::HandoffDisplay
            | Self::CopyGpu
            | Self::CopyStaging
            | Self::CopyMemcpy
            | Self::CopySocket
            | Self::FenceWaitPending
            | Self::FenceConvert => 1,
            Self::Import | Self::Framebuffer | Self::FenceCreate => 8,
            Self::FenceMerge
            | Self::FenceWait
            | Self::CheckDescriptor
            | Self::KeepDescriptor
            | Self::NameDmabuf => 100,
            Self::KnownBuffer => library::BUFFERS,
            Self::KnownImport | Self::KnownFramebuffer => 1000,
        }
    }

    /// The sizes at which it is measured; for flips, those that the display has a mode for; for
    /// fences, how many.
    ///
    /// # Errors
    /// When the display has none of them.
    pub fn sizes(self, machine: &Machine) -> Result<Vec<Parameter>> {
        if self == Self::FenceMerge {
            return Ok([2, 8, 32].map(Parameter::Count).to_vec());
        }
        match self.suite() {
            Suite::Fences => return Ok(vec![Parameter::Count(1)]),
            // The same for every size.
            Suite::Safeties => return Ok(vec![Size::COMMON[0].into()]),
            _ => {}
        }
        if !matches!(self, Self::Flip | Self::HandoffDisplay) {
            return Ok(Size::COMMON.map(Parameter::Size).to_vec());
        }
        let Ok(card) = machine.card_file() else {
            // Of those who cannot do it, `open` tells why.
            return Ok(Size::COMMON.map(Parameter::Size).to_vec());
        };
        let display = floor::Display::find(card)?;
        let modes = display.sizes();
        let common = [(1024, 768), (1920, 1080), (3840, 2160), (4096, 2160)];
        let sizes: Vec<_> = common
            .into_iter()
            .filter(|size| modes.contains(size))
            .map(|(width, height)| Size::new(width, height).into())
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
    pub fn open(
        self,
        by: By,
        machine: &Machine,
        parameter: impl Into<Parameter>,
    ) -> Result<Opened> {
        let parameter = parameter.into();
        if self.needs_display()
            && let Err(error) = machine.card_file()
        {
            return Ok(Opened::Absent(format!("{error:#}")));
        }
        match by {
            By::Dmashare => library::open(self, machine, parameter),
            By::Floor => floor::open(self, machine, parameter),
            By::CheckedFloor => floor::open_checked(self, machine, parameter.size()),
            By::Smithay | By::Gbm | By::Wgpu => peers::open(self, by, machine, parameter.size()),
        }
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Export => "export",
            Self::FirstUse => "first_use",
            Self::CheckDescriptor => "check_descriptor",
            Self::KeepDescriptor => "keep_descriptor",
            Self::NameDmabuf => "name_dmabuf",
            Self::Import => "import",
            Self::KnownImport => "known_import",
            Self::Framebuffer => "framebuffer",
            Self::KnownFramebuffer => "known_framebuffer",
            Self::Flip => "flip",
            Self::KnownBuffer => "known_buffer",
            Self::Eviction => "eviction",
            Self::FreshEviction => "fresh_eviction",
            Self::Handoff => "handoff",
            Self::HandoffProcesses => "handoff_processes",
            Self::HandoffDisplay => "handoff_display",
            Self::CopyGpu => "copy_gpu",
            Self::CopyStaging => "copy_staging",
            Self::CopyMemcpy => "copy_memcpy",
            Self::CopySocket => "copy_socket",
            Self::FenceCreate => "fence_create",
            Self::FenceMerge => "fence_merge",
            Self::FenceWait => "fence_wait",
            Self::FenceWaitPending => "fence_wait_pending",
            Self::FenceConvert => "fence_convert",
        })
    }
}
