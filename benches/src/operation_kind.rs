//! Which operations there are, who does them, and in which suite they are measured.

use std::fmt;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{Machine, Opened, Parameter, Size, floor, library, peers};

/// By whom an operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
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
        f.write_str(&name(self))
    }
}

/// The name by which a value is given on the command line, and stored.
fn name(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// What is measured together, by one bench program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
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
        f.write_str(&name(self))
    }
}

/// What is done. The report shows the operations in this order, and says of each the first sentence of
/// its documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum OperationKind {
    /// A Vulkan image is made, exported as a dma-buf with its modifier and planes, and freed.
    Export,
    /// An image that was just exported is mapped by its own device, which moves it out of layout
    /// `UNDEFINED` and releases it to everyone; the end of that work is not waited for.
    FirstUse,
    /// `fstat`: whether a descriptor is a dma-buf (drivers import a memfd, and answer questions about a
    /// pipe), which one, by which it is recognized when it comes again, and how large it is, against
    /// which every plane is checked. Once for each export and each first import.
    CheckDescriptor,
    /// `fcntl` and `close`: Vulkan takes the descriptor that it imports away, so a second device, a
    /// display or another process gets one that was kept. Once for each first import.
    KeepDescriptor,
    /// `DMA_BUF_SET_NAME`: the name under which the kernel lists the memory, by which a leak is found.
    /// Once for each export.
    NameDmabuf,
    /// A received dma-buf becomes an image of a second Vulkan device, with a view, and is freed.
    Import,
    /// The device is asked once more for the image of a dma-buf that it has seen before.
    KnownImport,
    /// A dma-buf becomes a framebuffer of a display (PRIME import, ADDFB2 with modifiers), and goes.
    Framebuffer,
    /// The display is asked once more for the framebuffer of a dma-buf that it has seen before.
    KnownFramebuffer,
    /// The commit of a steady flip with a fence, by a display that has three framebuffers; waiting for
    /// the display is not timed.
    Flip,
    /// Map, submission, an empty vkQueueSubmit2, commit, of a buffer that the device knows; the floor is
    /// the bare vkQueueSubmit2.
    KnownBuffer,
    /// One Vulkan device draws a frame and another reads it, in one process.
    ///
    /// One of three buffers goes from the first device to the second: the first submits commands with
    /// the barriers of a write, the second those of a read that waits for it, and the end of the read is
    /// waited for. No pixel is touched. So a run is a frame's whole latency, and 1 divided by its time
    /// is the number of frames in a second.
    Handoff,
    /// One Vulkan device draws a frame, and another reads it in another process.
    ///
    /// The memory was sent once; with each frame a sync_file goes through a socket and one comes back.
    HandoffProcesses,
    /// A Vulkan device draws a frame and a display shows it.
    ///
    /// The flip's event is waited for, but not timed, because a display flips at its own rate.
    HandoffDisplay,
    /// A point of a queue's timeline that has signalled becomes a sync_file.
    FenceCreate,
    /// Several sync_files become one; the size is how many.
    ///
    /// They are pending where there is sw_sync, else they have signalled.
    FenceMerge,
    /// A sync_file that has signalled is waited for the first time.
    FenceWait,
    /// A thread is asked to signal a fence, which is waited for.
    FenceWaitPending,
    /// A fence becomes one of another kind: a semaphore's point and a sync_file.
    ///
    /// An empty submission, its sync_file, that as a semaphore, an empty submission on another device
    /// that waits for it; the end is waited for.
    FenceConvert,
    /// A buffer is moved out of the device's memory and back, into memory from the pool; the floor is a
    /// memcpy of its bytes, out and back.
    Eviction,
    /// A buffer is moved out and back into memory that is made for each move; the floor is the same
    /// memcpy.
    FreshEviction,
    /// A queue copies the shared image into an image of its own device, and is waited for.
    CopyGpu,
    /// A queue copies the image to host memory, a memcpy brings it into the other device's host memory,
    /// and a queue of that device copies it into its image.
    CopyStaging,
    /// A memcpy of the image's bytes.
    CopyMemcpy,
    /// The image's bytes go to another thread through a Unix stream socket, and are acknowledged.
    CopySocket,
}

impl OperationKind {
    /// All of them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The operation of this name, as in `known_import`.
    pub fn named(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }

    /// What is done, as a sentence without its full stop.
    pub fn meaning(self) -> String {
        let value = self.to_possible_value();
        let help = value.as_ref().and_then(|value| value.get_help());
        help.map_or_else(String::new, ToString::to_string)
    }

    /// The title under which people see it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::FirstUse => "first use",
            Self::CheckDescriptor => "check",
            Self::KeepDescriptor => "keep",
            Self::NameDmabuf => "name",
            Self::Import => "first import",
            Self::KnownImport => "known import",
            Self::Framebuffer => "framebuffer",
            Self::KnownFramebuffer => "known framebuffer",
            Self::Flip => "flip",
            Self::KnownBuffer => "use of a known buffer",
            Self::Handoff => "handoff",
            Self::HandoffProcesses => "handoff between processes",
            Self::HandoffDisplay => "handoff to a display",
            Self::FenceCreate => "fence: create",
            Self::FenceMerge => "fence: merge",
            Self::FenceWait => "fence: wait",
            Self::FenceWaitPending => "fence: wait for another thread",
            Self::FenceConvert => "fence: convert",
            Self::Eviction => "move out and back",
            Self::FreshEviction => "move into fresh memory",
            Self::CopyGpu => "copy by the GPU",
            Self::CopyStaging => "copy through staging memory",
            Self::CopyMemcpy => "copy by the CPU",
            Self::CopySocket => "copy through a socket",
        }
    }

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
        f.write_str(&name(self))
    }
}
