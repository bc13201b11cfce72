//! Draws the moving picture with Vulkan: a graphics pipeline with dynamic rendering, one triangle
//! that covers the image, and the shader of `shaders/picture.wgsl`, compiled when the crate is built.

mod command;
mod pipeline;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmashare::{Fence, Fourcc, Mapping};
use dmashare_vk::Device;
use dmashare_vk::ash::vk;

use crate::pixel_format::PixelFormat;
use command::Command;
use pipeline::Pipeline;

/// How long a painter that is dropped waits for its last frames.
const LAST_FRAMES: Duration = Duration::from_secs(10);

/// Draws the picture into images of one format on one device.
///
/// Command buffers are used again when their fence has signalled, so as many exist as frames are in
/// flight.
#[derive(Debug)]
pub struct Painter {
    device: Device,
    format: &'static PixelFormat,
    pipeline: Pipeline,
    commands: Vec<Command>,
}

impl Painter {
    /// A painter for images of `format`, which must be in [`PixelFormat::all`].
    ///
    /// # Errors
    /// The picture cannot be drawn in this format, or Vulkan refuses an object.
    pub fn new(device: &Device, format: Fourcc) -> Result<Self> {
        let pixel_format = PixelFormat::of(format)
            .with_context(|| format!("the picture cannot be drawn in format {format}"))?;
        let vk_format = dmashare_vk::vk_format(format)
            .with_context(|| format!("Vulkan has no format for {format}"))?;
        Ok(Self {
            device: device.clone(),
            format: pixel_format,
            pipeline: Pipeline::new(device, vk_format)?,
            commands: Vec::new(),
        })
    }

    /// Draws the `frame`-th frame and returns without waiting. The fence signals when the picture is
    /// in the image; it is also in the buffer's reservation, so that other uses wait for it.
    ///
    /// # Errors
    /// The image has another format, the buffer is still in use (see
    /// [`SharedBuffer::ready`](dmashare::SharedBuffer::ready)), or Vulkan fails.
    pub fn draw(&mut self, mapping: &Mapping<Device>, frame: u32) -> Result<Fence> {
        let image = mapping.object();
        ensure!(
            image.format() == self.format.fourcc(),
            "this painter draws {}, not {}",
            self.format.fourcc(),
            image.format()
        );
        let index = self.free_command()?;
        let command = &mut self.commands[index];
        command.record(
            &self.pipeline,
            image,
            &immediates(image, frame, self.format),
        )?;
        let info = [vk::CommandBufferSubmitInfo::default().command_buffer(command.raw())];
        // The picture is for others: a display, another device or process.
        let submission = self.device.submission([mapping.write()])?.exportable()?;
        // SAFETY: the command buffer is in the executable state (recorded just now) and not pending
        // (its fence is over), uses only the image of the mapping that the submission names, and
        // outlives its execution: `Command` is kept until its fence is over.
        let fence = unsafe { submission.submit(&info) }?;
        command.submitted(fence.clone());
        Ok(fence)
    }

    /// How many command buffers there are: as many as frames were ever in flight together.
    pub fn command_buffers(&self) -> usize {
        self.commands.len()
    }

    fn free_command(&mut self) -> Result<usize> {
        if let Some(free) = self.commands.iter().position(Command::is_free) {
            return Ok(free);
        }
        self.commands.push(Command::new(&self.device)?);
        Ok(self.commands.len() - 1)
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        for command in self.commands.drain(..) {
            command.finish(LAST_FRAMES);
        }
    }
}

/// `struct Immediates` of the shader: extent, frame, and how a channel becomes a texel's value.
fn immediates(image: &dmashare_vk::Image, frame: u32, format: &PixelFormat) -> [u8; 48] {
    let extent = image.extent();
    let mut words = [0_u32; 12];
    words[..3].copy_from_slice(&[extent.width, extent.height, frame]);
    for channel in 0..3 {
        words[4 + channel] = u32::from(format.shifts()[channel]);
        // At most 65535, which a float holds exactly. A missing channel has the greatest value 0,
        // which nothing may be divided by; its result is not stored.
        let divisor = format.divisors()[channel].max(1) as f32;
        words[8 + channel] = divisor.to_bits();
    }
    let mut bytes = [0; 48];
    for (destination, word) in bytes.chunks_exact_mut(4).zip(words) {
        destination.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}
