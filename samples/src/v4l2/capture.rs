//! Cameras: their buffers leave as dma-bufs.

use std::fmt;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmashare::{
    Allocation, Backing, BufferDesc, DmaBufMemory, ExportError, Exporter, Extent, FenceSet, Fourcc,
    ImportError, Importer, Mapping, Modifier, Placement,
};

use super::format::offered;
use super::queue::{SlotUses, dequeue, queue_when_ready};
use super::sys::{self, BUFFER_ERROR, BufferType, Memory, PixFormat, Queued};
use super::{V4l2Device, V4l2Error, VideoFormat};

const CAMERA: &str = "a camera";

/// A camera, in one format. Clones share the open device; it is closed, and stops, when the last clone
/// and the last buffer are gone.
///
/// As an [`Exporter`] it makes one buffer of the driver's memory after the other
/// (`VIDIOC_CREATE_BUFS`, `VIDIOC_EXPBUF`), in the camera's format only. A buffer that is let go leaves
/// the driver's table (`VIDIOC_REMOVE_BUFS`); before Linux 6.10, or while the camera has it, it stays there
/// until the camera is closed. Its memory goes with the last who has it.
///
/// As an [`Importer`] it takes its own buffers only: attach each, and [`queue`](Self::queue) the mapping
/// to have it filled.
#[derive(Clone)]
pub struct V4l2Capture {
    inner: Arc<Inner>,
}

struct Inner {
    device: V4l2Device,
    format: VideoFormat,
    pix: PixFormat,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the driver's index.
    slots: Vec<SlotUses>,
    streaming: bool,
    last_sequence: Option<u32>,
    dropped: u64,
}

/// A buffer of the camera, as a mapping holds it.
#[derive(Clone, Debug)]
pub struct CameraBuffer {
    index: u32,
    /// Which camera's: its state's address, which the buffer's backing keeps alive.
    camera: usize,
}

/// What a backing came from: a buffer in the driver's table, taken out when the backing goes.
struct Made {
    index: u32,
    camera: Arc<Inner>,
}

impl Drop for Made {
    fn drop(&mut self) {
        let device = &self.camera.device;
        let removed = sys::remove_buffer(device.as_fd(), BufferType::Capture, self.index);
        if let Err(error) = removed {
            tracing::debug!(
                device = device.name(),
                index = self.index,
                %error,
                "a buffer stays in the driver's table until the camera is closed"
            );
        }
    }
}

impl CameraBuffer {
    /// The driver's index, as in [`CapturedFrame::index`].
    pub fn index(&self) -> u32 {
        self.index
    }
}

/// A frame that was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapturedFrame {
    /// Which buffer it is in: [`CameraBuffer::index`].
    pub index: u32,
    /// The driver's count of frames; what is missing between two was not captured.
    pub sequence: u32,
    /// The driver says that the frame may be damaged.
    pub damaged: bool,
}

impl V4l2Capture {
    /// Opens a camera, or the first one that has the format, and sets its format.
    ///
    /// # Errors
    /// - As [`V4l2Device::open`]; [`V4l2Error::None`]: no camera has the format.
    /// - [`V4l2Error::WrongKind`]: it is no camera.
    /// - [`V4l2Error::Format`], [`V4l2Error::Size`]: it has no such frames.
    /// - [`V4l2Error::Ioctl`]: among others `EBUSY`, another program has its buffers.
    pub fn open(path: Option<&Path>, format: Fourcc, extent: Extent) -> Result<Self, V4l2Error> {
        let device = match path {
            Some(path) => V4l2Device::open(path)?,
            None => V4l2Device::find(&format!("camera with {format}"), |device| {
                device.is_camera() && offered(device, BufferType::Capture).contains(&format)
            })?,
        };
        device.require(V4l2Device::is_camera, CAMERA)?;
        let (format, pix) = VideoFormat::set(&device, BufferType::Capture, format, extent)?;
        Ok(Self {
            inner: Arc::new(Inner {
                device,
                format,
                pix,
                state: Mutex::default(),
            }),
        })
    }

    /// The device.
    pub fn device(&self) -> &V4l2Device {
        &self.inner.device
    }

    /// What its frames are.
    pub fn format(&self) -> VideoFormat {
        self.inner.format
    }

    /// Frames that the camera had no buffer for, or that were lost: gaps in the driver's count.
    pub fn dropped(&self) -> u64 {
        self.state().dropped
    }

    /// Begins to capture (`VIDIOC_STREAMON`).
    ///
    /// # Errors
    /// [`V4l2Error::Ioctl`]: among others `EINVAL` or `ENOBUFS`, it has too few buffers.
    pub fn start(&self) -> Result<(), V4l2Error> {
        let mut state = self.state();
        sys::stream(self.inner.device.as_fd(), BufferType::Capture, true)
            .map_err(self.inner.device.failed("VIDIOC_STREAMON"))?;
        state.streaming = true;
        state.last_sequence = None;
        Ok(())
    }

    /// Stops (`VIDIOC_STREAMOFF`): the camera lets go of every buffer that it has; the fences of those uses
    /// signal, although nothing new is in the buffers.
    ///
    /// # Errors
    /// [`V4l2Error::Ioctl`].
    pub fn stop(&self) -> Result<(), V4l2Error> {
        let mut state = self.state();
        sys::stream(self.inner.device.as_fd(), BufferType::Capture, false)
            .map_err(self.inner.device.failed("VIDIOC_STREAMOFF"))?;
        state.streaming = false;
        state.slots.iter().for_each(SlotUses::end);
        Ok(())
    }

    /// Gives a buffer to the camera, to be filled (`VIDIOC_QBUF`). Everyone who uses it is waited for
    /// on the CPU, up to `timeout`; a display's use ends in its dispatch, so look first
    /// ([`SharedBuffer::ready`](dmashare::SharedBuffer::ready)) where one thread does both. From here
    /// on the buffer carries a write fence, until [`wait_frame`](Self::wait_frame) has it.
    ///
    /// # Errors
    /// - [`V4l2Error::NotAttached`]: the mapping is of another camera.
    /// - [`V4l2Error::NotReady`], [`V4l2Error::Submit`]: it cannot be written yet, or not any more.
    /// - [`V4l2Error::Ioctl`]: the driver refuses (`EINVAL`: the camera has the buffer already).
    pub fn queue(&self, mapping: &Mapping<Self>, timeout: Duration) -> Result<(), V4l2Error> {
        let device = &self.inner.device;
        let buffer = mapping.object();
        if buffer.camera != self.identity() {
            return Err(V4l2Error::NotAttached {
                device: device.name().to_owned(),
                buffer: mapping.buffer_name().to_owned(),
            });
        }
        queue_when_ready(device, &mapping.write(), timeout, || {
            let mut state = self.state();
            let slot = &mut state.slots[buffer.index as usize];
            let fence = slot.begin();
            let queued = Queued {
                index: buffer.index,
                dmabuf: None,
                bytes_used: 0,
            };
            let result = sys::queue_buffer(device.as_fd(), BufferType::Capture, queued);
            result.map_err(|source| {
                slot.cancel();
                device.failed("VIDIOC_QBUF")(source)
            })?;
            Ok(fence)
        })
    }

    /// The next frame, for `timeout` at most (`VIDIOC_DQBUF`). `None`: not yet, or a signal came.
    ///
    /// # Errors
    /// [`V4l2Error::Driver`]: the camera has no buffer to fill, or has stopped;
    /// [`V4l2Error::Ioctl`]: the ioctl failed.
    pub fn wait_frame(&self, timeout: Duration) -> Result<Option<CapturedFrame>, V4l2Error> {
        let device = &self.inner.device;
        let Some(taken) = dequeue(device, BufferType::Capture, Memory::Mmap, timeout)? else {
            return Ok(None);
        };
        let mut state = self.state();
        if let Some(last) = state.last_sequence.replace(taken.sequence) {
            state.dropped += u64::from(taken.sequence.wrapping_sub(last).saturating_sub(1));
        }
        if let Some(slot) = state.slots.get(taken.index as usize) {
            slot.end();
        }
        Ok(Some(CapturedFrame {
            index: taken.index,
            sequence: taken.sequence,
            damaged: taken.flags & BUFFER_ERROR != 0,
        }))
    }

    /// How many buffers the camera has.
    pub fn queued(&self) -> usize {
        let state = self.state();
        state.slots.iter().filter(|slot| slot.is_used()).count()
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses what is not the camera's own format.
    fn check(&self, desc: &BufferDesc) -> Result<(), ExportError> {
        let format = &self.inner.format;
        let exporter = || self.inner.device.name().to_owned();
        if desc.format != format.format {
            return Err(ExportError::UnsupportedFormat {
                exporter: exporter(),
                format: desc.format,
                usage: desc.usage,
            });
        }
        if desc.extent != format.extent {
            return Err(ExportError::TooLarge {
                exporter: exporter(),
                extent: desc.extent,
                maximum: format.extent,
            });
        }
        Ok(())
    }

    fn failed(&self, operation: &'static str) -> impl Fn(std::io::Error) -> ExportError {
        let exporter = self.inner.device.name().to_owned();
        move |source| ExportError::Device {
            exporter: exporter.clone(),
            operation,
            source: source.into(),
        }
    }
}

impl Exporter for V4l2Capture {
    fn name(&self) -> &str {
        self.inner.device.name()
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        self.check(desc)?;
        Ok(vec![Modifier::LINEAR])
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        self.check(desc)?;
        if !modifiers.contains(&Modifier::LINEAR) {
            return Err(ExportError::UnsupportedModifier {
                exporter: self.inner.device.name().to_owned(),
                format: desc.format,
                asked: modifiers.to_vec(),
                offered: vec![Modifier::LINEAR],
            });
        }
        // Held all the time, so that indices and slots go together.
        let mut state = self.state();
        let device = &self.inner.device;
        let index = sys::create_buffer(device.as_fd(), BufferType::Capture, self.inner.pix)
            .map_err(self.failed("VIDIOC_CREATE_BUFS"))?;
        let made = Made {
            index,
            camera: self.inner.clone(),
        };
        while state.slots.len() <= index as usize {
            state.slots.push(SlotUses::new(device));
        }
        let fd = sys::export_buffer(device.as_fd(), BufferType::Capture, index)
            .map_err(self.failed("VIDIOC_EXPBUF"))?;
        let memory = DmaBufMemory::new(fd)?;
        let required = u64::from(self.inner.format.size);
        if memory.size() < required {
            return Err(ExportError::MemoryTooSmall {
                exporter: device.name().to_owned(),
                required,
                actual: memory.size(),
            });
        }
        let dmabuf = self.inner.format.dmabuf(memory)?;
        Ok(Allocation::new(dmabuf, Placement::Host, Arc::new(made)))
    }
}

impl Importer for V4l2Capture {
    type Object = CameraBuffer;

    fn name(&self) -> &str {
        self.inner.device.name()
    }

    fn import(&self, _desc: &BufferDesc, backing: &Backing) -> Result<CameraBuffer, ImportError> {
        let own = backing.origin::<Made>();
        let own = own.filter(|made| Arc::ptr_eq(&made.camera, &self.inner));
        let own = own.ok_or_else(|| ImportError::Unreachable {
            importer: self.inner.device.name().to_owned(),
            placement: backing.placement(),
            reason: "a camera fills the buffers that it made itself".to_owned(),
        })?;
        Ok(CameraBuffer {
            index: own.index,
            camera: self.identity(),
        })
    }

    fn retire(&self, _object: CameraBuffer, _after: FenceSet) {
        // It is a number; the driver's buffer goes with the backing.
    }
}

impl fmt::Debug for V4l2Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("V4l2Capture")
            .field("device", &self.inner.device)
            .field("format", &self.inner.format)
            .finish_non_exhaustive()
    }
}
