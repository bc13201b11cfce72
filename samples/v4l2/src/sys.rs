//! The ioctls of `linux/videodev2.h` that sharing needs.
//!
//! No crate has them: `v4l2r` and `v4l` read the header with bindgen, so they need libclang and the
//! kernel's headers at build time (and bring second versions of nix and thiserror); `linuxvideo` is
//! Rust alone, but has no `VIDIOC_EXPBUF` and no `V4L2_MEMORY_DMABUF`.

mod structures;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

pub(crate) use structures::{BUFFER_ERROR, BufferType, Capability, Memory, PixFormat, capability};
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
    // _IOW: the kernel only reads the int.
    nix::ioctl_readwrite_bad!(stream_on, nix::request_code_write!(b'V', 18, 4), i32);
    nix::ioctl_readwrite_bad!(stream_off, nix::request_code_write!(b'V', 19, 4), i32);
    nix::ioctl_readwrite!(get_control, b'V', 27, Control);
    nix::ioctl_readwrite!(set_control, b'V', 28, Control);
    nix::ioctl_readwrite!(set_input, b'V', 39, i32);
    nix::ioctl_readwrite!(set_output, b'V', 47, i32);
    nix::ioctl_readwrite!(create_buffers, b'V', 92, CreateBuffers);
    nix::ioctl_readwrite!(remove_buffers, b'V', 104, RemoveBuffers);
}

/// A function of `ioctls`.
type Ioctl<T> = unsafe fn(libc::c_int, *mut T) -> nix::Result<libc::c_int>;

/// Calls an ioctl, again when a signal interrupts it.
fn call<T>(device: BorrowedFd<'_>, ioctl: Ioctl<T>, argument: &mut T) -> io::Result<()> {
    loop {
        // SAFETY: the function is one of `ioctls`. Its `T` has the layout and size of the kernel's structure
        // (checked in `structures`, and part of the ioctl's number). Any bytes are valid for its fields, and
        // the argument outlives the call; the kernel takes a reference of its own to a descriptor in it.
        match unsafe { ioctl(device.as_raw_fd(), argument) } {
            Err(Errno::EINTR) => {}
            other => return other.map(drop).map_err(io::Error::from),
        }
    }
}

/// `VIDIOC_QUERYCAP`.
pub(crate) fn query_capability(device: BorrowedFd<'_>) -> io::Result<Capability> {
    let mut argument = Capability::default();
    call(device, ioctls::query_capability, &mut argument)?;
    Ok(argument)
}

/// `VIDIOC_ENUM_FMT`: the `index`-th format of a queue; `None` when there are no more.
pub(crate) fn enumerate_format(
    device: BorrowedFd<'_>,
    kind: BufferType,
    index: u32,
) -> io::Result<Option<u32>> {
    let mut argument = FormatDescription {
        index,
        kind: kind as u32,
        ..FormatDescription::default()
    };
    match call(device, ioctls::enumerate_formats, &mut argument) {
        Ok(()) => Ok(Some(argument.pixel_format)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `VIDIOC_S_FMT`: the result is what the driver made of it.
pub(crate) fn set_format(
    device: BorrowedFd<'_>,
    kind: BufferType,
    pix: PixFormat,
) -> io::Result<PixFormat> {
    let mut argument = Format::new(kind, pix);
    call(device, ioctls::set_format, &mut argument)?;
    Ok(argument.pix)
}

/// `VIDIOC_REQBUFS`: how many buffers there are now. 0 frees all; the memory of one that is mapped or
/// exported stays.
pub(crate) fn request_buffers(
    device: BorrowedFd<'_>,
    kind: BufferType,
    memory: Memory,
    count: u32,
) -> io::Result<u32> {
    let mut argument = RequestBuffers {
        count,
        kind: kind as u32,
        memory: memory as u32,
        ..RequestBuffers::default()
    };
    call(device, ioctls::request_buffers, &mut argument)?;
    Ok(argument.count)
}

/// `VIDIOC_CREATE_BUFS`: one more buffer of the driver's memory, and its index.
pub(crate) fn create_buffer(
    device: BorrowedFd<'_>,
    kind: BufferType,
    pix: PixFormat,
) -> io::Result<u32> {
    let mut argument = CreateBuffers::one(Memory::Mmap, Format::new(kind, pix));
    call(device, ioctls::create_buffers, &mut argument)?;
    match argument.count {
        0 => Err(Errno::ENOBUFS.into()),
        _ => Ok(argument.index),
    }
}

/// `VIDIOC_REMOVE_BUFS` (Linux 6.10): takes a buffer out of the driver's table. Its memory stays while
/// it is mapped or exported.
pub(crate) fn remove_buffer(
    device: BorrowedFd<'_>,
    kind: BufferType,
    index: u32,
) -> io::Result<()> {
    let mut argument = RemoveBuffers {
        index,
        count: 1,
        kind: kind as u32,
        ..RemoveBuffers::default()
    };
    call(device, ioctls::remove_buffers, &mut argument)
}

/// `VIDIOC_EXPBUF`: a dma-buf over a buffer of the driver's memory.
pub(crate) fn export_buffer(
    device: BorrowedFd<'_>,
    kind: BufferType,
    index: u32,
) -> io::Result<OwnedFd> {
    let mut argument = ExportBuffer {
        kind: kind as u32,
        index,
        flags: (libc::O_CLOEXEC | libc::O_RDWR).cast_unsigned(),
        fd: -1,
        ..ExportBuffer::default()
    };
    call(device, ioctls::export_buffer, &mut argument)?;
    // SAFETY: on success the kernel has opened this descriptor for us, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(argument.fd) })
}

/// What is queued: a buffer of the driver's memory, or a dma-buf of `length` bytes in this slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued<'a> {
    pub(crate) index: u32,
    pub(crate) dmabuf: Option<(BorrowedFd<'a>, u32)>,
    /// Bytes with content, for a device that reads; 0: the whole buffer.
    pub(crate) bytes_used: u32,
}

impl Queued<'_> {
    /// A buffer of the driver's memory that the device is to fill.
    pub(crate) fn to_fill(index: u32) -> Self {
        Self {
            index,
            dmabuf: None,
            bytes_used: 0,
        }
    }
}

/// `VIDIOC_QBUF`.
pub(crate) fn queue_buffer(
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
    call(device, ioctls::queue_buffer, &mut argument)
}

/// What the device is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dequeued {
    pub(crate) index: u32,
    pub(crate) bytes_used: u32,
    pub(crate) flags: u32,
    pub(crate) sequence: u32,
}

/// `VIDIOC_DQBUF` on a device that is opened without blocking; `None`: nothing is done yet.
pub(crate) fn dequeue_buffer(
    device: BorrowedFd<'_>,
    kind: BufferType,
    memory: Memory,
) -> io::Result<Option<Dequeued>> {
    let mut argument = Buffer {
        kind: kind as u32,
        memory: memory as u32,
        ..Buffer::default()
    };
    match call(device, ioctls::dequeue_buffer, &mut argument) {
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
pub(crate) fn stream(device: BorrowedFd<'_>, kind: BufferType, on: bool) -> io::Result<()> {
    let ioctl = if on {
        ioctls::stream_on
    } else {
        ioctls::stream_off
    };
    call(device, ioctl, &mut (kind as i32))
}

/// `VIDIOC_G_CTRL`.
pub(crate) fn control(device: BorrowedFd<'_>, id: u32) -> io::Result<i32> {
    let mut argument = Control { id, value: 0 };
    call(device, ioctls::get_control, &mut argument)?;
    Ok(argument.value)
}

/// `VIDIOC_S_CTRL`.
pub(crate) fn set_control(device: BorrowedFd<'_>, id: u32, value: i32) -> io::Result<()> {
    call(device, ioctls::set_control, &mut Control { id, value })
}

/// `VIDIOC_S_INPUT`.
pub(crate) fn set_input(device: BorrowedFd<'_>, mut index: i32) -> io::Result<()> {
    call(device, ioctls::set_input, &mut index)
}

/// `VIDIOC_S_OUTPUT`.
pub(crate) fn set_output(device: BorrowedFd<'_>, mut index: i32) -> io::Result<()> {
    call(device, ioctls::set_output, &mut index)
}
