//! Errors of this crate. `vk::Result` is kept as the source, with the name of the Vulkan command.

use ash::vk;
use dmashare::{BoxError, ChromaSiting, ExportError, FenceError, Fourcc, ImportError, SubmitError};

/// Why an instance or a device could not be opened or adopted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The Vulkan loader is not there.
    #[error("libvulkan.so.1 cannot be loaded: install the Vulkan loader (Debian: libvulkan1)")]
    Loader {
        /// Why.
        source: ash::LoadingError,
    },
    /// The Vulkan loader is too old.
    #[error("the Vulkan loader offers {major}.{minor}, and 1.3 is needed")]
    LoaderVersion {
        /// Its major version.
        major: u32,
        /// Its minor version.
        minor: u32,
    },
    /// No device fits the selection.
    #[error("no Vulkan device fits '{selector}'; there is {available:?}")]
    NoSuchDevice {
        /// What was asked for.
        selector: String,
        /// The names of the devices that are there, each with what it lacks to share.
        available: Vec<String>,
    },
    /// The device lacks something that this library always needs.
    #[error("{device} cannot be used: it lacks {missing}")]
    MissingFeature {
        /// The device.
        device: String,
        /// The version, feature or queue.
        missing: &'static str,
    },
    /// A system call failed.
    #[error("{operation} failed")]
    Os {
        /// The system call.
        operation: &'static str,
        /// Its error.
        source: std::io::Error,
    },
    /// A Vulkan command failed.
    #[error("{operation} failed on {device}")]
    Vulkan {
        /// The device, or "Vulkan" where there is none yet.
        device: String,
        /// The Vulkan command.
        operation: &'static str,
        /// Its result.
        source: vk::Result,
    },
}

/// Why pixels could not be copied between a buffer and the CPU.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The data is not as long as the image's packed rows.
    #[error("'{buffer}' has {expected} bytes of pixels, {given} were given")]
    Length {
        /// The buffer.
        buffer: String,
        /// Bytes of all rows of all planes.
        expected: u64,
        /// Bytes given.
        given: u64,
    },
    /// The two images differ in format or size.
    #[error("'{source_buffer}' and '{destination_buffer}' differ in format or extent")]
    Mismatch {
        /// The buffer to be read.
        source_buffer: String,
        /// The buffer to be written.
        destination_buffer: String,
    },
    /// The buffer was not described for this use.
    #[error("'{buffer}' was not made for {usage}: add it to the usage of its description")]
    Usage {
        /// The buffer.
        buffer: String,
        /// The missing usage.
        usage: &'static str,
    },
    /// The image belongs to another device.
    #[error("'{buffer}' is mapped by another device")]
    ForeignMapping {
        /// The buffer.
        buffer: String,
    },
    /// The copy could not be submitted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The copy did not complete.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// An operation of the device failed.
    #[error("{operation} failed")]
    Device {
        /// The operation.
        operation: &'static str,
        /// Its error.
        source: BoxError,
    },
}

/// Why a device cannot sample an image of luma and chroma as RGB.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum YcbcrError {
    /// The image is RGB: it is sampled through [`Image::sampled_view`](crate::Image::sampled_view).
    #[error("{format} has no luma and chroma to convert")]
    NotLumaAndChroma {
        /// The image's format.
        format: Fourcc,
    },
    /// The buffer was not described for it.
    #[error(
        "this {format} image was not made to be sampled: add SAMPLE to the usage of its buffer"
    )]
    NotSampled {
        /// The image's format.
        format: Fourcc,
    },
    /// The feature `samplerYcbcrConversion` is not there, or was not enabled on an adopted device.
    #[error("{device} cannot convert luma and chroma: samplerYcbcrConversion is not enabled")]
    FeatureDisabled {
        /// The device.
        device: String,
    },
    /// The description says nothing of how luma and chroma were computed, and Vulkan has no default.
    #[error("the color of this {format} image names no matrix: set it in the buffer's description")]
    MatrixUnsaid {
        /// The image's format.
        format: Fourcc,
    },
    /// The device does not know chroma in this place
    /// (VUID-VkSamplerYcbcrConversionCreateInfo-xChromaOffset-01651, -01652).
    #[error("{device} cannot sample {format} with {asked:?} chroma, but with {offered:?}")]
    Siting {
        /// The device.
        device: String,
        /// The image's format.
        format: Fourcc,
        /// Where the description says that chroma is.
        asked: ChromaSiting,
        /// Where the device can have it.
        offered: Vec<ChromaSiting>,
    },
    /// The device reads chroma without interpolation only
    /// (VUID-VkSamplerYcbcrConversionCreateInfo-chromaFilter-01657).
    #[error("{device} cannot filter {format}: ask for NEAREST")]
    LinearFilter {
        /// The device.
        device: String,
        /// The image's format.
        format: Fourcc,
    },
    /// A question to the driver failed.
    #[error("{operation} failed on {device}")]
    Device {
        /// The Vulkan command.
        operation: &'static str,
        /// The device.
        device: String,
        /// Its result.
        source: vk::Result,
    },
}

/// Why a plain buffer could not be exported or imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlainBufferError {
    /// The size is 0.
    #[error("a plain buffer of 0 bytes was asked for: give a size")]
    EmptySize,
    /// No usage was given (VUID-VkBufferCreateInfo-None-09500).
    #[error("a plain buffer without a usage was asked for: say what it is for")]
    EmptyUsage,
    /// The device makes no buffers of this size (`maxBufferSize`).
    #[error("{device} cannot make a plain buffer of {size} bytes: its limit is {maximum}")]
    TooLarge {
        /// The device.
        device: String,
        /// Bytes asked for.
        size: u64,
        /// The largest buffer in bytes.
        maximum: u64,
    },
    /// The driver says that the buffer needs less memory than it has bytes, so it cannot be trusted
    /// with this size.
    #[error("{device} says that a plain buffer of {size} bytes needs {required} bytes of memory")]
    Requirements {
        /// The device.
        device: String,
        /// Bytes asked for.
        size: u64,
        /// Bytes of memory that the driver asks for.
        required: u64,
    },
    /// The buffer cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The dma-buf cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// Views as sRGB were asked for, and Vulkan has no sRGB format with these pixels. The cause in
/// [`ExportError::Device`] and [`ImportError::Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Vulkan has no sRGB format with the pixels of {format}: leave `srgb_views` of the description false"
)]
pub struct NoSrgbFormat {
    /// The format that was asked for.
    pub format: Fourcc,
}

impl NoSrgbFormat {
    const OPERATION: &'static str = "choosing the format of sRGB views";

    pub(crate) fn export(self, exporter: &str) -> ExportError {
        ExportError::Device {
            exporter: exporter.to_owned(),
            operation: Self::OPERATION,
            source: self.into(),
        }
    }

    pub(crate) fn import(self, importer: &str) -> ImportError {
        ImportError::Refused {
            importer: importer.to_owned(),
            operation: Self::OPERATION,
            source: self.into(),
        }
    }
}

/// The device lays an image out with a stride that an importer cannot use, with every modifier that
/// was asked for. The cause in [`ExportError::Device`] of [`MovableImages`](crate::MovableImages),
/// which may have such an image in host memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the device's stride is {stride} bytes, and must be {}{alignment}: ask for host memory",
    if *is_exact { "" } else { "a multiple of " }
)]
pub struct StrideMisaligned {
    /// Bytes from row to row, as the device would have it.
    pub stride: u32,
    /// Bytes of which it must be a multiple.
    pub alignment: u32,
    /// Whether it must be just as many.
    pub is_exact: bool,
}

/// A linear image that a device without dma-bufs cannot take by a pointer
/// ([`PhysicalDevice::imports_by_host_pointer`](crate::PhysicalDevice::imports_by_host_pointer)), because
/// nothing tells its driver how the image lies. The cause in [`ImportError::Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitForPointer {
    /// Its rows are not as far apart as the driver has them.
    #[error(
        "its stride is {stride} bytes; the driver has no dma-bufs and takes a pointer to rows exactly \
         {taken} bytes apart"
    )]
    Stride {
        /// The image's stride in bytes.
        stride: u32,
        /// What the driver takes.
        taken: u64,
    },
    /// It begins where the driver cannot have an image begin.
    #[error(
        "it begins at byte {offset}; the driver has no dma-bufs and takes a pointer to an image that \
         begins {own} bytes behind a multiple of {alignment}"
    )]
    Offset {
        /// Where the image begins, in bytes.
        offset: u64,
        /// Where the driver has images begin.
        own: u64,
        /// Bytes of which the difference must be a multiple.
        alignment: u64,
    },
    /// The process has the memory at an address that the driver does not take.
    #[error("the driver has no dma-bufs and takes pointers to multiples of {alignment} bytes only")]
    Address {
        /// Bytes of which an address must be a multiple (`minImportedHostPointerAlignment`).
        alignment: usize,
    },
}

impl UnfitForPointer {
    pub(crate) fn import(self, importer: &str) -> ImportError {
        ImportError::Refused {
            importer: importer.to_owned(),
            operation: "importing by host pointer",
            source: self.into(),
        }
    }
}
