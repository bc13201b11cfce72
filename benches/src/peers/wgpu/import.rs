//! A dma-buf is imported and freed.

use std::os::fd::OwnedFd;
use std::pin::pin;
use std::task::{Poll, Waker};

use anyhow::{Context, Result, bail};
use wgpu::hal::{self, api::Vulkan};

use crate::floor::Exported;
use crate::peers::absent;
use crate::{Machine, Opened, Operation, Size};

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Bgra8Unorm;

/// A received dma-buf becomes a texture with a view, and all go: `texture_from_dmabuf_fd` of wgpu-hal
/// makes the image, and wgpu takes it over.
#[derive(Debug)]
struct Import {
    device: wgpu::Device,
    size: wgpu::Extent3d,
    exported: Exported,
    received: Vec<OwnedFd>,
}

/// Gets the import ready, if the device's images have the one plane that wgpu imports.
pub(super) fn open(machine: &Machine, size: Size) -> Result<Opened> {
    let exported = machine.floor_exporter(size)?.export()?;
    if exported.planes.len() != 1 {
        return Ok(absent("it imports dma-bufs with one plane only"));
    }
    Ok(Opened::ready(Import {
        device: device(machine.importer().name())?,
        size: wgpu::Extent3d {
            width: size.width,
            height: size.height,
            depth_or_array_layers: 1,
        },
        exported,
        received: Vec::new(),
    }))
}

/// The device of this name, by a wgpu of its own.
fn device(name: &str) -> Result<wgpu::Device> {
    let mut instance = wgpu::InstanceDescriptor::new_without_display_handle();
    instance.backends = wgpu::Backends::VULKAN;
    instance.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(instance);
    let adapter = at_once(instance.enumerate_adapters(wgpu::Backends::VULKAN))?
        .into_iter()
        .find(|adapter| adapter.get_info().name == name)
        .with_context(|| format!("wgpu does not find {name}"))?;
    let device = wgpu::DeviceDescriptor {
        required_features: wgpu::Features::VULKAN_EXTERNAL_MEMORY_DMA_BUF,
        required_limits: adapter.limits(),
        ..Default::default()
    };
    let (device, _queue) = at_once(adapter.request_device(&device))??;
    Ok(device)
}

/// The result of a future that has nothing to wait for, as all of wgpu's without a browser.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T> {
    let mut context = std::task::Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => bail!("wgpu would have to be waited for"),
    }
}

impl Operation for Import {
    fn prepare(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.received.push(self.exported.fd.try_clone()?);
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let fd = self.received.pop().context("no descriptor was prepared")?;
        let plane = self.exported.planes[0];
        let imported = hal::TextureDescriptor {
            label: None,
            size: self.size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUses::COLOR_TARGET,
            memory_flags: hal::MemoryFlags::empty(),
            view_formats: Vec::new(),
        };
        // SAFETY: the device's own handle is used while it is borrowed, and nothing of it destroyed.
        let device = unsafe { self.device.as_hal::<Vulkan>() }.context("not a Vulkan device")?;
        // SAFETY: the descriptor is a dma-buf with an image of this kind, and its layout is the
        // exporting driver's own; the device was made with the feature.
        let image = unsafe {
            device.texture_from_dmabuf_fd(
                fd,
                &imported,
                self.exported.modifier,
                plane.stride.into(),
                plane.offset,
            )
        }?;
        drop(device);
        let texture = wgpu::TextureDescriptor {
            label: None,
            size: self.size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        };
        // SAFETY: the image was made by this device, above, as both descriptions say.
        let texture = unsafe {
            self.device.create_texture_from_hal::<Vulkan>(
                image,
                &texture,
                wgpu::TextureUses::UNINITIALIZED,
            )
        };
        drop(texture.create_view(&wgpu::TextureViewDescriptor::default()));
        Ok(())
    }
}
