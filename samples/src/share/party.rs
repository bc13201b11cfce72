//! One of the two sides: a device, its image of the shared memory, and a painter.

use anyhow::{Context as _, Result, ensure};
use dmashare::{
    BufferDesc, DmaBuf, Extent, Fence, FenceStatus, Fourcc, Mapping, Modifier, SharedBuffer,
    Submission, SyncFile, Usage,
};
use dmashare_vk::{Device, PhysicalDevice};

use crate::capture::{Capture, Comparison};
use crate::painter::Painter;
use crate::picture::Picture;
use crate::pixel_format::{PixelFormat, list};
use crate::retirement::wait_for_retirement;

/// Drawn by either, read back by either.
const USAGE: Usage = Usage::RENDER.union(Usage::TRANSFER_SOURCE);

/// A device that draws into the shared memory and reads from it.
#[derive(Debug)]
pub(super) struct Party {
    shared: SharedBuffer,
    image: Mapping<Device>,
    painter: Painter,
    device: Device,
    read_back: u64,
}

impl Party {
    /// Allocates and exports the memory.
    pub(super) fn exporter(
        physical: &PhysicalDevice,
        name: &str,
        extent: Extent,
        format: Fourcc,
        modifiers: &[Modifier],
    ) -> Result<Self> {
        let device = Device::open(physical)?;
        let desc = BufferDesc::new(name, extent, format, USAGE);
        let shared = SharedBuffer::new(&device, desc, modifiers)
            .with_context(|| format!("{} cannot allocate and export", physical.name()))?;
        Self::new(device, shared)
    }

    /// Imports memory that is already a buffer of this process.
    pub(super) fn importer(physical: &PhysicalDevice, shared: &SharedBuffer) -> Result<Self> {
        Self::new(Device::open(physical)?, shared.clone())
    }

    /// Imports memory that came from another process.
    pub(super) fn importer_of(
        physical: &PhysicalDevice,
        name: &str,
        dmabuf: DmaBuf,
    ) -> Result<Self> {
        let desc = BufferDesc::new(name, dmabuf.extent(), dmabuf.format(), USAGE);
        Self::new(
            Device::open(physical)?,
            SharedBuffer::from_dmabuf(desc, dmabuf)?,
        )
    }

    fn new(device: Device, shared: SharedBuffer) -> Result<Self> {
        let format = shared.desc().format;
        Ok(Self {
            painter: Painter::new(&device, format)?,
            image: shared.attach(&device)?.map()?,
            shared,
            device,
            read_back: 0,
        })
    }

    pub(super) fn shared(&self) -> &SharedBuffer {
        &self.shared
    }

    /// Draws a frame, without waiting for it.
    pub(super) fn draw(&mut self, frame: u32) -> Result<Fence> {
        self.painter.draw(&self.image, frame)
    }

    /// Adds the fence of what another process draws: from here on every use of the buffer waits for it.
    pub(super) fn drawn_elsewhere(&self, fence: SyncFile) -> Result<()> {
        let submission = Submission::begin([self.image.write()])?;
        submission.commit(&Fence::from(fence));
        Ok(())
    }

    /// Reads the memory with this device and compares every pixel.
    pub(super) fn check(&mut self, frame: u32) -> Result<Comparison> {
        let bytes = self.device.transfer().download(&self.image)?;
        self.read_back += bytes.len() as u64;
        let desc = self.shared.desc();
        let capture = Capture::from_rows(desc.format, desc.extent, bytes)?;
        let format = PixelFormat::of(desc.format).context("the format was checked before")?;
        Ok(capture.compare(&Picture::new(desc.extent, frame), format))
    }

    /// Closes everything. Returns how many bytes the library copied in order to share, and how many were
    /// read back to be checked.
    pub(super) fn close(self) -> Result<(u64, u64)> {
        let Self {
            shared,
            image,
            painter,
            device,
            read_back,
        } = self;
        drop((painter, image, shared));
        wait_for_retirement(&[&device]);
        ensure!(device.retired() == 0, "the device does not come to rest");
        Ok((device.bytes_copied().saturating_sub(read_back), read_back))
    }
}

/// A sync_file of a fence, for another process; `None` if it has signalled already.
pub(super) fn sync_file(fence: &Fence) -> Result<Option<SyncFile>> {
    match fence.export_sync_file() {
        Ok(file) => Ok(Some(file)),
        // Some devices have no sync_file for what is over.
        Err(_) if fence.status() == FenceStatus::Signalled => Ok(None),
        Err(error) => Err(error).context("the frame's fence cannot be given to another process"),
    }
}

/// The modifiers that one device can export and the other import.
pub(super) fn shared_modifiers(
    exporter: &PhysicalDevice,
    importer: &PhysicalDevice,
    format: Fourcc,
) -> Result<Vec<Modifier>> {
    let formats = PixelFormat::all().iter().map(PixelFormat::fourcc);
    ensure!(
        PixelFormat::of(format).is_some(),
        "the picture cannot be drawn in {format}, only in {}",
        list(formats)
    );
    let taken = importer.modifiers(format, USAGE)?;
    let offered = exporter.modifiers(format, USAGE)?;
    let modifiers: Vec<Modifier> = offered
        .iter()
        .filter(|support| support.exportable)
        .map(|support| support.modifier)
        .filter(|modifier| {
            let mut taken = taken.iter().filter(|support| support.importable);
            taken.any(|support| support.modifier == *modifier)
        })
        .collect();
    ensure!(
        !modifiers.is_empty(),
        "{} and {} share no way to store {format}: {} can draw into {}, {} into {}",
        exporter.name(),
        importer.name(),
        exporter.name(),
        list(exporter.formats(USAGE)),
        importer.name(),
        list(importer.formats(USAGE)),
    );
    Ok(modifiers)
}
