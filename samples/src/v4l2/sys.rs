//! The ioctls of `linux/videodev2.h` that the samples need.
//!
//! No crate does this here: `v4l2r` and `v4l` read the header with bindgen, so they need libclang and
//! the kernel's headers wherever they are built (and bring second versions of nix and thiserror);
//! `linuxvideo` is Rust alone, but has no `VIDIOC_EXPBUF` and no `V4L2_MEMORY_DMABUF`, which are all
//! that matters for sharing.

mod structures;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

pub(super) use structures::{BUFFER_ERROR, BufferType, Capability, Memory, PixFormat, capability};
use structures::{
    Buffer, Control, CreateBuffers, ExportBuffer, FIELD_NONE, Format, FormatDescription,
    RemoveBuffers, RequestBuffers,
};

mod ioctls {
    use super::{
        Buffer, Capability, Control, CreateBuffers, ExportBuffer, Format, FormatDescription,
        RemoveBuffers, RequestBuffers,
    };

    nix::ioctl_read!(query_capability, b'V', 0, Capability);
    nix::ioctl_readwrite!(enumerate_formats, b'V', 2, FormatDescription);
    nix::ioctl_readwrite!(set_format, b'V', 5, Format);
    nix::ioctl_readwrite!(request_buffers, b'V', 8, RequestBuffers);
    nix::ioctl_readwrite!(queue_buffer, b'V', 15, Buffer);
    nix::ioctl_readwrite!(export_buffer, b'V', 16, ExportBuffer);
    nix::ioctl_readwrite!(dequeue_buffer, b'V', 17, Buffer);
    nix::ioctl_write_ptr!(stream_on, b'V', 18, i32);
    nix::ioctl_write_ptr!(stream_off, b'V', 19, i32);
    nix::ioctl_readwrite!(get_control, b'V', 27, Control);
    nix::ioctl_readwrite!(set_control, b'V', 28, Control);
    nix::ioctl_readwrite!(set_input, b'V', 39, i32);
    nix::ioctl_readwrite!(set_output, b'V', 47, i32);
    nix::ioctl_readwrite!(create_buffers, b'V', 92, CreateBuffers);
    nix::ioctl_readwrite!(remove_buffers, b'V', 104, RemoveBuffers);
}

/// Calls again what a signal has interrupted.
fn retry(mut call: impl FnMut() -> nix::Result<libc::c_int>) -> io::Result<()> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other.map(drop).map_err(io::Error::from),
        }
    }
}

/// `VIDIOC_QUERYCAP`.
pub(super) fn query_capability(device: BorrowedFd<'_>) -> io::Result<Capability> {
    let mut argument = Capability {
        driver: [0; 16],
        card: [0; 32],
        bus_info: [0; 32],
        version: 0,
        capabilities: 0,
        device_caps: 0,
        reserved: [0; 3],
    };
    // SAFETY: the argument has the layout of `struct v4l2_capability`, checked above, and outlives
    // the call; any bytes are valid for its fields.
    retry(|| unsafe { ioctls::query_capability(device.as_raw_fd(), &raw mut argument) })?;
    Ok(argument)
}

/// `VIDIOC_ENUM_FMT`: the `index`-th format of a queue; `None` when there are no more.
pub(super) fn enumerate_format(
    device: BorrowedFd<'_>,
    kind: BufferType,
    index: u32,
) -> io::Result<Option<u32>> {
    let mut argument = FormatDescription {
        index,
        kind: kind as u32,
        flags: 0,
        description: [0; 32],
        pixel_format: 0,
        mbus_code: 0,
        reserved: [0; 3],
    };
    // SAFETY: as in `query_capability`, for `struct v4l2_fmtdesc`.
    let result =
        retry(|| unsafe { ioctls::enumerate_formats(device.as_raw_fd(), &raw mut argument) });
    match result {
        Ok(()) => Ok(Some(argument.pixel_format)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `VIDIOC_S_FMT`: the result is what the driver made of it.
pub(super) fn set_format(
    device: BorrowedFd<'_>,
    kind: BufferType,
    pix: PixFormat,
) -> io::Result<PixFormat> {
    let mut argument = Format::new(kind, pix);
    // SAFETY: as in `query_capability`, for `struct v4l2_format`, whose union holds a
    // `struct v4l2_pix_format` for the single-planar types.
    retry(|| unsafe { ioctls::set_format(device.as_raw_fd(), &raw mut argument) })?;
    Ok(argument.pix)
}

/// `VIDIOC_REQBUFS`: how many buffers there are now. 0 frees all; who has mapped or exported one
/// keeps its memory.
pub(super) fn request_buffers(
    device: BorrowedFd<'_>,
    kind: BufferType,
    memory: Memory,
    count: u32,
) -> io::Result<u32> {
    let mut argument = RequestBuffers {
        count,
        kind: kind as u32,
        memory: memory as u32,
        capabilities: 0,
        flags: 0,
        reserved: [0; 3],
    };
    // SAFETY: as in `query_capability`, for `struct v4l2_requestbuffers`.
    retry(|| unsafe { ioctls::request_buffers(device.as_raw_fd(), &raw mut argument) })?;
    Ok(argument.count)
}

/// `VIDIOC_CREATE_BUFS`: one more buffer of the driver's memory, and its index.
pub(super) fn create_buffer(
    device: BorrowedFd<'_>,
    kind: BufferType,
    pix: PixFormat,
) -> io::Result<u32> {
    let mut argument = CreateBuffers {
        index: 0,
        count: 1,
        memory: Memory::Mmap as u32,
        format: Format::new(kind, pix),
        capabilities: 0,
        flags: 0,
        max_num_buffers: 0,
        reserved: [0; 5],
    };
    // SAFETY: as in `query_capability`, for `struct v4l2_create_buffers`.
    retry(|| unsafe { ioctls::create_buffers(device.as_raw_fd(), &raw mut argument) })?;
    match argument.count {
        0 => Err(Errno::ENOBUFS.into()),
        _ => Ok(argument.index),
    }
}

/// `VIDIOC_REMOVE_BUFS` (Linux 6.10): takes a buffer out of the driver's table. Who has mapped or exported
/// it keeps its memory.
pub(super) fn remove_buffer(
    device: BorrowedFd<'_>,
    kind: BufferType,
    index: u32,
) -> io::Result<()> {
    let mut argument = RemoveBuffers {
        index,
        count: 1,
        kind: kind as u32,
        reserved: [0; 13],
    };
    // SAFETY: as in `query_capability`, for `struct v4l2_remove_buffers`.
    retry(|| unsafe { ioctls::remove_buffers(device.as_raw_fd(), &raw mut argument) })
}

/// `VIDIOC_EXPBUF`: a dma-buf over a buffer of the driver's memory.
pub(super) fn export_buffer(
    device: BorrowedFd<'_>,
    kind: BufferType,
    index: u32,
) -> io::Result<OwnedFd> {
    let mut argument = ExportBuffer {
        kind: kind as u32,
        index,
        plane: 0,
        flags: (libc::O_CLOEXEC | libc::O_RDWR).cast_unsigned(),
        fd: -1,
        reserved: [0; 11],
    };
    // SAFETY: as in `query_capability`, for `struct v4l2_exportbuffer`.
    retry(|| unsafe { ioctls::export_buffer(device.as_raw_fd(), &raw mut argument) })?;
    // SAFETY: on success the kernel has opened this descriptor for us, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(argument.fd) })
}

/// What is queued: a buffer of the driver's memory, or a dma-buf of `length` bytes in this slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued<'a> {
    pub(super) index: u32,
    pub(super) dmabuf: Option<(BorrowedFd<'a>, u32)>,
    /// Bytes with content, for a device that reads; 0: the whole buffer.
    pub(super) bytes_used: u32,
}

/// `VIDIOC_QBUF`.
pub(super) fn queue_buffer(
    device: BorrowedFd<'_>,
    kind: BufferType,
    queued: Queued<'_>,
) -> io::Result<()> {
    let memory = match queued.dmabuf {
        Some(_) => Memory::DmaBuf,
        None => Memory::Mmap,
    };
    let mut argument = Buffer {
        index: queued.index,
        kind: kind as u32,
        bytes_used: queued.bytes_used,
        field: FIELD_NONE,
        memory: memory as u32,
        fd: queued.dmabuf.map_or(0, |(fd, _)| fd.as_raw_fd()),
        length: queued.dmabuf.map_or(0, |(_, length)| length),
        ..Buffer::default()
    };
    // SAFETY: as in `query_capability`, for `struct v4l2_buffer`; the kernel takes a reference to
    // the dma-buf of its own.
    retry(|| unsafe { ioctls::queue_buffer(device.as_raw_fd(), &raw mut argument) })
}

/// What the device is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dequeued {
    pub(super) index: u32,
    pub(super) bytes_used: u32,
    pub(super) flags: u32,
    pub(super) sequence: u32,
}

/// `VIDIOC_DQBUF` on a device that is opened without blocking; `None`: nothing is done yet.
pub(super) fn dequeue_buffer(
    device: BorrowedFd<'_>,
    kind: BufferType,
    memory: Memory,
) -> io::Result<Option<Dequeued>> {
    let mut argument = Buffer {
        kind: kind as u32,
        memory: memory as u32,
        ..Buffer::default()
    };
    // SAFETY: as in `query_capability`, for `struct v4l2_buffer`.
    let result = retry(|| unsafe { ioctls::dequeue_buffer(device.as_raw_fd(), &raw mut argument) });
    match result {
        Ok(()) => Ok(Some(Dequeued {
            index: argument.index,
            bytes_used: argument.bytes_used,
            flags: argument.flags,
            sequence: argument.sequence,
        })),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// `VIDIOC_STREAMON`, `VIDIOC_STREAMOFF`; the latter takes every buffer off the queue.
pub(super) fn stream(device: BorrowedFd<'_>, kind: BufferType, on: bool) -> io::Result<()> {
    let argument = kind as i32;
    let argument = &raw const argument;
    if on {
        // SAFETY: the kernel reads an int from the argument, which outlives the call.
        retry(|| unsafe { ioctls::stream_on(device.as_raw_fd(), argument) })
    } else {
        // SAFETY: as above.
        retry(|| unsafe { ioctls::stream_off(device.as_raw_fd(), argument) })
    }
}

/// `VIDIOC_G_CTRL`.
pub(super) fn control(device: BorrowedFd<'_>, id: u32) -> io::Result<i32> {
    let mut argument = Control { id, value: 0 };
    // SAFETY: as in `query_capability`, for `struct v4l2_control`.
    retry(|| unsafe { ioctls::get_control(device.as_raw_fd(), &raw mut argument) })?;
    Ok(argument.value)
}

/// `VIDIOC_S_CTRL`.
pub(super) fn set_control(device: BorrowedFd<'_>, id: u32, value: i32) -> io::Result<()> {
    let mut argument = Control { id, value };
    // SAFETY: as in `control`.
    retry(|| unsafe { ioctls::set_control(device.as_raw_fd(), &raw mut argument) })
}

/// `VIDIOC_S_INPUT`.
pub(super) fn set_input(device: BorrowedFd<'_>, mut index: i32) -> io::Result<()> {
    // SAFETY: the kernel reads and writes an int, which outlives the call.
    retry(|| unsafe { ioctls::set_input(device.as_raw_fd(), &raw mut index) })
}

/// `VIDIOC_S_OUTPUT`.
pub(super) fn set_output(device: BorrowedFd<'_>, mut index: i32) -> io::Result<()> {
    // SAFETY: as in `set_input`.
    retry(|| unsafe { ioctls::set_output(device.as_raw_fd(), &raw mut index) })
}
