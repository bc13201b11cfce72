//! The devices that the operations run on.

use std::cell::{OnceCell, RefCell};
use std::env;
use std::ffi::CStr;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ash::vk;
use dmashare::Fourcc;
use dmashare_vk::{AdoptedDevice, QueueLock};

use crate::floor::{self, Exported, Exporter, SupportedModifier, Vulkan};
use crate::{Screen, Size};

/// The format of all images, for Vulkan.
pub const FORMAT: vk::Format = vk::Format::B8G8R8A8_UNORM;
/// The format of all images, for the kernel and the library.
pub const FOURCC: Fourcc = Fourcc::XRGB8888;
/// What all images are for, for the library.
pub const USAGE: dmashare::Usage = dmashare::Usage::RENDER;
/// What all images are for, for Vulkan.
pub const VULKAN_USAGE: vk::ImageUsageFlags = vk::ImageUsageFlags::COLOR_ATTACHMENT;

/// Two Vulkan devices of the same physical device, and a card with a display, opened when an
/// operation first needs it.
///
/// `DMASHARE_BENCH_DEVICE` (part of a device's name) and `DMASHARE_BENCH_CARD` (a path) choose which.
/// The library adopts the very devices that the floor uses.
#[derive(Debug)]
pub struct Machine {
    exporter: Arc<Vulkan>,
    importer: Arc<Vulkan>,
    card: OnceCell<(PathBuf, OwnedFd)>,
    screen: RefCell<Option<(Size, Rc<Screen>)>>,
}

impl Machine {
    /// Opens the Vulkan devices.
    ///
    /// # Errors
    /// When there is none that can share images; it says what is missing.
    pub fn open() -> Result<Self> {
        let name = Self::device_name();
        Ok(Self {
            exporter: Vulkan::open(&name)?,
            importer: Vulkan::open(&name)?,
            card: OnceCell::new(),
            screen: RefCell::new(None),
        })
    }

    /// A part of the name of the Vulkan device to use, empty if any will do.
    pub fn device_name() -> String {
        env::var("DMASHARE_BENCH_DEVICE").unwrap_or_default()
    }

    /// The device that exports.
    pub fn exporter(&self) -> &Arc<Vulkan> {
        &self.exporter
    }

    /// The device that imports.
    pub fn importer(&self) -> &Arc<Vulkan> {
        &self.importer
    }

    /// A device as the library's.
    ///
    /// # Errors
    /// When the library refuses it.
    pub fn adopt(vulkan: &Arc<Vulkan>) -> Result<dmashare_vk::Device> {
        let (queue, queue_family) = vulkan.queue();
        let adopted = AdoptedDevice {
            entry: vulkan.entry().clone(),
            instance: vulkan.instance().clone(),
            physical_device: vulkan.physical_device(),
            device: vulkan.device().clone(),
            enabled_extensions: floor::EXTENSIONS.map(CStr::to_owned).to_vec(),
            timeline_semaphore: true,
            synchronization2: true,
            sampler_ycbcr_conversion: false,
            queue_family,
            queue,
            queue_lock: QueueLock::new(),
            keep_alive: Some(vulkan.clone()),
        };
        // SAFETY: everything is of this device, the extensions and features are those that it was
        // made with, it lives as long as `keep_alive`, and nobody uses its queue meanwhile: each
        // operation waits for its own work, all on one thread.
        Ok(unsafe { dmashare_vk::Device::adopt(adopted) }?)
    }

    /// With which modifiers images of `size` can be shared.
    ///
    /// # Errors
    /// When there is none.
    pub fn modifiers(&self, size: Size) -> Result<Vec<SupportedModifier>> {
        floor::supported_modifiers(&self.exporter, FORMAT, size.into(), VULKAN_USAGE)
    }

    /// The floor's exporter of images that may have any modifier.
    ///
    /// # Errors
    /// When the device can share none.
    pub fn floor_exporter(&self, size: Size) -> Result<Exporter> {
        Ok(self.exporter_with(size, &self.modifiers(size)?))
    }

    /// The floor's importer of such images.
    pub fn floor_importer(&self, size: Size, exported: &Exported) -> floor::Importer {
        floor::Importer::new(
            &self.importer,
            FORMAT,
            size.into(),
            VULKAN_USAGE,
            exported.modifier,
            &exported.planes,
        )
    }

    /// An image that every display can read: with modifier LINEAR.
    ///
    /// # Errors
    /// When the device cannot share such images.
    pub fn export_linear(&self, size: Size) -> Result<Exported> {
        let linear: Vec<_> = self
            .modifiers(size)?
            .into_iter()
            .filter(|one| one.modifier == dmashare::Modifier::LINEAR.as_raw())
            .collect();
        if linear.is_empty() {
            bail!("{} cannot share LINEAR images", self.exporter.name());
        }
        self.exporter_with(size, &linear).export()
    }

    /// The three images that a display shows in turns. Both sides show the same memory: how long a
    /// driver takes to map it differs from one buffer to the next.
    ///
    /// # Errors
    /// As [`export_linear`](Self::export_linear).
    pub fn screen(&self, size: Size) -> Result<Rc<Screen>> {
        let mut screen = self.screen.borrow_mut();
        if let Some((known, screen)) = &*screen
            && *known == size
        {
            return Ok(screen.clone());
        }
        let images = [
            self.export_linear(size)?,
            self.export_linear(size)?,
            self.export_linear(size)?,
        ];
        let new = Rc::new(Screen::new(images));
        *screen = Some((size, new.clone()));
        Ok(new)
    }

    fn exporter_with(&self, size: Size, modifiers: &[SupportedModifier]) -> Exporter {
        Exporter::new(&self.exporter, FORMAT, size.into(), VULKAN_USAGE, modifiers)
    }

    fn card(&self) -> Result<&(PathBuf, OwnedFd)> {
        if self.card.get().is_none() {
            let path = env::var_os("DMASHARE_BENCH_CARD");
            let card = floor::open_card(path.as_deref().map(Path::new))?;
            // Just seen to be empty, and the cell is not shared between threads.
            let _ = self.card.set(card);
        }
        self.card.get().context("the card was opened above")
    }

    /// The card's path.
    ///
    /// # Errors
    /// When there is no card with a display.
    pub fn card_path(&self) -> Result<&Path> {
        Ok(&self.card()?.0)
    }

    /// A descriptor of the one open card: whoever has one is DRM master with it.
    ///
    /// # Errors
    /// When there is no card with a display.
    pub fn card_file(&self) -> Result<OwnedFd> {
        Ok(self.card()?.1.try_clone()?)
    }

    /// The card opened once more, with GEM handles of its own, and not DRM master.
    ///
    /// # Errors
    /// When there is no card with a display.
    pub fn another_card_file(&self) -> Result<OwnedFd> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.card_path()?)?;
        Ok(file.into())
    }
}
