//! Devices that read video from dma-bufs.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dmashare::{
    AccessConstraint, Backing, BufferDesc, DmaBuf, Extent, FenceSet, Fourcc, ImportError, Importer,
    Mapping, Modifier, RetireQueue,
};

use crate::device::V4l2Device;
use crate::error::V4l2Error;
use crate::format::{VideoFormat, offered};
use crate::queue::{SlotUses, dequeue_good, queue_when_ready};
use crate::sys::{BufferType, Memory, Queued};

/// Buffers that can be attached at once; drivers give as many slots at least.
const SLOTS: u32 = 8;

/// A device that reads uncompressed video in one format: a video output, or the input of an encoder.
/// Clones share the open device.
///
/// As an [`Importer`] it takes linear dma-bufs of that format, in one memory, whose rows lie exactly as
/// the driver's format says: the single-planar interface has no words for others. Each attached buffer
/// has a slot of its own, so that the driver attaches to a dma-buf once and not with every frame. The
/// kernel keeps a slot's dma-buf, also after the buffer was detached, until another takes the slot or the
/// device is closed.
#[derive(Clone, Debug)]
pub struct V4l2Output {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    device: Arc<V4l2Device>,
    format: VideoFormat,
    slots: Mutex<Vec<SlotState>>,
    retired: RetireQueue<Slot>,
}

#[derive(Debug)]
struct SlotState {
    uses: SlotUses,
    taken: bool,
}

/// A buffer's place in the queue: what a mapping holds.
#[derive(Debug)]
pub struct Slot {
    index: u32,
    fd: OwnedFd,
    length: u32,
}

impl V4l2Output {
    /// Opens a video output, or the first that has the format, and sets its format.
    ///
    /// # Errors
    /// As [`V4l2Capture::open`](crate::V4l2Capture::open).
    pub fn open(path: Option<&Path>, format: Fourcc, extent: Extent) -> Result<Self, V4l2Error> {
        let device = V4l2Device::of_kind(
            path,
            "a video output",
            V4l2Device::is_output,
            &format!("video output with {format}"),
            |device| offered(device, BufferType::Output).contains(&format),
        )?;
        let (format, _) = VideoFormat::set(&device, BufferType::Output, format, extent)?;
        Self::of_device(Arc::new(device), format)
    }

    /// The output queue of a device whose format is set.
    pub(crate) fn of_device(
        device: Arc<V4l2Device>,
        format: VideoFormat,
    ) -> Result<Self, V4l2Error> {
        let slots = device.request_buffers(BufferType::Output, Memory::DmaBuf, SLOTS)?;
        let slots = (0..slots).map(|_| SlotState {
            uses: SlotUses::new(&device),
            taken: false,
        });
        let slots = Mutex::new(slots.collect());
        Ok(Self {
            inner: Arc::new(Inner {
                device,
                format,
                slots,
                retired: RetireQueue::new(),
            }),
        })
    }

    /// The device.
    pub fn device(&self) -> &V4l2Device {
        &self.inner.device
    }

    /// What it takes.
    pub fn format(&self) -> VideoFormat {
        self.inner.format
    }

    /// Begins to read what is queued (`VIDIOC_STREAMON`).
    ///
    /// # Errors
    /// [`V4l2Error::Ioctl`].
    pub fn start(&self) -> Result<(), V4l2Error> {
        self.inner.device.stream_on(BufferType::Output)
    }

    /// Stops (`VIDIOC_STREAMOFF`): the device lets go of every buffer.
    ///
    /// # Errors
    /// [`V4l2Error::Ioctl`].
    pub fn stop(&self) -> Result<(), V4l2Error> {
        let mut slots = self.slots();
        self.inner.device.stream_off(BufferType::Output)?;
        slots.iter_mut().for_each(|slot| slot.uses.end());
        Ok(())
    }

    /// Gives a frame to the device (`VIDIOC_QBUF`), after waiting on the CPU, up to `timeout`, for all
    /// who write it. From here on the buffer carries a read fence, until [`finish`](Self::finish) has it
    /// back.
    ///
    /// # Errors
    /// As [`V4l2Capture::queue`](crate::V4l2Capture::queue).
    pub fn queue(&self, mapping: &Mapping<Self>, timeout: Duration) -> Result<(), V4l2Error> {
        let device = &self.inner.device;
        if !Arc::ptr_eq(&mapping.importer().inner, &self.inner) {
            return Err(device.not_attached(mapping.buffer_name()));
        }
        let slot = mapping.object();
        queue_when_ready(device, &mapping.read(), timeout, || {
            let mut slots = self.slots();
            let uses = &mut slots[slot.index as usize].uses;
            let queued = Queued {
                index: slot.index,
                dmabuf: Some((slot.fd.as_fd(), slot.length)),
                bytes_used: self.inner.format.size,
            };
            uses.begin(|| device.queue(BufferType::Output, queued))
        })
    }

    /// Waits until the device has read a frame, and ends its use of the buffer (`VIDIOC_DQBUF`).
    ///
    /// # Errors
    /// [`V4l2Error::Silence`]: it has not, in time; [`V4l2Error::Driver`], [`V4l2Error::Ioctl`].
    pub fn finish(&self, timeout: Duration) -> Result<(), V4l2Error> {
        let device = &self.inner.device;
        let taken = dequeue_good(device, BufferType::Output, Memory::DmaBuf, timeout)?;
        if let Some(slot) = self.slots().get_mut(taken.index as usize) {
            slot.uses.end();
        }
        Ok(())
    }

    fn slots(&self) -> MutexGuard<'_, Vec<SlotState>> {
        self.inner
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn let_go(&self, slot: &Slot) {
        if let Some(state) = self.slots().get_mut(slot.index as usize) {
            state.taken = false;
        }
    }

    /// Refuses what the device cannot read, or could only read wrongly.
    fn check(&self, dmabuf: &DmaBuf) -> Result<(), ImportError> {
        let format = &self.inner.format;
        let importer = || self.inner.device.name().to_owned();
        if dmabuf.format() != format.format {
            return Err(ImportError::UnsupportedFormat {
                importer: importer(),
                format: dmabuf.format(),
                supported: vec![format.format],
            });
        }
        if !dmabuf.extent().fits(format.extent) {
            return Err(ImportError::TooLarge {
                importer: importer(),
                extent: dmabuf.extent(),
                maximum: format.extent,
            });
        }
        if dmabuf.extent() != format.extent {
            return Err(ImportError::TooSmall {
                importer: importer(),
                extent: dmabuf.extent(),
                minimum: format.extent,
            });
        }
        let modifier = dmabuf.layout().modifier();
        if !modifier.is_linear() {
            return Err(ImportError::UnsupportedModifier {
                importer: importer(),
                format: dmabuf.format(),
                modifier,
                supported: vec![Modifier::LINEAR],
            });
        }
        let [memory] = dmabuf.memories() else {
            return Err(ImportError::Disjoint {
                importer: importer(),
                format: dmabuf.format(),
                reason: "the single-planar interface of V4L2 takes one memory",
            });
        };
        if memory.size() < u64::from(format.size) {
            return Err(ImportError::MemoryTooSmall {
                importer: importer(),
                required: format.size.into(),
                actual: memory.size(),
            });
        }
        let planes = dmabuf.layout().planes().iter().zip(format.planes());
        for (plane, (given, taken)) in planes.enumerate() {
            let (stride, offset) = (taken.stride, taken.offset);
            let refusal = if given.stride != stride {
                let apart = given.stride;
                format!("has rows {apart} bytes apart, and the device takes {stride}")
            } else if given.offset != offset {
                let begin = given.offset;
                format!("begins at byte {begin}, and the device takes {offset}")
            } else {
                continue;
            };
            return Err(ImportError::Refused {
                importer: importer(),
                operation: "the check of the layout",
                source: format!("plane {plane} {refusal}").into(),
            });
        }
        Ok(())
    }
}

impl Importer for V4l2Output {
    type Object = Slot;

    fn name(&self) -> &str {
        self.inner.device.name()
    }

    /// Its rows, where they are alike in all planes: the driver takes no others.
    fn constraint(&self, desc: &BufferDesc) -> AccessConstraint {
        let mut constraint = AccessConstraint::default();
        let format = &self.inner.format;
        let planes = format.planes();
        // Another image than the driver's is refused for what it is, at import.
        if (desc.format, desc.extent) == (format.format, format.extent)
            && let Some(first) = planes.first()
            && planes.iter().all(|plane| plane.stride == first.stride)
        {
            constraint.stride_alignment = first.stride;
        }
        constraint
    }

    fn import(&self, _desc: &BufferDesc, backing: &Backing) -> Result<Slot, ImportError> {
        self.check(backing.dmabuf())?;
        self.inner.retired.collect(|slot| self.let_go(&slot));
        let memory = &backing.dmabuf().memories()[0];
        let fd = memory.duplicate_fd()?;
        let mut slots = self.slots();
        let count = slots.len();
        let free = slots.iter_mut().zip(0..).find(|(slot, _)| !slot.taken);
        let Some((slot, index)) = free else {
            let device = self.inner.device.name().to_owned();
            let full = V4l2Error::NoSlot {
                device: device.clone(),
                slots: count,
            };
            return Err(ImportError::Device {
                importer: device,
                operation: "attaching",
                source: full.into(),
            });
        };
        slot.taken = true;
        Ok(Slot {
            index,
            fd,
            // A length that does not fit tells the driver of more than enough.
            length: u32::try_from(memory.size()).unwrap_or(u32::MAX),
        })
    }

    fn retire(&self, object: Slot, after: FenceSet) {
        if after.status().is_over() {
            self.let_go(&object);
        } else {
            self.inner.retired.push(object, after);
        }
    }
}
