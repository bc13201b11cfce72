//! Video device nodes: which there are, and what each can do.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use dmashare::Fourcc;
use nix::libc;

use super::V4l2Error;
use super::format::offered;
use super::sys::{self, BufferType, capability};

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
    /// - [`V4l2Error::NotVideo`]: it is open, but is no video device.
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

    /// The first node of which `fits` is true; `wanted` says what that is.
    ///
    /// # Errors
    /// [`V4l2Error::None`], with what there is.
    pub fn find(wanted: &str, fits: impl Fn(&Self) -> bool) -> Result<Self, V4l2Error> {
        let all = Self::list();
        let found = all.iter().map(|device| {
            let kind = device.kind();
            format!("{}: {kind}", device.name)
        });
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

    /// Whether it has the capabilities, all of them.
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

    /// Refuses a device of another kind.
    pub(super) fn require(
        &self,
        is_right: fn(&Self) -> bool,
        wanted: &'static str,
    ) -> Result<(), V4l2Error> {
        if is_right(self) {
            return Ok(());
        }
        Err(V4l2Error::WrongKind {
            device: self.name.clone(),
            found: self.kind(),
            wanted,
        })
    }

    /// The codes of the formats of one of its queues, as V4L2 writes them.
    pub(super) fn codes(&self, queue: BufferType) -> Vec<u32> {
        let codes = (0..).map(|index| sys::enumerate_format(self.as_fd(), queue, index));
        codes.map_while(|code| code.ok().flatten()).collect()
    }

    /// The formats that it can give, of those that are known here: those of a camera, or those that a
    /// decoder writes. A node without such a queue has none.
    pub fn formats_out(&self) -> Vec<Fourcc> {
        offered(self, BufferType::Capture)
    }

    /// The formats that it takes, of those that are known here: those of a video output, or those that an
    /// encoder reads.
    pub fn formats_in(&self) -> Vec<Fourcc> {
        offered(self, BufferType::Output)
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
        let result = sys::set_control(self.as_fd(), id, value);
        result.map_err(self.failed("VIDIOC_S_CTRL"))
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

    /// Makes an ioctl's error ours.
    pub(super) fn failed(&self, operation: &'static str) -> impl Fn(io::Error) -> V4l2Error {
        let device = self.name.clone();
        move |source| V4l2Error::Ioctl {
            device: device.clone(),
            operation,
            source,
        }
    }
}

impl AsFd for V4l2Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
