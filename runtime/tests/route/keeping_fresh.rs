//! What is copied, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use dmashare::route::{CpuRows, Detour, RoutePolicy, RoutedMapError, Routes};
use dmashare::{
    Access, AccessConstraint, Damage, MapError, Mapping, Placements, Rectangle, SoftwareTimeline,
    Submission, SubmitError,
};

use crate::picky::{
    BYTES, Picky, content, everything, fill, fixed, memory, movable, never, pixels, routes,
    shadowed,
};

#[test]
fn only_the_damage_is_copied() {
    let buffer = fixed("damaged");
    let attachment = shadowed(&buffer);
    drop(attachment.map().unwrap());
    // All changes, and one percent of it is told: the rest must not arrive.
    fill(buffer.backing().dmabuf(), everything(), 9);
    let tenth = Rectangle::new(20, 30, 10, 5);
    buffer.written(&Damage::from(tenth));
    let before = attachment.bytes_copied();
    let mapping = attachment.map().unwrap();
    assert_eq!(attachment.bytes_copied() - before, BYTES / 100);
    let copy = pixels(mapping.object());
    for y in 0..50 {
        for x in 0..100 {
            let inside = (20..30).contains(&x) && (30..35).contains(&y);
            let pixel = (y * 100 + x) * 4;
            assert_eq!(copy[pixel] == 9, inside, "{x}, {y}");
        }
    }
}

#[test]
fn a_submission_tells_its_damage_or_has_changed_all() {
    let buffer = fixed("submitted");
    let device = Picky::anything();
    let writer = buffer.attach(&device).unwrap();
    let attachment = shadowed(&buffer);
    drop(attachment.map().unwrap());
    let gpu = SoftwareTimeline::new("gpu");
    gpu.signal(10);
    let copied = |uses: dmashare::MappingUse| {
        let before = attachment.bytes_copied();
        Submission::begin([uses]).unwrap().commit(&gpu.fence(1));
        drop(attachment.map().unwrap());
        attachment.bytes_copied() - before
    };
    let mapping = writer.map().unwrap();
    assert_eq!(copied(mapping.read()), 0);
    let corner = Damage::from(Rectangle::new(0, 0, 10, 10));
    assert_eq!(copied(mapping.write().damaging(corner)), 400);
    assert_eq!(copied(mapping.write().damaging(Damage::nothing())), 0);
    assert_eq!(copied(mapping.write()), BYTES);
    // Not submitted, so nothing was written.
    let before = attachment.bytes_copied();
    drop(Submission::begin([mapping.write()]).unwrap());
    drop(attachment.map().unwrap());
    assert_eq!(attachment.bytes_copied(), before);
}

#[test]
fn who_holds_descriptors_may_write_unseen() {
    let buffer = fixed("exported");
    let attachment = shadowed(&buffer);
    let guard = buffer.export("a camera").unwrap();
    let before = attachment.bytes_copied();
    drop(attachment.map().unwrap());
    drop(attachment.map().unwrap());
    assert_eq!(attachment.bytes_copied() - before, 2 * BYTES);
    drop(guard);
    drop(attachment.map().unwrap());
    assert_eq!(attachment.bytes_copied() - before, 2 * BYTES);
}

#[test]
fn nobody_writes_to_a_shadow() {
    let buffer = fixed("read only");
    let attachment = shadowed(&buffer);
    let mapping = attachment.map().unwrap();
    drop(Submission::begin([mapping.read()]).unwrap());
    assert!(matches!(
        Submission::begin([mapping.write()]),
        Err(SubmitError::WriteToShadow { buffer }) if buffer == "read only, shadow for picky"
    ));
}

#[test]
fn a_copy_waits_for_the_writer_and_forgets_nothing() {
    let buffer = fixed("slow");
    let engine = CpuRows::with_patience(Duration::from_millis(50));
    let routes = Routes::new().with_detour(Detour::moving(&memory(), engine));
    let attachment = routes
        .attach(
            &buffer,
            &Picky::anything(),
            RoutePolicy::ShadowOnly,
            never(),
        )
        .unwrap();
    drop(attachment.map().unwrap());
    let gpu = SoftwareTimeline::new("gpu");
    buffer.add_fence(Access::Write, gpu.fence(1)).unwrap();
    let before = attachment.bytes_copied();
    assert!(matches!(
        attachment.map(),
        Err(RoutedMapError::Shadow { source, .. })
            if source.to_string().contains("gpu")
    ));
    assert_eq!(attachment.bytes_copied(), before);
    fill(buffer.backing().dmabuf(), everything(), 3);
    gpu.signal(1);
    let mapping: Mapping<Picky> = attachment.map().unwrap();
    assert_eq!(pixels(mapping.object()), content(&buffer));
}

#[test]
fn the_copy_waits_for_the_shadows_readers() {
    let buffer = fixed("read");
    let engine = CpuRows::with_patience(Duration::from_millis(50));
    let routes = Routes::new().with_detour(Detour::moving(&memory(), engine));
    let device = Picky::anything();
    let attachment = routes
        .attach(&buffer, &device, RoutePolicy::ShadowOnly, never())
        .unwrap();
    let display = SoftwareTimeline::new("display");
    let mapping = attachment.map().unwrap();
    Submission::begin([mapping.read()])
        .unwrap()
        .commit(&display.fence(1));
    // The buffer itself is free: its next content can be drawn while the last one is shown.
    assert!(buffer.ready(Access::Write).status().is_over());
    fill(buffer.backing().dmabuf(), everything(), 5);
    let shown = pixels(mapping.object());
    buffer.written(&Damage::whole());
    assert!(matches!(
        attachment.map(),
        Err(RoutedMapError::Shadow { .. })
    ));
    assert_eq!(pixels(mapping.object()), shown);
    display.signal(1);
    assert_eq!(pixels(attachment.map().unwrap().object()), content(&buffer));
}

#[test]
fn pins_hold_the_shadow_and_the_buffer_moves_with_its_content() {
    let buffer = movable("free");
    let attachment = shadowed(&buffer);
    let pin = attachment.pin("scanout DP-1").unwrap();
    assert_eq!(buffer.pins(), 0);
    let shadow = attachment.shadow().unwrap();
    assert_eq!(shadow.pins(), 1);
    for round in 1..6_u8 {
        let place = match round % 2 {
            1 => Placements::SHMEM,
            _ => Placements::HOST,
        };
        buffer
            .move_to(&AccessConstraint::placements(place))
            .unwrap();
        fill(buffer.backing().dmabuf(), everything(), round);
        buffer.written(&Damage::whole());
        let mapping = attachment.map().unwrap();
        assert_eq!(pixels(mapping.object()), content(&buffer), "round {round}");
        assert_eq!(pixels(mapping.object())[0], round);
    }
    drop(pin);
}

#[test]
fn inside_a_submission_only_a_fresh_shadow_is_mapped() {
    let buffer = fixed("open");
    let attachment = shadowed(&buffer);
    let mapping = attachment.map().unwrap();
    let open = Submission::begin([mapping.read()]).unwrap();
    drop(attachment.map().unwrap());
    buffer.written(&Damage::whole());
    assert!(matches!(
        attachment.map(),
        Err(RoutedMapError::Map(MapError::WouldDeadlock { .. }))
    ));
    drop(open);
    drop(attachment.map().unwrap());
}

#[test]
fn a_steady_map_allocates_nothing() {
    let buffer = fixed("steady");
    for policy in [RoutePolicy::Automatic, RoutePolicy::ShadowOnly] {
        let attachment = routes()
            .attach(&buffer, &Picky::anything(), policy, never())
            .unwrap();
        drop(attachment.map().unwrap());
        let allocations = allocation_counter::measure(|| {
            for _ in 0..100 {
                drop(attachment.map().unwrap());
            }
        });
        assert_eq!(allocations.count_total, 0, "{policy:?}");
    }
}

#[test]
fn many_threads_map_one_shadow_while_it_changes() {
    let buffer = fixed("threads");
    let attachment = shadowed(&buffer);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let mapping = attachment.map().unwrap();
                    assert_eq!(pixels(mapping.object()).len(), 100 * 50 * 4);
                }
            });
        }
        for round in 0..50 {
            fill(buffer.backing().dmabuf(), everything(), round);
            buffer.written(&Damage::whole());
        }
    });
    assert_eq!(pixels(attachment.map().unwrap().object()), content(&buffer));
}

#[test]
fn the_callback_is_told_when_the_shadow_moves_and_not_when_the_buffer_does() {
    let buffer = movable("told");
    let moved = Arc::new(AtomicBool::new(false));
    let attachment = routes()
        .attach(
            &buffer,
            &Picky::anything(),
            RoutePolicy::ShadowOnly,
            moved.clone(),
        )
        .unwrap();
    let old = attachment.map().unwrap();
    let away = AccessConstraint::placements(Placements::SHMEM);
    buffer.move_to(&away).unwrap();
    drop(attachment.map().unwrap());
    assert!(!moved.load(SeqCst));
    assert!(!old.is_stale());
    let shadow = attachment.shadow().unwrap();
    let to = match shadow.backing().placement() {
        dmashare::Placement::Shmem => Placements::HOST,
        _ => Placements::SHMEM,
    };
    shadow.move_to(&AccessConstraint::placements(to)).unwrap();
    assert!(moved.load(SeqCst) && old.is_stale());
    assert!(matches!(
        Submission::begin([old.read()]),
        Err(SubmitError::Stale { .. })
    ));
    let new = attachment.map().unwrap();
    assert_eq!(pixels(new.object()), content(&buffer));
    // What is pinned does not move, and the refusal names the pin.
    let pin = attachment.pin("scanout DP-1").unwrap();
    let refused = shadow.move_to(&AccessConstraint::placements(Placements::all() & !to));
    assert!(refused.unwrap_err().to_string().contains("scanout DP-1"));
    drop(pin);
}

#[test]
fn a_map_waits_for_a_copy_that_another_thread_makes() {
    let buffer = fixed("copied elsewhere");
    let engine = CpuRows::with_patience(Duration::from_secs(20));
    let routes = Routes::new().with_detour(Detour::moving(&memory(), engine));
    let device = Picky::anything();
    let attachment = routes
        .attach(&buffer, &device, RoutePolicy::ShadowOnly, never())
        .unwrap();
    drop(attachment.map().unwrap());
    let gpu = SoftwareTimeline::new("gpu");
    buffer.add_fence(Access::Write, gpu.fence(1)).unwrap();
    std::thread::scope(|scope| {
        let read = || pixels(attachment.map().unwrap().object());
        let first = scope.spawn(read);
        // It has taken the damage, and waits for the writer.
        std::thread::sleep(Duration::from_millis(300));
        let second = scope.spawn(read);
        std::thread::sleep(Duration::from_millis(300));
        assert!(!second.is_finished(), "it has mapped what was not copied");
        fill(buffer.backing().dmabuf(), everything(), 4);
        gpu.signal(1);
        for reader in [first, second] {
            assert_eq!(reader.join().unwrap(), content(&buffer));
        }
    });
}
