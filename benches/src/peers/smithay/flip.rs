//! A display shows another of three framebuffers.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use smithay::backend::drm::{
    DrmDevice, DrmDeviceFd, DrmEvent, DrmSurface, PlaneConfig, PlaneState,
};
use smithay::reexports::calloop::EventLoop;
use smithay::reexports::drm::control::{Mode, framebuffer, from_u32};
use smithay::utils::{DeviceFd, Rectangle, Transform};

use crate::floor::{self, Display, Exported};
use crate::operation::DRAWING_TIME;
use crate::{Machine, Operation, Screen, Size};

/// A display shows another of three framebuffers, with an in-fence: one ATOMIC ioctl, in which
/// smithay sets the plane's whole configuration each time.
///
/// The display is leased: smithay refuses a card file that has framebuffers, and gives up DRM master
/// when it is gone, while here others have the same file. The framebuffers are the floor's, which stay
/// as long as the card is open: someone else may go back to them when this is gone.
#[derive(Debug)]
pub(super) struct Flip {
    events: EventLoop<'static, Vec<DrmEvent>>,
    surface: DrmSurface,
    device: DrmDevice,
    framebuffers: Vec<framebuffer::Handle>,
    fence: OwnedFd,
    size: (i32, i32),
    shown: usize,
    screen: Rc<Screen>,
}

impl Flip {
    pub(super) fn open(machine: &Machine, size: Size) -> Result<Self> {
        let screen = machine.screen(size)?;
        let exported = screen.images();
        let maker = floor::operation::framebuffers(machine.card_file()?, size, &exported[0])?;
        let framebuffer = |image: &Exported| {
            let added = maker.add(image.fd.as_fd())?;
            from_u32(added.id()).context("a framebuffer's id is not 0")
        };
        let framebuffers = exported
            .iter()
            .map(framebuffer)
            .collect::<Result<Vec<_>>>()?;
        let display = Display::find(machine.card_file()?)?;
        let crtc = from_u32(display.crtc()).context("a CRTC's id is not 0")?;
        let connector = from_u32(display.connector()).context("a connector's id is not 0")?;
        let mode = Mode::from(display.mode((size.width, size.height))?);

        let card = DrmDeviceFd::new(DeviceFd::from(display.lease()?));
        let (mut device, notifier) = DrmDevice::new(card, false)?;
        let surface = device.create_surface(crtc, mode, &[connector])?;
        let events = EventLoop::try_new()?;
        events
            .handle()
            .insert_source(notifier, |event, _, seen: &mut Vec<_>| seen.push(event))
            .map_err(|error| anyhow!("{error}"))?;
        let mut flip = Self {
            events,
            surface,
            device,
            framebuffers,
            fence: floor::signalled_fence(exported[0].fd.as_fd())?,
            size: (i32::try_from(size.width)?, i32::try_from(size.height)?),
            shown: 0,
            screen,
        };
        flip.surface.commit([flip.plane(0)], true)?;
        flip.screen.start();
        flip.settle()?;
        Ok(flip)
    }

    /// The primary plane with one of the framebuffers.
    fn plane(&self, shown: usize) -> PlaneState<'_> {
        PlaneState {
            handle: self.surface.plane(),
            config: Some(PlaneConfig {
                src: Rectangle::from_size(self.size.into()).to_f64(),
                dst: Rectangle::from_size(self.size.into()),
                transform: Transform::Normal,
                alpha: 1.0,
                damage_clips: None,
                fb: self.framebuffers[shown],
                fence: Some(self.fence.as_fd()),
            }),
        }
    }
}

impl Drop for Flip {
    fn drop(&mut self) {
        // So that smithay leaves the display on, as it is: someone else shows something on it.
        self.device.pause();
    }
}

impl Operation for Flip {
    fn prepare(&mut self, _times: usize) -> Result<()> {
        std::thread::sleep(DRAWING_TIME);
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        self.shown = self.screen.flip(self.shown);
        self.surface.page_flip([self.plane(self.shown)], true)?;
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        let mut seen = Vec::new();
        self.events
            .dispatch(Some(Duration::from_secs(1)), &mut seen)?;
        match seen.pop() {
            Some(DrmEvent::VBlank(_)) => Ok(()),
            Some(DrmEvent::Error(error)) => Err(error.into()),
            None => bail!("no flip within a second"),
        }
    }
}
