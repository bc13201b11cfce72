//! Fences between displays and Vulkan devices.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use dmashare::{
    Access, Extent, Fence, FenceError, FenceStatus, Fourcc, Mapping, SharedBuffer, SyncFile, Usage,
};
use dmashare_drm::{Card, Commit, Event, Output, OutputCommit, PlaneCommit};
use dmashare_lab_probe::{SwSyncTimeline, within_time_limit};
use dmashare_vk::Device;
use support::display::open_display;
use support::{device, displays, map, new_buffer};

const A_WHILE: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(8);

struct Screen {
    card: Card,
    output: Output,
}

impl Screen {
    fn open() -> Self {
        let (card, output) = open_display(0);
        Self { card, output }
    }

    /// A buffer of the device, and its mapping for the card.
    fn picture(&self, device: &Device) -> (SharedBuffer, Mapping<Card>) {
        let usage = Usage::RENDER | Usage::SCANOUT;
        let buffer = new_buffer(device, Extent::new(640, 480), Fourcc::XRGB8888, usage);
        let mapping = map(&buffer, &self.card);
        (buffer, mapping)
    }

    fn commit(&self, plane: PlaneCommit) -> SyncFile {
        let output = OutputCommit::new(&self.output)
            .mode(self.output.mode("640x480").unwrap())
            .plane(plane);
        let commit = Commit::new().output(output);
        let (_, mut fences) = self.card.commit_with_out_fences(&commit).unwrap();
        fences.remove(0).1
    }

    fn flipped(&self) {
        let mut events = Vec::new();
        let is_flip = |event: &Event| matches!(event, Event::Flip { .. });
        while !events.iter().any(is_flip) {
            events = self.card.wait_events(LONG).unwrap().into_iter().collect();
            assert!(!events.is_empty(), "no flip");
        }
    }
}

/// Submits nothing but the waits and signals.
fn submit_empty(device: &Device, mapping: &Mapping<Device>, access: Access) -> Fence {
    let submission = device.submission([mapping.used_for(access)]).unwrap();
    // SAFETY: there are no command buffers.
    unsafe { submission.submit(&[]) }.unwrap()
}

/// A display's out-fence in a buffer's reservation holds the device's queue up: for writers if it is
/// there as a read, for readers and writers if it is there as a write.
#[test]
fn a_device_waits_for_a_displays_out_fence_and_then_proceeds() {
    let _displays = displays();
    within_time_limit(|| {
        let device = device();
        let screen = Screen::open();
        let (_, first) = screen.picture(&device);
        let (_, second) = screen.picture(&device);
        screen.commit(PlaneCommit::primary(&first));
        screen.flipped();
        for (shown, stands_for) in [(&second, Access::Read), (&first, Access::Write)] {
            let (own, _) = screen.picture(&device);
            let mapping = map(&own, &device);
            let timeline = SwSyncTimeline::new();
            let gate = SyncFile::new(timeline.fence(1)).unwrap().into();
            let out_fence = screen.commit(PlaneCommit::primary(shown).fence(&gate));
            assert_eq!(out_fence.status().unwrap(), FenceStatus::Pending);
            own.add_fence(stands_for, out_fence.into()).unwrap();
            let read = submit_empty(&device, &mapping, Access::Read);
            let held_up = match stands_for {
                Access::Read => {
                    read.wait(LONG).unwrap();
                    submit_empty(&device, &mapping, Access::Write)
                }
                Access::Write => read,
            };
            assert!(matches!(
                held_up.wait(A_WHILE),
                Err(FenceError::Timeout { .. })
            ));
            timeline.increment(1);
            held_up.wait(LONG).unwrap();
            assert_eq!(held_up.status(), FenceStatus::Signalled);
            screen.flipped();
        }
    });
}

/// The same buffer, drawn by the device behind a client's fence, and shown while the client still
/// holds it: each waits for the one before.
#[test]
fn a_display_waits_for_a_device_that_waits_for_a_client() {
    let _displays = displays();
    within_time_limit(|| {
        let device = device();
        let screen = Screen::open();
        let (_, first) = screen.picture(&device);
        let (shared, second) = screen.picture(&device);
        screen.commit(PlaneCommit::primary(&first));
        screen.flipped();
        let guard = shared.export("client").unwrap();
        let drawn = map(&shared, &device);
        let client = SwSyncTimeline::new();
        let fence = SyncFile::new(client.fence(1)).unwrap().into();
        guard.dmabuf().add_fence(Access::Write, &fence).unwrap();
        std::thread::scope(|scope| {
            // The driver may keep the submitting thread until the work is done.
            let draws = scope.spawn(|| submit_empty(&device, &drawn, Access::Write));
            std::thread::sleep(A_WHILE);
            assert_eq!(
                guard.dmabuf().fences(Access::Read).unwrap().status(),
                FenceStatus::Pending
            );
            client.increment(1);
            draws.join().unwrap().wait(LONG).unwrap();
        });
        screen.commit(PlaneCommit::primary(&second));
        screen.flipped();
    });
}
