//! Which route a device gets, and what is told of it.

use std::sync::atomic::Ordering::SeqCst;

use dmashare::route::{CpuRows, Detour, Route, RoutePolicy, Routes, ShadowReason};
use dmashare::{AccessConstraint, Damage, Placements, RouteError, SharedBuffer};

use crate::picky::{
    BYTES, Picky, WideHeap, content, desc, everything, fill, fixed, memory, movable, never, pixels,
    reason, routes, shadowed, wide_routes,
};

#[test]
fn a_device_that_takes_the_buffer_copies_nothing() {
    let buffer = fixed("taken");
    let routes = routes();
    let attachment = routes
        .attach(&buffer, &Picky::anything(), RoutePolicy::Automatic, never())
        .unwrap();
    buffer.written(&Damage::whole());
    let mapping = attachment.map().unwrap();
    assert_eq!(mapping.object().id(), buffer.backing().dmabuf().id());
    assert_eq!(attachment.route(), Route::Direct);
    assert!(attachment.shadow().is_none());
    assert_eq!(attachment.bytes_copied(), 0);
    let statistics = routes.statistics();
    assert_eq!((statistics.direct, statistics.shadows), (1, 0));
    assert_eq!(statistics.bytes_copied, 0);
}

#[test]
fn a_stride_that_the_device_demands_makes_a_shadow() {
    let buffer = fixed("narrow");
    fill(buffer.backing().dmabuf(), everything(), 7);
    let mut display = Picky::anything();
    display.demand.stride_alignment = 1024;
    let attachment = routes()
        .attach(&buffer, &display, RoutePolicy::Automatic, never())
        .unwrap();
    assert!(matches!(
        reason(&attachment),
        ShadowReason::Unreachable { reason } if reason.contains("stride is 512")
    ));
    let mapping = attachment.map().unwrap();
    assert_eq!(mapping.object().layout().planes()[0].stride, 1024);
    assert_eq!(pixels(mapping.object()), content(&buffer));
    assert_eq!(attachment.bytes_copied(), BYTES);
    // Nothing has changed, so nothing is copied.
    drop(attachment.map().unwrap());
    assert_eq!(attachment.bytes_copied(), BYTES);
}

#[test]
fn a_refusal_at_import_makes_a_shadow_and_is_remembered() {
    let (buffer, display) = (fixed("refused"), Picky::of_strides(1024));
    let routes = wide_routes();
    let attach = || {
        routes
            .attach(&buffer, &display, RoutePolicy::Automatic, never())
            .unwrap()
    };
    let first = attach();
    assert!(matches!(
        reason(&first),
        ShadowReason::Refused { error }
            if error == "picky refuses the buffer in looking at strides: 512 is no multiple of 1024"
    ));
    // The buffer, and its shadow.
    assert_eq!(display.looks(), 2);
    assert_eq!(routes.statistics().refusals, 1);
    let second = attach();
    assert!(matches!(
        reason(&second),
        ShadowReason::RefusedBefore { .. }
    ));
    assert_eq!(display.looks(), 3, "only the second shadow");
    // Another buffer that lies in memory alike is not shown to it either.
    let alike = fixed("alike");
    let third = routes
        .attach(&alike, &display, RoutePolicy::Automatic, never())
        .unwrap();
    assert!(matches!(reason(&third), ShadowReason::RefusedBefore { .. }));
    routes.forget_refusals();
    assert!(matches!(reason(&attach()), ShadowReason::Refused { .. }));
}

#[test]
fn a_buffer_is_moved_for_a_device_or_kept_where_it_is() {
    let mut device = Picky::anything();
    device.demand = AccessConstraint::placements(Placements::SHMEM);
    let buffer = movable("kept");
    let place = buffer.backing().placement();
    let kept = routes()
        .attach(&buffer, &device, RoutePolicy::KeepInPlace, never())
        .unwrap();
    assert!(matches!(reason(&kept), ShadowReason::WouldMove { .. }));
    assert_eq!(buffer.backing().placement(), place);
    let shadow = kept.shadow().unwrap();
    assert_eq!(shadow.backing().placement(), dmashare::Placement::Shmem);
    drop(kept);
    let moved = routes()
        .attach(&buffer, &device, RoutePolicy::Automatic, never())
        .unwrap();
    assert_eq!(moved.route(), Route::Direct);
    assert_eq!(buffer.backing().placement(), dmashare::Placement::Shmem);
}

/// A device may have to make something to know its demand.
#[test]
fn a_map_does_not_ask_for_the_demand_again() {
    let device = Picky::anything();
    let buffer = movable("asked");
    let kept = routes()
        .attach(&buffer, &device, RoutePolicy::KeepInPlace, never())
        .unwrap();
    assert_eq!(kept.route(), Route::Direct);
    let asked = device.asked.load(SeqCst);
    drop((kept.map().unwrap(), kept.map().unwrap()));
    assert_eq!(device.asked.load(SeqCst), asked);
}

#[test]
fn a_buffer_that_is_pinned_elsewhere_is_copied() {
    let mut device = Picky::anything();
    device.demand = AccessConstraint::placements(Placements::SHMEM);
    let buffer = movable("pinned");
    let guard = buffer.export("a client").unwrap();
    let attachment = routes()
        .attach(&buffer, &device, RoutePolicy::Automatic, never())
        .unwrap();
    assert!(matches!(
        reason(&attachment),
        ShadowReason::Unreachable { reason } if reason.contains("a client")
    ));
    drop(guard);
}

#[test]
fn a_copy_can_be_asked_for_and_refused() {
    let buffer = fixed("asked");
    let asked = shadowed(&buffer);
    assert_eq!(reason(&asked), ShadowReason::Requested);
    let refused = wide_routes().attach(
        &buffer,
        &Picky::of_strides(1024),
        RoutePolicy::DirectOnly,
        never(),
    );
    assert!(matches!(refused, Err(RouteError::NotDirect { .. })));
}

#[test]
fn without_a_way_the_error_tells_all_that_was_tried() {
    let (buffer, device) = (fixed("lost"), Picky::of_strides(12_288));
    let routes = routes().with_detour(Detour::fixed(&WideHeap, CpuRows::default()));
    let attached = routes.attach(&buffer, &device, RoutePolicy::Automatic, never());
    let error = attached.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no route from 'lost' to picky: picky refuses the buffer in looking at strides: 512 is \
         no multiple of 12288\n  \
         - host memory copied by CPU rows: picky refuses the buffer in looking at strides: 512 is no \
         multiple of 12288\n  \
         - wide heap copied by CPU rows: picky refuses the buffer in looking at strides: 1024 is no \
         multiple of 12288"
    );
    assert!(
        buffer.attachments().is_empty(),
        "{:?}",
        buffer.attachments()
    );
    let none = Routes::new().attach(&buffer, &device, RoutePolicy::Automatic, never());
    assert!(
        none.unwrap_err()
            .to_string()
            .ends_with("no detour is known")
    );
    let report = serde_json::to_string(&dmashare::RuntimeReport::new()).unwrap();
    assert!(!report.contains("lost, shadow"), "{report}");
}

#[test]
fn a_device_that_refuses_the_buffer_after_a_move_gets_a_shadow() {
    // In host memory the rows are as wide as the device wants them, after the move they aren't.
    let mut wide = AccessConstraint::placements(Placements::HOST);
    wide.stride_alignment = 1024;
    let buffer = SharedBuffer::new_dynamic(&memory(), desc("moved"), &wide).unwrap();
    let device = Picky::of_strides(1024);
    let attachment = wide_routes()
        .attach(&buffer, &device, RoutePolicy::Automatic, never())
        .unwrap();
    assert_eq!(attachment.route(), Route::Direct);
    let away = AccessConstraint::placements(Placements::SHMEM);
    buffer.move_to(&away).unwrap();
    fill(buffer.backing().dmabuf(), everything(), 8);
    let mapping = attachment.map().unwrap();
    assert!(matches!(reason(&attachment), ShadowReason::Refused { .. }));
    assert_eq!(pixels(mapping.object()), content(&buffer));
}

#[test]
fn a_shadow_is_a_buffer_in_reports() {
    let buffer = fixed("reported");
    let attachment = shadowed(&buffer);
    let named = |report: dmashare::BufferReport| serde_json::to_value(report).unwrap();
    let shadow = named(attachment.shadow().unwrap().report());
    assert_eq!(shadow["name"], "reported, shadow for picky");
    let route = serde_json::to_value(attachment.route()).unwrap();
    assert_eq!(route["shadow"]["reason"]["why"], "requested");
    assert_eq!(route["shadow"]["engine"], "CPU rows");
    drop(attachment);
    let report = serde_json::to_string(&dmashare::RuntimeReport::new()).unwrap();
    assert!(!report.contains("reported, shadow"), "{report}");
    assert!(buffer.attachments().is_empty());
}
