//! Video device nodes: which there are, and what each can do.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use dmashare::DmaBufMemory;
use nix::libc;

use crate::error::V4l2Error;
use crate::sys::{self, BufferType, Memory, Queued, capability};

/// An open video device node. Queues, formats and controls of a codec belong to the open file, so each
/// codec opens its own.
#[derive(Debug)]
pub struct V4l2Device {
    file: OwnedFd,
    path: PathBuf,
    name: String,
    driver: String,
    capabilities: u32,
}

impl V4l2Device {
    /// Opens a node, without blocking.
    ///
    /// # Errors
    /// - [`V4l2Error::Open`]: it cannot be opened.
    /// - [`V4l2Error::NotVideo`]: it is open, but is not a video device.
    pub fn open(path: &Path) -> Result<Self, V4l2Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(|source| V4l2Error::Open {
                path: path.to_owned(),
                source,
            })?;
        let file = OwnedFd::from(file);
        let queried =
            sys::query_capability(file.as_fd()).map_err(|source| V4l2Error::NotVideo {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            file,
            path: path.to_owned(),
            name: format!("{} ({})", queried.card(), path.display()),
            driver: queried.driver(),
            capabilities: queried.of_node(),
        })
    }

    /// Every node `/dev/video*` that can be opened, by number.
    pub fn list() -> Vec<Self> {
        let mut nodes: Vec<(u32, PathBuf)> = std::fs::read_dir("/dev")
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?;
                let number = name.strip_prefix("video")?.parse().ok()?;
                Some((number, path))
            })
            .collect();
        nodes.sort();
        let nodes = nodes.iter();
        nodes
            .filter_map(|(_, path)| Self::open(path).ok())
            .collect()
    }

    /// The first node that `fits`; `wanted` says in the error what that is.
    ///
    /// # Errors
    /// [`V4l2Error::None`], with what there is.
    pub fn find(wanted: &str, fits: impl Fn(&Self) -> bool) -> Result<Self, V4l2Error> {
        let all = Self::list();
        let found = all
            .iter()
            .map(|device| format!("{}: {}", device.name, device.kind()));
        let found = found.collect::<Vec<_>>().join("; ");
        let mut fitting = all.into_iter().filter(|device| fits(device));
        fitting.next().ok_or_else(|| V4l2Error::None {
            wanted: wanted.to_owned(),
            found,
        })
    }

    /// Its card's name and node: "vivid (/dev/video3)".
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its driver: "vivid".
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// The node.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it has all of these capabilities.
    fn can(&self, capabilities: u32) -> bool {
        self.capabilities & capabilities == capabilities
    }

    /// Whether it captures video into buffers.
    pub fn is_camera(&self) -> bool {
        self.can(capability::VIDEO_CAPTURE | capability::STREAMING)
    }

    /// Whether it shows or sends video from buffers.
    pub fn is_output(&self) -> bool {
        self.can(capability::VIDEO_OUTPUT | capability::STREAMING)
    }

    /// Whether it converts video: a codec or a scaler.
    pub fn is_memory_to_memory(&self) -> bool {
        self.can(capability::VIDEO_M2M | capability::STREAMING)
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        let has = |some: u32| self.capabilities & some != 0;
        if self.is_camera() {
            "a camera"
        } else if self.is_output() {
            "a video output"
        } else if self.is_memory_to_memory() {
            "a codec or converter"
        } else if has(capability::VIDEO_CAPTURE_MPLANE
            | capability::VIDEO_OUTPUT_MPLANE
            | capability::VIDEO_M2M_MPLANE)
        {
            "a device of the multi-planar interface, which is not supported here"
        } else if has(capability::META_CAPTURE | capability::META_OUTPUT) {
            "a device for metadata"
        } else {
            "a device without streaming video"
        }
    }

    /// Opens this node, which must be of a kind, or the first node that is and `has` what is needed.
    /// `kind` and `wanted` name the two in errors.
    pub(crate) fn of_kind(
        path: Option<&Path>,
        kind: &'static str,
        is_kind: impl Fn(&Self) -> bool,
        wanted: &str,
        has: impl Fn(&Self) -> bool,
    ) -> Result<Self, V4l2Error> {
        let Some(path) = path else {
            return Self::find(wanted, |device| is_kind(device) && has(device));
        };
        let device = Self::open(path)?;
        if is_kind(&device) {
            return Ok(device);
        }
        Err(V4l2Error::WrongKind {
            found: device.kind(),
            device: device.name,
            wanted: kind,
        })
    }

    /// The codes of the formats of one of its queues, as V4L2 writes them.
    pub(crate) fn codes(&self, queue: BufferType) -> Vec<u32> {
        let codes = (0..).map(|index| sys::enumerate_format(self.as_fd(), queue, index));
        codes.map_while(|code| code.ok().flatten()).collect()
    }

    /// A control's value; `None` if the device has no such control.
    pub fn control(&self, id: u32) -> Option<i32> {
        sys::control(self.as_fd(), id).ok()
    }

    /// Sets a control.
    ///
    /// # Errors
    /// [`V4l2Error::Ioctl`]: no such control (`EINVAL`), no such value (`ERANGE`, `EINVAL`).
    pub fn set_control(&self, id: u32, value: i32) -> Result<(), V4l2Error> {
        sys::set_control(self.as_fd(), id, value).map_err(self.failed("VIDIOC_S_CTRL"))
    }

    /// Selects the input of a camera.
    ///
    /// # Errors
    /// [`V4l2Error::Ioctl`]: no such input (`EINVAL`), or it is streaming (`EBUSY`).
    pub fn set_input(&self, index: i32) -> Result<(), V4l2Error> {
        sys::set_input(self.as_fd(), index).map_err(self.failed("VIDIOC_S_INPUT"))
    }

    /// Selects the output of a video output.
    ///
    /// # Errors
    /// [`V4l2Error::Ioctl`]: no such output (`EINVAL`), or it is streaming (`EBUSY`).
    pub fn set_output(&self, index: i32) -> Result<(), V4l2Error> {
        sys::set_output(self.as_fd(), index).map_err(self.failed("VIDIOC_S_OUTPUT"))
    }

    /// `VIDIOC_REQBUFS`: makes slots in a queue, and says how many.
    pub(crate) fn request_buffers(
        &self,
        queue: BufferType,
        memory: Memory,
        count: u32,
    ) -> Result<u32, V4l2Error> {
        sys::request_buffers(self.as_fd(), queue, memory, count).map_err(self.failed(
            match memory {
                Memory::Mmap => "VIDIOC_REQBUFS",
                Memory::DmaBuf => "VIDIOC_REQBUFS (V4L2_MEMORY_DMABUF)",
            },
        ))
    }

    /// `VIDIOC_EXPBUF`: a dma-buf over a buffer that the device fills.
    pub(crate) fn export_buffer(&self, index: u32) -> Result<DmaBufMemory, V4l2Error> {
        let fd = sys::export_buffer(self.as_fd(), BufferType::Capture, index)
            .map_err(self.failed("VIDIOC_EXPBUF"))?;
        DmaBufMemory::new(fd).map_err(|source| V4l2Error::DmaBuf {
            device: self.name.clone(),
            source,
        })
    }

    /// `VIDIOC_QBUF`.
    pub(crate) fn queue(&self, queue: BufferType, queued: Queued<'_>) -> Result<(), V4l2Error> {
        sys::queue_buffer(self.as_fd(), queue, queued).map_err(self.failed("VIDIOC_QBUF"))
    }

    /// `VIDIOC_STREAMON`.
    pub(crate) fn stream_on(&self, queue: BufferType) -> Result<(), V4l2Error> {
        sys::stream(self.as_fd(), queue, true).map_err(self.failed("VIDIOC_STREAMON"))
    }

    /// `VIDIOC_STREAMOFF`: the device lets go of every buffer of the queue.
    pub(crate) fn stream_off(&self, queue: BufferType) -> Result<(), V4l2Error> {
        sys::stream(self.as_fd(), queue, false).map_err(self.failed("VIDIOC_STREAMOFF"))
    }

    /// The error of an ioctl of this device.
    pub(crate) fn failed(&self, operation: &'static str) -> impl Fn(io::Error) -> V4l2Error {
        move |source| V4l2Error::Ioctl {
            device: self.name.clone(),
            operation,
            source,
        }
    }

    /// The error of a driver whose answer makes no sense.
    pub(crate) fn misbehaves(&self, what: impl Into<String>) -> V4l2Error {
        V4l2Error::Driver {
            device: self.name.clone(),
            what: what.into(),
        }
    }

    /// The error of a mapping that belongs to another device.
    pub(crate) fn not_attached(&self, buffer: &str) -> V4l2Error {
        V4l2Error::NotAttached {
            device: self.name.clone(),
            buffer: buffer.to_owned(),
        }
    }
}

impl AsFd for V4l2Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
