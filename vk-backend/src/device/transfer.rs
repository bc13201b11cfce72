//! Copies between buffers and the CPU, for tests and tools.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ash::vk;
use dmashare::{Fence, FenceSet, Mapping, MappingUse};
use gpu_allocator::MemoryLocation;

use crate::core::commands::OneTimeCommands;
use crate::core::staging::StagingBuffer;
use crate::device::Device;
use crate::device::retired::Retired;
use crate::error::TransferError;
use crate::image::Image;
use crate::image::copy_image::{self, CopyPair};
use crate::physical_device::format::plane_aspect;

/// How long a transfer waits for its copy, including the work before it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The alignment of planes in staging memory: a multiple of every texel size and of 4
/// (VUID-vkCmdCopyBufferToImage-dstImage-07975, -07978).
const PLANE_ALIGNMENT: u64 = 16;

/// Copies pixels between buffers and the CPU, and from buffer to buffer. Blocks until the copy is
/// done; meant for tests, tools and screenshots. [`Device::bytes_copied`] counts every byte of
/// pixels.
///
/// On the CPU, an image is its rows without padding, plane after plane.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    device: &'a Device,
}

/// One plane's place in packed rows and in staging memory.
struct PlaneRegion {
    copy: vk::BufferImageCopy,
    packed: std::ops::Range<usize>,
    staged: std::ops::Range<usize>,
}

struct Regions {
    planes: Vec<PlaneRegion>,
    packed_size: u64,
    staged_size: u64,
}

impl Regions {
    fn new(image: &Image) -> Self {
        let (format, extent) = (image.format(), image.extent());
        let mut regions = Self {
            planes: Vec::new(),
            packed_size: 0,
            staged_size: 0,
        };
        // Every image has a format in the table (`vk_format`).
        let infos = format.info().map_or(&[][..], |info| info.planes);
        for (index, info) in infos.iter().enumerate() {
            let rows = info.rows(extent.height);
            let bytes = info.row_bytes(extent.width) * u64::from(rows);
            let start = regions.staged_size.next_multiple_of(PLANE_ALIGNMENT);
            let range = |start: u64| {
                let index = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
                index(start)..index(start + bytes)
            };
            regions.planes.push(PlaneRegion {
                copy: vk::BufferImageCopy::default()
                    .buffer_offset(start)
                    .image_subresource(layers(plane_aspect(format, index)))
                    .image_extent(vk::Extent3D {
                        width: extent
                            .width
                            .div_ceil(u32::from(info.horizontal_subsampling)),
                        height: rows,
                        depth: 1,
                    }),
                packed: range(regions.packed_size),
                staged: range(start),
            });
            regions.packed_size += bytes;
            regions.staged_size = start + bytes;
        }
        regions
    }

    fn copies(&self) -> Vec<vk::BufferImageCopy> {
        self.planes.iter().map(|plane| plane.copy).collect()
    }
}

fn layers(aspect: vk::ImageAspectFlags) -> vk::ImageSubresourceLayers {
    vk::ImageSubresourceLayers::default()
        .aspect_mask(aspect)
        .layer_count(1)
}

const COPY: vk::PipelineStageFlags2 = vk::PipelineStageFlags2::COPY;

impl Device {
    /// Copies between buffers and the CPU, for tests and tools.
    pub fn transfer(&self) -> Transfer<'_> {
        Transfer { device: self }
    }
}

impl Transfer<'_> {
    fn check(
        &self,
        mapping: &Mapping<Device>,
        needed: vk::ImageUsageFlags,
    ) -> Result<(), TransferError> {
        if !std::ptr::eq(&*mapping.object().inner.core, &**self.device.core()) {
            return Err(TransferError::ForeignMapping {
                buffer: mapping.buffer_name().to_owned(),
            });
        }
        if !mapping.object().usage().contains(needed) {
            return Err(TransferError::Usage {
                buffer: mapping.buffer_name().to_owned(),
                usage: if needed == vk::ImageUsageFlags::TRANSFER_SRC {
                    "TRANSFER_SOURCE"
                } else {
                    "TRANSFER_DESTINATION"
                },
            });
        }
        Ok(())
    }

    /// Submits the commands, waits for them, and returns the staging memory. If the wait fails,
    /// both go to the retire queue, because the work may still run.
    fn run(
        &self,
        commands: OneTimeCommands,
        staging: Option<StagingBuffer>,
        uses: impl IntoIterator<Item = MappingUse>,
        bytes: u64,
    ) -> Result<Option<StagingBuffer>, TransferError> {
        commands.finish()?;
        let submission = self.device.submission(uses)?;
        let info = vk::CommandBufferSubmitInfo::default().command_buffer(commands.raw());
        // SAFETY: the command buffer is executable and of this device's queue family, and stays
        // until its fence is over.
        let fence: Fence = unsafe { submission.submit(&[info]) }?;
        if let Err(error) = fence.wait(TIMEOUT) {
            let after: FenceSet = [fence].into_iter().collect();
            self.device
                .retire_object(Retired::Commands(commands, staging), after);
            return Err(error.into());
        }
        self.device
            .core()
            .bytes_copied
            .fetch_add(bytes, Ordering::Relaxed);
        Ok(staging)
    }

    /// Writes an image's pixels. The buffer needs the usage `TRANSFER_DESTINATION`.
    ///
    /// # Errors
    /// - [`TransferError::Length`]: `pixels` does not have the length of all rows.
    /// - [`TransferError::Usage`], [`TransferError::ForeignMapping`]: the mapping does not allow
    ///   the copy.
    /// - [`TransferError::Submit`]: for example, another user's pending fence is one that the
    ///   device cannot wait for.
    /// - [`TransferError::Fence`], [`TransferError::Device`]: the copy failed.
    pub fn upload(&self, mapping: &Mapping<Device>, pixels: &[u8]) -> Result<(), TransferError> {
        self.check(mapping, vk::ImageUsageFlags::TRANSFER_DST)?;
        let image = mapping.object();
        let regions = Regions::new(image);
        let given = u64::try_from(pixels.len()).unwrap_or(u64::MAX);
        if given != regions.packed_size {
            return Err(TransferError::Length {
                buffer: mapping.buffer_name().to_owned(),
                expected: regions.packed_size,
                given,
            });
        }
        let core = self.device.core();
        let mut staging = StagingBuffer::new(
            core,
            regions.staged_size,
            vk::BufferUsageFlags::TRANSFER_SRC,
            MemoryLocation::CpuToGpu,
        )?;
        let bytes = staging.bytes_mut();
        for plane in &regions.planes {
            bytes[plane.staged.clone()].copy_from_slice(&pixels[plane.packed.clone()]);
        }
        let commands = OneTimeCommands::begin(core)?;
        let access = vk::AccessFlags2::TRANSFER_WRITE;
        commands.image_barriers(&[image.acquire(COPY, access)]);
        // SAFETY: the command buffer is recording; the image is in layout GENERAL after the
        // barrier; the regions are inside the image and the staging buffer.
        unsafe {
            core.raw.cmd_copy_buffer_to_image(
                commands.raw(),
                staging.raw(),
                image.raw(),
                vk::ImageLayout::GENERAL,
                &regions.copies(),
            );
        }
        commands.image_barriers(&[image.release(COPY, access)]);
        self.run(
            commands,
            Some(staging),
            [mapping.write()],
            regions.packed_size,
        )?;
        Ok(())
    }

    /// Reads an image's pixels. The buffer needs the usage `TRANSFER_SOURCE`.
    ///
    /// # Errors
    /// As [`upload`](Self::upload), except `Length`.
    pub fn download(&self, mapping: &Mapping<Device>) -> Result<Vec<u8>, TransferError> {
        self.check(mapping, vk::ImageUsageFlags::TRANSFER_SRC)?;
        let image = mapping.object();
        let regions = Regions::new(image);
        let core = self.device.core();
        let staging = StagingBuffer::new(
            core,
            regions.staged_size,
            vk::BufferUsageFlags::TRANSFER_DST,
            MemoryLocation::GpuToCpu,
        )?;
        let commands = OneTimeCommands::begin(core)?;
        let access = vk::AccessFlags2::TRANSFER_READ;
        commands.image_barriers(&[image.acquire(COPY, access)]);
        // SAFETY: as in `upload`.
        unsafe {
            core.raw.cmd_copy_image_to_buffer(
                commands.raw(),
                image.raw(),
                vk::ImageLayout::GENERAL,
                staging.raw(),
                &regions.copies(),
            );
        }
        commands.image_barriers(&[image.release(COPY, access)]);
        commands.memory_barrier(
            vk::MemoryBarrier2::default()
                .src_stage_mask(COPY)
                .src_access_mask(vk::AccessFlags2::TRANSFER_WRITE)
                .dst_stage_mask(vk::PipelineStageFlags2::HOST)
                .dst_access_mask(vk::AccessFlags2::HOST_READ),
        );
        let staging = self.run(
            commands,
            Some(staging),
            [mapping.read()],
            regions.packed_size,
        )?;
        let mut pixels = Vec::new();
        if let Some(staging) = &staging {
            for plane in &regions.planes {
                pixels.extend_from_slice(&staging.bytes()[plane.staged.clone()]);
            }
        }
        Ok(pixels)
    }

    /// Copies one image to another of the same format and extent, in other memory, on this device.
    ///
    /// # Errors
    /// As [`upload`](Self::upload), and [`TransferError::Mismatch`].
    pub fn copy(
        &self,
        source: &Mapping<Device>,
        destination: &Mapping<Device>,
    ) -> Result<(), TransferError> {
        self.check(source, vk::ImageUsageFlags::TRANSFER_SRC)?;
        self.check(destination, vk::ImageUsageFlags::TRANSFER_DST)?;
        let (from, to) = (source.object(), destination.object());
        let core = self.device.core();
        let mismatch = || TransferError::Mismatch {
            source_buffer: source.buffer_name().to_owned(),
            destination_buffer: destination.buffer_name().to_owned(),
        };
        let (old, new) = (source.backing().dmabuf(), destination.backing().dmabuf());
        if old.shares_memory_with(new) {
            return Err(mismatch());
        }
        let pair = CopyPair::new(core, from, to).map_err(|_| mismatch())?;
        let commands = OneTimeCommands::begin(core)?;
        pair.record(&commands);
        let bytes = copy_image::pixel_bytes(from.format(), from.extent());
        let uses = [source.read(), destination.write()];
        self.run(commands, None, uses, bytes)?;
        Ok(())
    }
}
