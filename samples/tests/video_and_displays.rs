//! Cameras and encoders (vivid, vicodec) together with displays and Vulkan.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use dmashare::host::HostMemory;
use dmashare::{Access, BufferDesc, Extent, FenceStatus, Fourcc, Negotiation, SharedBuffer, Usage};
use dmashare_drm::PlaneKind;
use dmashare_v4l2::{Encoder, V4l2Capture, V4l2Error};
use support::display::open_display;
use support::{displays, map, shown_buffer};

const TIMEOUT: Duration = Duration::from_secs(10);
const SMALL: Extent = Extent::new(640, 360);
const LARGE: Extent = Extent::new(1280, 720);

#[test]
fn a_buffer_goes_back_to_the_camera_when_the_display_has_let_go_of_it() {
    let _displays = displays();
    let camera = V4l2Capture::open(None, Fourcc::XRGB8888, SMALL).unwrap();
    let (card, output) = open_display(0);
    let planes = output.planes().iter();
    let overlays = planes.filter(|plane| plane.kind() == PlaneKind::Overlay);
    assert_eq!(overlays.count(), 2);

    let frames: Vec<_> = (0..2)
        .map(|_| {
            let buffer = shown_buffer(&camera, SMALL, Fourcc::XRGB8888);
            let (filled, shown) = (map(&buffer, &camera), map(&buffer, &card));
            (buffer, filled, shown)
        })
        .collect();
    for (_, filled, _) in &frames {
        camera.queue(filled, Duration::ZERO).unwrap();
    }
    let (first, filled, shown) = &frames[0];
    assert_eq!(first.ready(Access::Read).status(), FenceStatus::Pending);
    let not_ready = |queued: Result<(), V4l2Error>| {
        assert!(
            matches!(queued, Err(V4l2Error::NotReady { .. })),
            "{queued:?}"
        );
    };
    not_ready(camera.queue(filled, Duration::ZERO));
    camera.start().unwrap();
    for expected in 0..2 {
        let frame = camera.wait_frame(TIMEOUT).unwrap().unwrap();
        assert_eq!(frame.index, expected);
        assert!(!frame.damaged);
    }
    assert_eq!(first.ready(Access::Read).status(), FenceStatus::Signalled);
    assert_eq!(camera.queued(), 0);

    let until_flip = || {
        let begun = Instant::now();
        while card.wait_events(TIMEOUT).unwrap().is_empty() {
            assert!(begun.elapsed() < TIMEOUT, "no flip");
        }
    };
    card.present(&output, shown, None).unwrap();
    until_flip();
    not_ready(camera.queue(filled, Duration::from_millis(100)));
    assert_eq!(camera.queued(), 0);
    card.present(&output, &frames[1].2, None).unwrap();
    until_flip();
    camera.queue(filled, Duration::ZERO).unwrap();
    assert_eq!(camera.wait_frame(TIMEOUT).unwrap().unwrap().index, 0);
    camera.stop().unwrap();
}

/// Host memory is laid out as an encoder wants it, and Vulkan and a display take that. Vulkan's own layout
/// is the driver's choice, which is not known before.
#[test]
fn an_encoder_negotiates() {
    let _displays = displays();
    let device = support::device();
    let (card, output) = open_display(0);
    let format = Fourcc::XRGB8888;
    let encoder = Encoder::open(None, format, SMALL).unwrap();
    let wanted = || BufferDesc::new("negotiated", SMALL, format, Usage::ENCODE);
    let memory = HostMemory::open().unwrap();
    let negotiated = Negotiation::new(wanted())
        .party(memory.party())
        .party(device.importer_party(&[format], Usage::RENDER).unwrap())
        .party(card.scanout_party(&output))
        .party(encoder.input().party())
        .solve()
        .unwrap();
    let desc = negotiated.desc().clone();
    assert!(
        desc.usage
            .contains(Usage::ENCODE | Usage::SCANOUT | Usage::RENDER)
    );
    let buffer = SharedBuffer::new_dynamic(&memory, desc, &negotiated.constraint()).unwrap();
    map(&buffer, encoder.input());
    map(&buffer, &card);
    map(&buffer, &device);

    let refused = Negotiation::new(wanted())
        .party(device.exporter_party(&[format], Usage::RENDER).unwrap())
        .party(encoder.input().party())
        .solve()
        .unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("2560"), "{refused}");

    let extent = Extent::new(656, 368);
    let encoder = Encoder::open(None, Fourcc::NV12, extent).unwrap();
    let wanted = BufferDesc::new("refused", extent, Fourcc::NV12, Usage::ENCODE);
    let refused = Negotiation::new(wanted)
        .party(HostMemory::open().unwrap().party())
        .party(encoder.input().party())
        .solve()
        .unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("vicodec") && refused.contains("656"),
        "{refused}"
    );
}

#[test]
fn a_camera_and_a_display_negotiate() {
    let _displays = displays();
    let camera = V4l2Capture::open(None, Fourcc::NV12, SMALL).unwrap();
    let (card, output) = open_display(0);
    let solve = |extent| {
        let desc = BufferDesc::new("frame", extent, Fourcc::NV12, Usage::SCANOUT);
        Negotiation::new(desc)
            .party(camera.party())
            .party(card.scanout_party(&output))
            .solve()
    };
    let negotiated = solve(SMALL).unwrap();
    let modifiers = negotiated.modifier_list();
    let frame = SharedBuffer::new(&camera, negotiated.desc().clone(), &modifiers).unwrap();
    let backing = frame.backing();
    let sizes = [backing.bytes()];
    negotiated
        .check_layout(backing.dmabuf().layout(), &sizes)
        .unwrap();
    map(&frame, &card);
    let refused = solve(LARGE).unwrap_err().to_string();
    assert!(refused.contains("vivid"), "{refused}");
}
