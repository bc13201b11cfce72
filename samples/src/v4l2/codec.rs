//! Stateful codecs (`dev-encoder.rst`, `dev-decoder.rst`), for frames that stand on their own: one goes
//! in, one comes out.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dmashare::{DmaBuf, DmaBufMemory, Extent, Fourcc, Mapping};

use super::format::{FWHT, code, offered};
use super::queue::dequeue_good;
use super::sys::{self, BufferType, Memory, PixFormat, Queued};
use super::{V4l2Device, V4l2Error, V4l2Output, VideoFormat};

/// `V4L2_CID_MPEG_VIDEO_GOP_SIZE`.
const GOP_SIZE: u32 = 0x0099_0900 + 203;
/// `V4L2_CID_FWHT_I_FRAME_QP`.
const FWHT_I_FRAME_QP: u32 = 0x0099_0900 + 290;
/// The greatest quality that there is: the coefficients that are left out are the smallest.
const BEST: i32 = 1;
/// Every frame stands on its own.
const ONE_FRAME: i32 = 1;

/// Coded frames that are there at once.
const CODED_BUFFERS: u32 = 2;

fn is_codec(device: &V4l2Device, coded_side: BufferType) -> bool {
    device.is_memory_to_memory() && device.codes(coded_side).contains(&FWHT)
}

fn open(
    path: Option<&Path>,
    coded_side: BufferType,
    wanted: &'static str,
) -> Result<V4l2Device, V4l2Error> {
    let device = match path {
        Some(path) => V4l2Device::open(path)?,
        None => V4l2Device::find(wanted, |device| is_codec(device, coded_side))?,
    };
    if is_codec(&device, coded_side) {
        return Ok(device);
    }
    Err(V4l2Error::WrongKind {
        device: device.name().to_owned(),
        found: device.kind(),
        wanted,
    })
}

fn stream_on(device: &V4l2Device, kind: BufferType) -> Result<(), V4l2Error> {
    sys::stream(device.as_fd(), kind, true).map_err(device.failed("VIDIOC_STREAMON"))
}

fn queue(device: &V4l2Device, kind: BufferType, queued: Queued<'_>) -> Result<(), V4l2Error> {
    sys::queue_buffer(device.as_fd(), kind, queued).map_err(device.failed("VIDIOC_QBUF"))
}

/// A coded frame, in memory of the encoder. It goes back by [`Encoder::recycle`].
#[derive(Debug)]
pub struct Coded {
    index: u32,
    memory: DmaBufMemory,
    bytes: u32,
}

impl Coded {
    /// Bytes of the coded frame, from the beginning of its memory.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// The dma-buf that it is in (`VIDIOC_EXPBUF`).
    pub fn memory(&self) -> &DmaBufMemory {
        &self.memory
    }
}

/// An encoder of FWHT, the codec of the kernel's vicodec, at its best quality.
#[derive(Debug)]
pub struct Encoder {
    device: Arc<V4l2Device>,
    input: V4l2Output,
    coded: Vec<DmaBufMemory>,
}

impl Encoder {
    /// Opens an encoder, or the first there is, for frames of this kind, and starts it.
    ///
    /// # Errors
    /// As [`V4l2Capture::open`](super::V4l2Capture::open).
    pub fn open(path: Option<&Path>, format: Fourcc, extent: Extent) -> Result<Self, V4l2Error> {
        let device = Arc::new(open(path, BufferType::Capture, "an encoder of FWHT")?);
        let (format, _) = VideoFormat::set(&device, BufferType::Output, format, extent)?;
        device.set_control(GOP_SIZE, ONE_FRAME)?;
        device.set_control(FWHT_I_FRAME_QP, BEST)?;
        let coded = PixFormat::new(extent.width, extent.height, FWHT);
        sys::set_format(device.as_fd(), BufferType::Capture, coded)
            .map_err(device.failed("VIDIOC_S_FMT"))?;
        let input = V4l2Output::of_device(device.clone(), format)?;
        let count = sys::request_buffers(
            device.as_fd(),
            BufferType::Capture,
            Memory::Mmap,
            CODED_BUFFERS,
        )
        .map_err(device.failed("VIDIOC_REQBUFS"))?;
        let mut coded = Vec::new();
        for index in 0..count {
            let fd = sys::export_buffer(device.as_fd(), BufferType::Capture, index)
                .map_err(device.failed("VIDIOC_EXPBUF"))?;
            let memory = DmaBufMemory::new(fd).map_err(|source| V4l2Error::DmaBuf {
                device: device.name().to_owned(),
                source,
            })?;
            coded.push(memory);
        }
        let this = Self {
            device,
            input,
            coded,
        };
        for index in 0..count {
            this.give(index)?;
        }
        this.input.start()?;
        stream_on(&this.device, BufferType::Capture)?;
        Ok(this)
    }

    /// The side where frames go in: attach their buffers to it.
    pub fn input(&self) -> &V4l2Output {
        &self.input
    }

    /// The dma-bufs of coded frames.
    pub fn coded_memory(&self) -> &[DmaBufMemory] {
        &self.coded
    }

    /// Encodes a frame, once it is there, and waits until that is done: the buffer's use is over then.
    ///
    /// # Errors
    /// As [`V4l2Output::queue`] and [`V4l2Output::finish`].
    pub fn encode(
        &self,
        mapping: &Mapping<V4l2Output>,
        timeout: Duration,
    ) -> Result<Coded, V4l2Error> {
        self.input.queue(mapping, timeout)?;
        let taken = dequeue_good(&self.device, BufferType::Capture, Memory::Mmap, timeout);
        self.input.finish(timeout)?;
        let taken = taken?;
        let memory = self.coded.get(taken.index as usize);
        let memory = memory.ok_or_else(|| V4l2Error::Driver {
            device: self.device.name().to_owned(),
            what: format!("it gave buffer {}, of {}", taken.index, self.coded.len()),
        })?;
        Ok(Coded {
            index: taken.index,
            memory: memory.clone(),
            bytes: taken.bytes_used,
        })
    }

    /// Gives a coded frame's memory back to the encoder.
    ///
    /// # Errors
    /// [`V4l2Error::Ioctl`].
    pub fn recycle(&self, coded: Coded) -> Result<(), V4l2Error> {
        self.give(coded.index)
    }

    fn give(&self, index: u32) -> Result<(), V4l2Error> {
        let queued = Queued {
            index,
            dmabuf: None,
            bytes_used: 0,
        };
        queue(&self.device, BufferType::Capture, queued)
    }
}

/// A decoder of FWHT: reads coded frames from dma-bufs, and writes pictures into dma-bufs.
#[derive(Debug)]
pub struct Decoder {
    device: V4l2Device,
    format: Fourcc,
    extent: Extent,
    /// Set when the first frame has told the driver what the pictures are.
    output: Option<VideoFormat>,
}

impl Decoder {
    /// Opens a decoder, or the first there is, for coded frames of this extent, to be decoded to this
    /// format.
    ///
    /// # Errors
    /// As [`V4l2Capture::open`](super::V4l2Capture::open).
    pub fn open(path: Option<&Path>, format: Fourcc, extent: Extent) -> Result<Self, V4l2Error> {
        let device = open(path, BufferType::Output, "a decoder of FWHT")?;
        let offered = offered(&device, BufferType::Capture);
        if code(format).is_none() || !offered.contains(&format) {
            return Err(V4l2Error::Format {
                device: device.name().to_owned(),
                asked: format,
                offered,
            });
        }
        let coded = PixFormat::new(extent.width, extent.height, FWHT);
        sys::set_format(device.as_fd(), BufferType::Output, coded)
            .map_err(device.failed("VIDIOC_S_FMT"))?;
        sys::request_buffers(device.as_fd(), BufferType::Output, Memory::DmaBuf, 1)
            .map_err(device.failed("VIDIOC_REQBUFS (V4L2_MEMORY_DMABUF)"))?;
        stream_on(&device, BufferType::Output)?;
        Ok(Self {
            device,
            format,
            extent,
            output: None,
        })
    }

    /// The device.
    pub fn device(&self) -> &V4l2Device {
        &self.device
    }

    /// Decodes a frame into `target`, which nobody else may use meanwhile, and waits until that is done.
    ///
    /// # Errors
    /// [`V4l2Error::Driver`]: the target's rows do not lie as the driver writes them, or the frame is
    /// damaged; [`V4l2Error::Silence`]; [`V4l2Error::Ioctl`].
    pub fn decode(
        &mut self,
        coded: &Coded,
        target: &DmaBuf,
        timeout: Duration,
    ) -> Result<(), V4l2Error> {
        let device = &self.device;
        let length = |memory: &DmaBufMemory| u32::try_from(memory.size()).unwrap_or(u32::MAX);
        let slot = |memory, bytes_used| Queued {
            index: 0,
            dmabuf: Some((DmaBufMemory::as_fd(memory), length(memory))),
            bytes_used,
        };
        let coded = slot(&coded.memory, coded.bytes);
        queue(device, BufferType::Output, coded)?;
        if self.output.is_none() {
            // The first frame has told the driver what to expect; only now can its format be set.
            let (format, _) =
                VideoFormat::set(device, BufferType::Capture, self.format, self.extent)?;
            sys::request_buffers(device.as_fd(), BufferType::Capture, Memory::DmaBuf, 2)
                .map_err(device.failed("VIDIOC_REQBUFS (V4L2_MEMORY_DMABUF)"))?;
            stream_on(device, BufferType::Capture)?;
            self.output = Some(format);
        }
        let fits = self.output.is_some_and(|format| {
            target.layout().planes() == format.planes() && target.format() == format.format
        });
        let memory = target.memories().first().filter(|_| fits);
        let memory = memory.ok_or_else(|| V4l2Error::Driver {
            device: device.name().to_owned(),
            what: "its pictures do not lie as the target's rows do".to_owned(),
        })?;
        queue(device, BufferType::Capture, slot(memory, 0))?;
        dequeue_good(device, BufferType::Capture, Memory::DmaBuf, timeout)?;
        dequeue_good(device, BufferType::Output, Memory::DmaBuf, timeout)?;
        Ok(())
    }
}
