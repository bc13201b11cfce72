//! A card's display: found, and set to a mode.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use drm::control::{
    AtomicCommitFlags, Device as ControlDevice, Mode, ResourceHandle, atomic::AtomicModeReq,
    connector, crtc, framebuffer, from_u32, plane, property,
};
use drm::{ClientCapability, Device};
use nix::fcntl::OFlag;

use super::Framebuffer;

/// An open card.
#[derive(Debug)]
struct Card(OwnedFd);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Device for Card {}
impl ControlDevice for Card {}

/// Opens `path`, or the first card that has a connected display and atomic commits.
///
/// # Errors
/// When there is none; it says what each card lacks.
pub fn open_card(path: Option<&Path>) -> Result<(PathBuf, OwnedFd)> {
    let paths = match path {
        Some(path) => vec![path.to_owned()],
        None => {
            let mut paths: Vec<_> = std::fs::read_dir("/dev/dri")
                .context("no display here (no /dev/dri); `cargo lab bench` brings its own")?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.to_string_lossy().starts_with("/dev/dri/card"))
                .collect();
            paths.sort();
            paths
        }
    };
    let mut refused = Vec::new();
    for path in paths {
        match open(&path) {
            Ok(fd) => return Ok((path, fd)),
            Err(error) => refused.push(format!("{}: {error:#}", path.display())),
        }
    }
    bail!(
        "no card with a display here ({}); `cargo lab bench` brings one",
        refused.join("; ")
    )
}

/// The name of the kernel's driver of an open card.
///
/// # Errors
/// When the card does not tell.
pub fn driver_name(card: OwnedFd) -> Result<String> {
    let driver = Card(card).get_driver()?;
    Ok(driver.name().to_string_lossy().into_owned())
}

fn open(path: &Path) -> Result<OwnedFd> {
    let file: File = OpenOptions::new().read(true).write(true).open(path)?;
    let card = Card(file.into());
    connected(&card)?;
    Ok(card.0)
}

fn connected(card: &Card) -> Result<connector::Info> {
    for capability in [ClientCapability::UniversalPlanes, ClientCapability::Atomic] {
        card.set_client_capability(capability, true)
            .context("it has no atomic commits")?;
    }
    for &handle in card.resource_handles()?.connectors() {
        let connector = card.get_connector(handle, true)?;
        // Listed when anyone has asked for them through this file; nobody sees what they show.
        let seen = connector.interface() != connector::Interface::Writeback;
        let connected = connector.state() == connector::State::Connected;
        if seen && connected && !connector.modes().is_empty() {
            return Ok(connector);
        }
    }
    bail!("nothing is connected to it")
}

/// One display: a connector, a CRTC that can drive it, and that CRTC's primary plane.
#[derive(Debug)]
pub struct Display {
    card: Card,
    connector: connector::Info,
    crtc: crtc::Handle,
    pub(super) plane: plane::Handle,
    pub(super) plane_properties: HashMap<String, property::Handle>,
}

impl Display {
    /// Finds the display of an open card.
    ///
    /// # Errors
    /// When nothing is connected to it.
    pub fn find(file: OwnedFd) -> Result<Self> {
        let card = Card(file);
        let connector = connected(&card)?;
        let resources = card.resource_handles()?;
        let crtc = connector
            .encoders()
            .iter()
            .filter_map(|&encoder| card.get_encoder(encoder).ok())
            .flat_map(|encoder| resources.filter_crtcs(encoder.possible_crtcs()))
            .next()
            .context("no CRTC can drive the connector")?;
        for plane in card.plane_handles()? {
            let info = card.get_plane(plane)?;
            let (properties, kind) = properties(&card, plane)?;
            if kind == Some(1)
                && resources
                    .filter_crtcs(info.possible_crtcs())
                    .contains(&crtc)
            {
                return Ok(Self {
                    card,
                    connector,
                    crtc,
                    plane,
                    plane_properties: properties,
                });
            }
        }
        bail!("the CRTC has no primary plane")
    }

    /// Its modes' sizes, each once.
    pub fn sizes(&self) -> Vec<(u32, u32)> {
        let sizes = self.connector.modes().iter().map(Mode::size);
        let mut sizes: Vec<_> = sizes.map(|(w, h)| (u32::from(w), u32::from(h))).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// The connector's id.
    pub fn connector(&self) -> u32 {
        self.connector.handle().into()
    }

    /// The CRTC's id.
    pub fn crtc(&self) -> u32 {
        self.crtc.into()
    }

    /// The first mode of this size.
    ///
    /// # Errors
    /// When there is none.
    pub fn mode(&self, size: (u32, u32)) -> Result<drm_ffi::drm_mode_modeinfo> {
        self.find_mode(size).copied().map(Into::into)
    }

    /// The display as a lease (`DRM_IOCTL_MODE_CREATE_LEASE`): a card of its own with this display
    /// alone, and DRM master there. It is on loan until it is closed, and can be used here meanwhile.
    ///
    /// # Errors
    /// When the kernel refuses: the display is leased already.
    pub fn lease(&self) -> Result<OwnedFd> {
        let objects = [
            self.connector.handle().into(),
            self.crtc.into(),
            self.plane.into(),
        ];
        let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let (_, file) = self
            .card
            .create_lease(&objects, flags.bits().cast_unsigned())
            .context("CREATE_LEASE")?;
        Ok(file)
    }

    fn find_mode(&self, (width, height): (u32, u32)) -> Result<&Mode> {
        self.connector
            .modes()
            .iter()
            .find(|mode| mode.size() == (mode_size(width), mode_size(height)))
            .with_context(|| format!("the display has no mode {width}x{height}"))
    }

    /// Sets the first mode of this size, showing `framebuffer`.
    ///
    /// # Errors
    /// When there is no such mode, or the kernel refuses: another program may hold the display.
    pub fn set_mode(&self, size: (u32, u32), framebuffer: &Framebuffer) -> Result<()> {
        let (width, height) = size;
        let mode = self.find_mode(size)?;
        let blob = self.card.create_property_blob(mode)?;
        let (connector, _) = properties(&self.card, self.connector.handle())?;
        let (crtc, _) = properties(&self.card, self.crtc)?;
        let framebuffer: framebuffer::Handle =
            from_u32(framebuffer.0).context("a framebuffer's id is not 0")?;
        let mut request = AtomicModeReq::new();
        let crtc_value = || property::Value::CRTC(Some(self.crtc));
        request.add_property(
            self.connector.handle(),
            get(&connector, "CRTC_ID")?,
            crtc_value(),
        );
        request.add_property(self.crtc, get(&crtc, "MODE_ID")?, blob);
        request.add_property(
            self.crtc,
            get(&crtc, "ACTIVE")?,
            property::Value::Boolean(true),
        );
        let plane = [
            ("FB_ID", property::Value::Framebuffer(Some(framebuffer))),
            ("CRTC_ID", crtc_value()),
            ("CRTC_X", property::Value::SignedRange(0)),
            ("CRTC_Y", property::Value::SignedRange(0)),
            ("CRTC_W", property::Value::UnsignedRange(width.into())),
            ("CRTC_H", property::Value::UnsignedRange(height.into())),
            ("SRC_X", property::Value::UnsignedRange(0)),
            ("SRC_Y", property::Value::UnsignedRange(0)),
            (
                "SRC_W",
                property::Value::UnsignedRange(u64::from(width) << 16),
            ),
            (
                "SRC_H",
                property::Value::UnsignedRange(u64::from(height) << 16),
            ),
        ];
        for (name, value) in plane {
            request.add_property(self.plane, get(&self.plane_properties, name)?, value);
        }
        self.card
            .atomic_commit(AtomicCommitFlags::ALLOW_MODESET, request)
            .context("the mode was refused; does another program hold the display?")
    }
}

fn mode_size(pixels: u32) -> u16 {
    u16::try_from(pixels).unwrap_or(u16::MAX)
}

pub(super) fn get(
    properties: &HashMap<String, property::Handle>,
    name: &str,
) -> Result<property::Handle> {
    properties
        .get(name)
        .copied()
        .with_context(|| format!("the driver has no property {name}"))
}

/// An object's properties by name, and the value of the one called `type`.
fn properties<T: ResourceHandle>(
    card: &Card,
    object: T,
) -> Result<(HashMap<String, property::Handle>, Option<u64>)> {
    let mut by_name = HashMap::new();
    let mut kind = None;
    for (&handle, &value) in &card.get_properties(object)? {
        let name = card
            .get_property(handle)?
            .name()
            .to_string_lossy()
            .into_owned();
        if name == "type" {
            kind = Some(value);
        }
        by_name.insert(name, handle);
    }
    Ok((by_name, kind))
}
