//! Cameras: their buffers leave as dma-bufs.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmashare::{
    Allocation, Backing, BufferDesc, DmaBufMemory, ExportError, Exporter, Extent, FenceSet, Fourcc,
    ImportError, Importer, Mapping, Modifier, Placement,
};

use crate::device::V4l2Device;
use crate::error::V4l2Error;
use crate::format::{VideoFormat, offered};
use crate::queue::{SlotUses, dequeue, queue_when_ready};
use crate::sys::{self, BUFFER_ERROR, BufferType, Memory, PixFormat, Queued};

/// A camera, in one format. Clones share the open device; it is closed, and stops, when the last clone
/// and the last buffer are gone.
///
/// As an [`Exporter`] it makes one buffer of the driver's memory after the other
/// (`VIDIOC_CREATE_BUFS`, `VIDIOC_EXPBUF`), in the camera's format only. A buffer that is let go leaves
/// the driver's table (`VIDIOC_REMOVE_BUFS`); before Linux 6.10, or while the camera has it, it stays there
/// until the camera is closed. Its memory goes with its last user.
///
/// As an [`Importer`] it takes its own buffers only: attach each, and [`queue`](Self::queue) the mapping
/// to have it filled.
#[derive(Clone, Debug)]
pub struct V4l2Capture {
    inner: Arc<Inner>,
}

#[derive(Debug)]
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
    /// - [`V4l2Error::WrongKind`]: it is not a camera.
    /// - [`V4l2Error::Format`], [`V4l2Error::Size`]: it has no such frames.
    /// - [`V4l2Error::Ioctl`]: among others `EBUSY`, another program has its buffers.
    pub fn open(path: Option<&Path>, format: Fourcc, extent: Extent) -> Result<Self, V4l2Error> {
        let device = V4l2Device::of_kind(
            path,
            "a camera",
            V4l2Device::is_camera,
            &format!("camera with {format}"),
            |device| offered(device, BufferType::Capture).contains(&format),
        )?;
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

    /// The format of its frames.
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
        self.inner.device.stream_on(BufferType::Capture)?;
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
        self.inner.device.stream_off(BufferType::Capture)?;
        state.streaming = false;
        state.slots.iter().for_each(SlotUses::end);
        Ok(())
    }

    /// Gives a buffer to the camera, to be filled (`VIDIOC_QBUF`), after waiting on the CPU, up to
    /// `timeout`, for all who use it. A display's use ends in its dispatch, so where one thread does
    /// both, look first ([`SharedBuffer::ready`](dmashare::SharedBuffer::ready)). From here on the
    /// buffer carries a write fence, until [`wait_frame`](Self::wait_frame) returns it.
    ///
    /// # Errors
    /// - [`V4l2Error::NotAttached`]: the mapping is of another camera.
    /// - [`V4l2Error::NotReady`], [`V4l2Error::Submit`]: it cannot be written yet, or not any more.
    /// - [`V4l2Error::Ioctl`]: the driver refuses (`EINVAL`: the camera has the buffer already).
    pub fn queue(&self, mapping: &Mapping<Self>, timeout: Duration) -> Result<(), V4l2Error> {
        let device = &self.inner.device;
        let buffer = mapping.object();
        if !Arc::ptr_eq(&mapping.importer().inner, &self.inner) {
            return Err(device.not_attached(mapping.buffer_name()));
        }
        queue_when_ready(device, &mapping.write(), timeout, || {
            let mut state = self.state();
            let slot = &mut state.slots[buffer.index as usize];
            slot.begin(|| device.queue(BufferType::Capture, Queued::to_fill(buffer.index)))
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
        move |source| ExportError::Device {
            exporter: self.inner.device.name().to_owned(),
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
        Ok(CameraBuffer { index: own.index })
    }

    fn retire(&self, _object: CameraBuffer, _after: FenceSet) {
        // It is a number; the driver's buffer goes with the backing.
    }
}
