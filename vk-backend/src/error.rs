//! Errors of this crate. Each keeps the `vk::Result` as its source, with the name of the Vulkan
//! command.

use ash::vk;
use dmashare::{BoxError, ChromaSiting, ExportError, FenceError, Fourcc, ImportError, SubmitError};

/// Why an instance or a device could not be opened or adopted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The Vulkan loader cannot be loaded.
    #[error("libvulkan.so.1 cannot be loaded: install the Vulkan loader (Debian: libvulkan1)")]
    Loader {
        /// The loader's error.
        source: ash::LoadingError,
    },
    /// The Vulkan loader is too old.
    #[error("the Vulkan loader supports {major}.{minor}, but 1.3 is required")]
    LoaderVersion {
        /// Its major version.
        major: u32,
        /// Its minor version.
        minor: u32,
    },
    /// No device matches the selector.
    #[error("no Vulkan device matches '{selector}'; available: {available:?}")]
    NoSuchDevice {
        /// The selector.
        selector: String,
        /// The names of the available devices, each with what it lacks for sharing.
        available: Vec<String>,
    },
    /// The device lacks something that this library always needs.
    #[error("{device} cannot be used: it lacks {missing}")]
    MissingFeature {
        /// The device.
        device: String,
        /// The missing version, feature or queue.
        missing: &'static str,
    },
    /// A system call failed.
    #[error("{operation} failed")]
    Os {
        /// The name of the system call.
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
    /// The data does not have the length of the image's packed rows.
    #[error("'{buffer}' has {expected} bytes of pixels, but {given} were given")]
    Length {
        /// The buffer.
        buffer: String,
        /// Bytes of all rows of all planes.
        expected: u64,
        /// Bytes given.
        given: u64,
    },
    /// The two images differ in format or extent, or share memory.
    #[error(
        "'{source_buffer}' and '{destination_buffer}' differ in format or extent, or share memory"
    )]
    Mismatch {
        /// The buffer to read.
        source_buffer: String,
        /// The buffer to write.
        destination_buffer: String,
    },
    /// The buffer's description does not include this use.
    #[error("'{buffer}' does not support {usage}: add it to the usage in its description")]
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
    /// The buffer's description does not include `SAMPLE`.
    #[error(
        "this {format} image cannot be sampled: add SAMPLE to the usage in its buffer's description"
    )]
    NotSampled {
        /// The image's format.
        format: Fourcc,
    },
    /// The device lacks `samplerYcbcrConversion`, or the application did not enable it on an
    /// adopted device.
    #[error("{device} cannot convert luma and chroma: samplerYcbcrConversion is not enabled")]
    FeatureDisabled {
        /// The device.
        device: String,
    },
    /// The description does not say how luma and chroma were computed, and Vulkan has no default.
    #[error(
        "the color matrix of this {format} image is unknown: set it in the buffer's description"
    )]
    MatrixUnsaid {
        /// The image's format.
        format: Fourcc,
    },
    /// The device does not support this chroma siting
    /// (VUID-VkSamplerYcbcrConversionCreateInfo-xChromaOffset-01651, -01652).
    #[error("{device} cannot sample {format} with {asked:?} chroma, only with {offered:?}")]
    Siting {
        /// The device.
        device: String,
        /// The image's format.
        format: Fourcc,
        /// The chroma siting in the description.
        asked: ChromaSiting,
        /// The chroma sitings the device supports.
        offered: Vec<ChromaSiting>,
    },
    /// The device cannot interpolate chroma
    /// (VUID-VkSamplerYcbcrConversionCreateInfo-chromaFilter-01657).
    #[error("{device} does not support linear filtering of {format}: use NEAREST")]
    LinearFilter {
        /// The device.
        device: String,
        /// The image's format.
        format: Fourcc,
    },
    /// A driver query failed.
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
    #[error("a plain buffer cannot have 0 bytes")]
    EmptySize,
    /// No usage was given (VUID-VkBufferCreateInfo-None-09500).
    #[error("a plain buffer needs at least one usage flag")]
    EmptyUsage,
    /// The size exceeds the device's limit (`maxBufferSize`).
    #[error("{device} cannot make a plain buffer of {size} bytes: its limit is {maximum}")]
    TooLarge {
        /// The device.
        device: String,
        /// The requested size in bytes.
        size: u64,
        /// The largest buffer in bytes.
        maximum: u64,
    },
    /// The driver reports a memory requirement smaller than the buffer, so it does not handle this
    /// size correctly.
    #[error(
        "{device} reports that a plain buffer of {size} bytes needs only {required} bytes of memory"
    )]
    Requirements {
        /// The device.
        device: String,
        /// The requested size in bytes.
        size: u64,
        /// Bytes of memory the driver asks for.
        required: u64,
    },
    /// The buffer cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The dma-buf cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// sRGB views were requested, but Vulkan has no sRGB format with this layout. It is the source of
/// [`ExportError::Device`] and [`ImportError::Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Vulkan has no sRGB format with the layout of {format}: set `srgb_views` to false in the description"
)]
pub struct NoSrgbFormat {
    /// The requested format.
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

/// With every requested modifier, the device lays the image out with a stride that an importer
/// cannot use. It is the source of an [`ExportError::Device`] from
/// [`MovableImages`](crate::MovableImages), which may still be able to make such an image in host
/// memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the device's stride is {stride} bytes, but must be {}{alignment}: use host memory",
    if *is_exact { "" } else { "a multiple of " }
)]
pub struct StrideMisaligned {
    /// The device's stride in bytes.
    pub stride: u32,
    /// The stride must be a multiple of this many bytes.
    pub alignment: u32,
    /// Whether the stride must equal `alignment`.
    pub is_exact: bool,
}

/// A linear image that a device without dma-bufs cannot import by pointer
/// ([`PhysicalDevice::imports_by_host_pointer`](crate::PhysicalDevice::imports_by_host_pointer)),
/// because there is no way to tell its driver the layout. It is the source of
/// [`ImportError::Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitForPointer {
    /// The image's stride is not the driver's.
    #[error(
        "its stride is {stride} bytes; the driver, which has no dma-bufs and imports by pointer, \
         requires exactly {taken} bytes"
    )]
    Stride {
        /// The image's stride in bytes.
        stride: u32,
        /// The driver's stride in bytes.
        taken: u64,
    },
    /// The image begins at an offset the driver cannot use.
    #[error(
        "it begins at byte {offset}; the driver, which has no dma-bufs and imports by pointer, \
         requires {own} plus a multiple of {alignment}"
    )]
    Offset {
        /// The image's offset in bytes.
        offset: u64,
        /// The driver's own offset of an image in its memory.
        own: u64,
        /// The two offsets must differ by a multiple of this many bytes.
        alignment: u64,
    },
    /// The memory is mapped at an address the driver cannot import.
    #[error(
        "the driver, which has no dma-bufs and imports by pointer, requires addresses aligned to {alignment} bytes"
    )]
    Address {
        /// The alignment of importable addresses in bytes (`minImportedHostPointerAlignment`).
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
