//! Stateful codecs (`dev-encoder.rst`, `dev-decoder.rst`), for frames that stand on their own: one goes
//! in, one comes out.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dmashare::{DmaBuf, DmaBufMemory, Extent, Fourcc, Mapping};

use crate::device::V4l2Device;
use crate::error::V4l2Error;
use crate::format::{FWHT, VideoFormat, code, offered};
use crate::output::V4l2Output;
use crate::queue::dequeue_good;
use crate::sys::{self, BufferType, Memory, PixFormat, Queued};

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

fn open(
    path: Option<&Path>,
    coded_side: BufferType,
    kind: &'static str,
) -> Result<V4l2Device, V4l2Error> {
    let is_codec = |device: &V4l2Device| {
        device.is_memory_to_memory() && device.codes(coded_side).contains(&FWHT)
    };
    let wanted = kind
        .split_once(' ')
        .map_or(kind, |(_, without_article)| without_article);
    V4l2Device::of_kind(path, kind, is_codec, wanted, |_| true)
}

/// Sets the format of the side with the coded frames.
fn set_coded_format(
    device: &V4l2Device,
    side: BufferType,
    extent: Extent,
) -> Result<(), V4l2Error> {
    let coded = PixFormat::new(extent.width, extent.height, FWHT);
    let set = sys::set_format(device.as_fd(), side, coded);
    set.map(drop).map_err(device.failed("VIDIOC_S_FMT"))
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
    /// As [`V4l2Capture::open`](crate::V4l2Capture::open).
    pub fn open(path: Option<&Path>, format: Fourcc, extent: Extent) -> Result<Self, V4l2Error> {
        let device = Arc::new(open(path, BufferType::Capture, "an encoder of FWHT")?);
        let (format, _) = VideoFormat::set(&device, BufferType::Output, format, extent)?;
        device.set_control(GOP_SIZE, ONE_FRAME)?;
        device.set_control(FWHT_I_FRAME_QP, BEST)?;
        set_coded_format(&device, BufferType::Capture, extent)?;
        let input = V4l2Output::of_device(device.clone(), format)?;
        let count = device.request_buffers(BufferType::Capture, Memory::Mmap, CODED_BUFFERS)?;
        let coded = (0..count).map(|index| device.export_buffer(index));
        let coded = coded.collect::<Result<Vec<_>, _>>()?;
        for index in 0..count {
            device.queue(BufferType::Capture, Queued::to_fill(index))?;
        }
        input.start()?;
        device.stream_on(BufferType::Capture)?;
        Ok(Self {
            device,
            input,
            coded,
        })
    }

    /// The side that reads frames: attach their buffers to it.
    pub fn input(&self) -> &V4l2Output {
        &self.input
    }

    /// The dma-bufs of coded frames.
    pub fn coded_memory(&self) -> &[DmaBufMemory] {
        &self.coded
    }

    /// Encodes a frame, once it is drawn, and waits until that is done: the buffer's use is over then.
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
        let memory = memory.ok_or_else(|| {
            let what = format!("it gave buffer {}, of {}", taken.index, self.coded.len());
            self.device.misbehaves(what)
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
        self.device
            .queue(BufferType::Capture, Queued::to_fill(coded.index))
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
    /// As [`V4l2Capture::open`](crate::V4l2Capture::open).
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
        set_coded_format(&device, BufferType::Output, extent)?;
        device.request_buffers(BufferType::Output, Memory::DmaBuf, 1)?;
        device.stream_on(BufferType::Output)?;
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

    /// Decodes a frame into `target`, which has no other user meanwhile, and waits until that is done.
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
        device.queue(BufferType::Output, coded)?;
        if self.output.is_none() {
            // The first frame has told the driver what to expect; only now can its format be set.
            let (format, _) =
                VideoFormat::set(device, BufferType::Capture, self.format, self.extent)?;
            device.request_buffers(BufferType::Capture, Memory::DmaBuf, 2)?;
            device.stream_on(BufferType::Capture)?;
            self.output = Some(format);
        }
        let fits = self.output.is_some_and(|format| {
            target.layout().planes() == format.planes() && target.format() == format.format
        });
        let memory = target.memories().first().filter(|_| fits);
        let memory = memory
            .ok_or_else(|| device.misbehaves("its pictures do not lie as the target's rows do"))?;
        device.queue(BufferType::Capture, slot(memory, 0))?;
        dequeue_good(device, BufferType::Capture, Memory::DmaBuf, timeout)?;
        dequeue_good(device, BufferType::Output, Memory::DmaBuf, timeout)?;
        Ok(())
    }
}
