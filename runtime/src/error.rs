//! Errors, one enum for each thing that can be asked for.
//!
//! Every variant keeps the operation and its cause, and its message says what the caller can do
//! where that is not plain from the cause.

use std::io;

use crate::{Extent, FenceUsage, Fourcc, Modifier, Placement};

/// An error of a backend (`vk::Result`, an errno of DRM) that this crate passes on without knowing
/// it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A description or memory layout that cannot be right.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// The text names no pixel format.
    #[error(
        "{text:?} is no pixel format: give a four-character code such as XR24, or a name such as XRGB8888"
    )]
    NotAFourcc {
        /// What was given.
        text: String,
    },
    /// The format's memory layout is not known here.
    #[error("the memory layout of format {format} is not known, so it cannot be checked")]
    UnknownFormat {
        /// The format.
        format: Fourcc,
    },
    /// A buffer has no name.
    #[error("a buffer needs a name: it is how leaks are found")]
    EmptyName,
    /// Width or height is zero.
    #[error("an image of {extent} pixels is empty")]
    EmptyExtent {
        /// What was asked for.
        extent: Extent,
    },
    /// `DRM_FORMAT_MOD_INVALID` was given.
    #[error(
        "the modifier of this {format} buffer is INVALID (implicit): only the driver that allocated it knows its layout, so it cannot be shared; allocate it with an explicit modifier"
    )]
    ImplicitModifier {
        /// The format.
        format: Fourcc,
    },
    /// Too few or too many planes.
    #[error(
        "{format} with modifier {modifier} has {expected} plane(s), at most 4 with those that a modifier adds, but {given} were given"
    )]
    PlaneCount {
        /// The format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// Planes of the format itself.
        expected: usize,
        /// Planes that were given.
        given: usize,
    },
    /// A plane names a memory that does not exist.
    #[error("plane {plane} lies in memory {memory}, which was not given")]
    NoSuchMemory {
        /// The plane.
        plane: usize,
        /// The memory's index.
        memory: usize,
    },
    /// A dma-buf is not of the format and extent that its description gives.
    #[error("the description says {} of {}, the dma-buf is {} of {}", asked.0, asked.1, given.0, given.1)]
    DescMismatch {
        /// Format and extent of the description.
        asked: (Fourcc, Extent),
        /// Format and extent of the dma-buf.
        given: (Fourcc, Extent),
    },
    /// Rows would overlap.
    #[error("plane {plane}: a stride of {stride} bytes is less than the {needed} bytes of a row")]
    StrideTooSmall {
        /// The plane.
        plane: usize,
        /// The stride in bytes.
        stride: u32,
        /// Bytes of one row.
        needed: u64,
    },
    /// A plane does not fit into its memory.
    #[error("plane {plane} ends {}, but its memory has {memory_size} bytes", match end { Some(end) => format!("at byte {end}"), None => "past the last address".to_owned() })]
    PlanePastEnd {
        /// The plane.
        plane: usize,
        /// Where it ends, in bytes; `None` if that overflows.
        end: Option<u64>,
        /// The memory's size in bytes.
        memory_size: u64,
    },
}

/// A file descriptor that is not what a dma-buf must be, or a dma-buf operation that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DmaBufError {
    /// The descriptor is open, but not on a dma-buf (a pipe, a memfd, a socket).
    #[error("file descriptor {fd} is not a dma-buf (file system type {magic:#x})")]
    NotDmaBuf {
        /// The descriptor's number.
        fd: i32,
        /// `f_type` of fstatfs(2).
        magic: u64,
    },
    /// The layout does not fit the memory.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A system call failed. `EBADF` means that the descriptor is closed.
    #[error("{operation} on a dma-buf failed")]
    Os {
        /// The system call or ioctl.
        operation: &'static str,
        /// Its error.
        source: io::Error,
    },
}

/// A file descriptor that is not a sync_file, or a sync_file operation that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncFileError {
    /// The descriptor is open, but not on a sync_file. Handing such a descriptor to Vulkan hangs
    /// the queue, so it is refused first.
    #[error("file descriptor {fd} is not a sync_file")]
    NotSyncFile {
        /// The descriptor's number.
        fd: i32,
    },
    /// A system call failed. `EBADF` means that the descriptor is closed.
    #[error("{operation} on a sync_file failed")]
    Os {
        /// The system call or ioctl.
        operation: &'static str,
        /// Its error.
        source: io::Error,
    },
}

/// A fence that cannot be waited for, or that ended in an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FenceError {
    /// The time limit passed first.
    #[error("the fence of '{producer}' did not signal in time")]
    Timeout {
        /// Who should have signalled it.
        producer: String,
    },
    /// The fence signalled with an error: the work behind it did not complete.
    #[error("the work of '{producer}' failed")]
    Failed {
        /// Who signalled it.
        producer: String,
        /// Why.
        source: io::Error,
    },
    /// The producer went away without signalling.
    #[error("'{producer}' went away before it signalled its fence")]
    ProducerGone {
        /// Who went away.
        producer: String,
    },
    /// There is no sync_file for this kind of fence; wait for it on the CPU before submitting.
    #[error(
        "a fence of '{producer}' cannot become a sync_file: wait for it before the work is submitted"
    )]
    NoSyncFile {
        /// Who signals it.
        producer: String,
    },
    /// A sync_file operation failed.
    #[error(transparent)]
    SyncFile(#[from] SyncFileError),
    /// The device failed.
    #[error("{operation} failed for a fence of '{producer}'")]
    Device {
        /// The device's operation.
        operation: &'static str,
        /// Who signals it.
        producer: String,
        /// The device's error.
        source: BoxError,
    },
}

/// Why an exporter could not make a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The description is wrong in itself.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Protected memory is not offered.
    #[error("'{name}' asks for protected memory, which no exporter here offers")]
    ProtectedMemory {
        /// The buffer's name.
        name: String,
    },
    /// The device cannot make this format for these uses at all.
    #[error("{exporter} cannot export {format} for {usage:?}")]
    UnsupportedFormat {
        /// The exporter.
        exporter: String,
        /// The format.
        format: Fourcc,
        /// The uses.
        usage: crate::Usage,
    },
    /// The device can make the format, but with none of the modifiers that were asked for.
    #[error(
        "{exporter} cannot export {format} with any of the modifiers {asked:?}; it offers {offered:?}"
    )]
    UnsupportedModifier {
        /// The exporter.
        exporter: String,
        /// The format.
        format: Fourcc,
        /// What was asked for.
        asked: Vec<Modifier>,
        /// What there is.
        offered: Vec<Modifier>,
    },
    /// The image is larger than the device can make.
    #[error("{exporter} cannot export an image of {extent}: its limit is {maximum}")]
    TooLarge {
        /// The exporter.
        exporter: String,
        /// What was asked for.
        extent: Extent,
        /// The device's limit for this format and these uses.
        maximum: Extent,
    },
    /// What the device exported is not what it said: the dma-buf is smaller than its image.
    #[error("{exporter} exported a dma-buf of {actual} bytes for an image that needs {required}")]
    MemoryTooSmall {
        /// The exporter.
        exporter: String,
        /// Bytes that the image needs.
        required: u64,
        /// Bytes that the dma-buf has.
        actual: u64,
    },
    /// The exported dma-buf failed its checks.
    #[error("the exported dma-buf is not valid")]
    DmaBuf(#[from] DmaBufError),
    /// The device lacks something that exporting needs.
    #[error("{exporter} cannot export dma-bufs: it lacks {missing}")]
    MissingFeature {
        /// The exporter.
        exporter: String,
        /// The extension or feature.
        missing: &'static str,
    },
    /// An operation of the device failed.
    #[error("{operation} failed on {exporter}")]
    Device {
        /// The exporter.
        exporter: String,
        /// The device's operation.
        operation: &'static str,
        /// Its error.
        source: BoxError,
    },
}

/// Why an importer refused a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The layout is wrong in itself.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The device does not know the format, for these uses.
    #[error("{importer} cannot import {format}; it takes {supported:?}")]
    UnsupportedFormat {
        /// The importer.
        importer: String,
        /// The format.
        format: Fourcc,
        /// What it takes, as far as it says.
        supported: Vec<Fourcc>,
    },
    /// The device knows the format, but not with this modifier.
    #[error("{importer} cannot import {format} with modifier {modifier}; it takes {supported:?}")]
    UnsupportedModifier {
        /// The importer.
        importer: String,
        /// The format.
        format: Fourcc,
        /// The buffer's modifier.
        modifier: Modifier,
        /// What it takes.
        supported: Vec<Modifier>,
    },
    /// The modifier asks for another number of planes than the buffer has.
    #[error(
        "{importer} expects {expected} plane(s) for {format} with modifier {modifier}, the buffer has {given}"
    )]
    PlaneCount {
        /// The importer.
        importer: String,
        /// The format.
        format: Fourcc,
        /// The modifier.
        modifier: Modifier,
        /// Planes that the device expects.
        expected: usize,
        /// Planes that the buffer has.
        given: usize,
    },
    /// Planes lie in several memories, and the device wants them in one.
    #[error("{importer} cannot import {format} with planes in several dma-bufs")]
    Disjoint {
        /// The importer.
        importer: String,
        /// The format.
        format: Fourcc,
    },
    /// The image is larger than the device can read.
    #[error("{importer} cannot import an image of {extent}: its limit is {maximum}")]
    TooLarge {
        /// The importer.
        importer: String,
        /// The image's size.
        extent: Extent,
        /// The device's limit.
        maximum: Extent,
    },
    /// The image is smaller than the device can read.
    #[error("{importer} cannot import an image of {extent}: it takes no less than {minimum}")]
    TooSmall {
        /// The importer.
        importer: String,
        /// The image's size.
        extent: Extent,
        /// The device's limit.
        minimum: Extent,
    },
    /// The memory has fewer bytes than the device needs for this image.
    #[error("{importer} needs {required} bytes for this image, the dma-buf has {actual}")]
    MemoryTooSmall {
        /// The importer.
        importer: String,
        /// Bytes that the device needs.
        required: u64,
        /// Bytes that the dma-buf has.
        actual: u64,
    },
    /// The device cannot read memory of this kind or in this place.
    #[error("{importer} cannot use memory in {placement}: {reason}")]
    Unreachable {
        /// The importer.
        importer: String,
        /// Where the memory is.
        placement: Placement,
        /// The device's reason.
        reason: String,
    },
    /// The device lacks something that importing needs.
    #[error("{importer} cannot import dma-bufs: it lacks {missing}")]
    MissingFeature {
        /// The importer.
        importer: String,
        /// The extension or capability.
        missing: &'static str,
    },
    /// A dma-buf operation failed.
    #[error(transparent)]
    DmaBuf(#[from] DmaBufError),
    /// An operation of the device failed.
    #[error("{operation} failed on {importer}")]
    Device {
        /// The importer.
        importer: String,
        /// The device's operation.
        operation: &'static str,
        /// Its error.
        source: BoxError,
    },
}

/// Why a buffer could not be attached to a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The importer refused it.
    #[error("'{buffer}' cannot be attached")]
    Import {
        /// The buffer's name.
        buffer: String,
        /// Why.
        source: ImportError,
    },
}

/// Why an attachment could not be mapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The importer refused the backing.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// Why a submission could not begin. Nothing was submitted and no reservation changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The mapping is of a backing that the buffer has left; map the attachment again.
    #[error("the mapping of '{buffer}' is stale: map its attachment again")]
    Stale {
        /// The buffer's name.
        buffer: String,
    },
    /// This thread already holds the buffer's reservation: waiting for it would never end.
    #[error("this thread has a submission on '{buffer}' that was neither committed nor dropped")]
    WouldDeadlock {
        /// The buffer's name.
        buffer: String,
    },
    /// A fence of this class is of a kind that the device cannot wait for by itself, and it has not
    /// signalled. Wait for [`SharedBuffer::ready`](crate::SharedBuffer::ready) first.
    #[error(
        "'{buffer}' is still in use ({usage:?}) by '{producer}', whose fence the device cannot wait for: wait until it is ready, then submit"
    )]
    NotReady {
        /// The buffer's name.
        buffer: String,
        /// The class of the fence.
        usage: FenceUsage,
        /// Who signals it.
        producer: String,
    },
    /// A fence could not be converted for the device, or has failed.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// An operation of the device failed.
    #[error("{operation} failed")]
    Device {
        /// The device's operation.
        operation: &'static str,
        /// Its error.
        source: BoxError,
    },
}

/// Why the CPU could not read or write a buffer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpuAccessError {
    /// Only linear memory has rows that a CPU can address.
    #[error("a buffer with modifier {modifier} has no rows that the CPU can address")]
    NotLinear {
        /// The modifier.
        modifier: Modifier,
    },
    /// No such plane or row, or more bytes than a row has.
    #[error("plane {plane} has no {bytes} bytes in row {row}")]
    OutOfBounds {
        /// The plane.
        plane: usize,
        /// The row.
        row: u32,
        /// Bytes asked for.
        bytes: usize,
    },
    /// The guard was taken for reading.
    #[error("this CPU access is for reading only")]
    ReadOnly,
    /// A system call failed.
    #[error(transparent)]
    DmaBuf(#[from] DmaBufError),
}
