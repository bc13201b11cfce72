//! The lab's exporters of dma-bufs.

use std::time::Duration;

use dmashare::host::{DmaHeap, Udmabuf};
use dmashare::{
    BufferDesc, ColorRange, DmaBuf, Exporter, Extent, Fourcc, MatrixCoefficients, Modifier,
    PlaneLayout, SharedBuffer, Usage,
};
use dmashare_drm::DumbBuffers;
use dmashare_v4l2::V4l2Capture;
use dmashare_vk::ash::vk;
use dmashare_vk::{Device, PlainBuffer};

use crate::support::pixels::{picture, read, write};
use crate::support::{LINEAR, map};

const PATIENCE: Duration = Duration::from_secs(10);

/// The number of the picture that buffers hold.
pub(crate) const FRAME: u32 = 7;

/// Everything that is done with a buffer here.
const USAGE: Usage = Usage::TRANSFER_SOURCE
    .union(Usage::TRANSFER_DESTINATION)
    .union(Usage::SCANOUT);

pub(crate) enum Maker {
    VulkanImage(Device),
    VulkanBuffer(Device),
    Udmabuf(Udmabuf),
    Heap(DmaHeap),
    Dumb(&'static str, DumbBuffers),
    Camera,
}

/// A buffer with pixels in it.
pub(crate) struct Made {
    pub buffer: SharedBuffer,
    /// Rows of all planes, without padding.
    pub bytes: Vec<u8>,
    /// Whether the pixels are the picture's; a camera's are its own.
    pub is_picture: bool,
    // The memory of a plain buffer is the exporter's to keep.
    _plain: Option<PlainBuffer>,
}

impl Maker {
    pub(crate) fn all() -> Vec<Self> {
        let device = crate::support::device;
        let dumb = |driver| Self::Dumb(driver, DumbBuffers::of_driver(driver).unwrap());
        vec![
            Self::VulkanImage(device()),
            Self::VulkanBuffer(device()),
            Self::Udmabuf(Udmabuf::open().unwrap()),
            Self::Heap(DmaHeap::open("system").unwrap()),
            dumb("vgem"),
            dumb("vkms"),
            Self::Camera,
        ]
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::VulkanImage(_) => "Vulkan image".to_owned(),
            Self::VulkanBuffer(_) => "Vulkan buffer".to_owned(),
            Self::Udmabuf(_) => "udmabuf".to_owned(),
            Self::Heap(_) => "dma-heap".to_owned(),
            Self::Dumb(driver, _) => format!("{driver} dumb"),
            Self::Camera => "vivid camera".to_owned(),
        }
    }

    /// What its buffers are large enough for; a camera has its own size.
    pub(crate) fn extent(&self, wanted: Extent) -> Extent {
        match self {
            Self::Camera => crate::support::loopback::HDMI,
            _ => wanted,
        }
    }

    /// Makes a buffer with pixels; `None` if it does not claim the format.
    pub(crate) fn make(&self, format: Fourcc, extent: Extent) -> Option<Made> {
        let mut desc = BufferDesc::new("matrix", extent, format, USAGE);
        if format.info()?.is_yuv {
            desc.color.matrix = MatrixCoefficients::Bt601;
            desc.color.range = ColorRange::Limited;
        }
        match self {
            Self::VulkanImage(device) => {
                let modifiers = device.modifiers(&desc).ok()?;
                let buffer = SharedBuffer::new(device, desc, &modifiers).unwrap();
                let bytes = picture(format, extent, FRAME);
                let image = map(&buffer, device);
                device.transfer().upload(&image, &bytes).unwrap();
                Some(Made::new(buffer, bytes, None))
            }
            Self::VulkanBuffer(device) => Some(plain(device, desc)),
            Self::Udmabuf(udmabuf) => Some(written(udmabuf, desc)),
            Self::Heap(heap) => Some(written(heap, desc)),
            Self::Dumb(_, dumb) => Some(written(dumb, desc)),
            Self::Camera => captured(desc),
        }
    }
}

impl Made {
    fn new(buffer: SharedBuffer, bytes: Vec<u8>, plain: Option<PlainBuffer>) -> Self {
        Self {
            buffer,
            bytes,
            is_picture: true,
            _plain: plain,
        }
    }
}

/// A buffer that the CPU writes.
fn written<E: Exporter + Clone + 'static>(exporter: &E, desc: BufferDesc) -> Made {
    let buffer = SharedBuffer::new(exporter, desc, LINEAR).unwrap();
    let bytes = picture(buffer.desc().format, buffer.desc().extent, FRAME);
    write(buffer.backing().dmabuf(), &bytes);
    Made::new(buffer, bytes, None)
}

/// Memory of a `VkBuffer`, in which an image's planes lie one after the other.
fn plain(device: &Device, desc: BufferDesc) -> Made {
    let (format, extent) = (desc.format, desc.extent);
    let mut size = 0;
    let infos = format.info().unwrap().planes;
    let planes: Vec<PlaneLayout> = infos
        .iter()
        .map(|info| {
            let stride = info.row_bytes(extent.width).next_multiple_of(256);
            let offset = size;
            size += (stride * u64::from(info.rows(extent.height))).next_multiple_of(4096);
            PlaneLayout {
                memory: 0,
                offset,
                stride: u32::try_from(stride).unwrap(),
            }
        })
        .collect();
    let usage = vk::BufferUsageFlags::TRANSFER_SRC;
    let memory = device.export_buffer("matrix", size, usage).unwrap();
    let dmabuf = DmaBuf::from_memories(
        format,
        extent,
        Modifier::LINEAR,
        &planes,
        [memory.memory().clone()],
    );
    let dmabuf = dmabuf.unwrap();
    let bytes = picture(format, extent, FRAME);
    write(&dmabuf, &bytes);
    let buffer = SharedBuffer::from_dmabuf(desc, dmabuf).unwrap();
    Made::new(buffer, bytes, Some(memory))
}

/// What the camera sees. It is closed before the buffer is used, so that it does not fill it again.
fn captured(desc: BufferDesc) -> Option<Made> {
    if desc.format.info()?.has_alpha {
        // vivid fills the alpha with 0: there would be nothing to see.
        return None;
    }
    let camera = V4l2Capture::open(None, desc.format, desc.extent).ok()?;
    let frames: Vec<_> = (0..2)
        .map(|_| {
            let frame = SharedBuffer::new(&camera, desc.clone(), LINEAR).unwrap();
            let filled = map(&frame, &camera);
            camera.queue(&filled, PATIENCE).unwrap();
            (frame, filled)
        })
        .collect();
    camera.start().unwrap();
    let filled = camera.wait_frame(PATIENCE).unwrap().unwrap();
    camera.stop().unwrap();
    let dmabuf = frames[filled.index as usize].0.backing().dmabuf().clone();
    drop((frames, camera));
    let bytes = read(&dmabuf);
    let buffer = SharedBuffer::from_dmabuf(desc, dmabuf).unwrap();
    let mut made = Made::new(buffer, bytes, None);
    made.is_picture = false;
    Some(made)
}
