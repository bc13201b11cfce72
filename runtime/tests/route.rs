//! Routes: directly, or by a copy that is kept fresh.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use dmashare::host::HostMemory;
use dmashare::route::{
    CpuRows, Detour, Route, RoutePolicy, RoutedAttachment, Routes, ShadowReason,
};
use dmashare::{
    Access, AccessConstraint, Backing, BufferDesc, CpuAccess, Damage, Extent, FenceSet, Fourcc,
    ImportError, Importer, MapError, Mapping, Modifier, Placements, Rectangle, RouteError,
    SharedBuffer, SoftwareTimeline, Submission, SubmitError, Usage,
};
use proptest::prelude::*;

/// A device with demands, which counts what it looks at.
#[derive(Clone, Debug)]
struct Picky {
    demand: AccessConstraint,
    /// It refuses strides that are no multiple of this at import.
    stride: u32,
    looks: Arc<AtomicUsize>,
    /// How often it was asked for its demand.
    asked: Arc<AtomicUsize>,
}

impl Picky {
    fn anything() -> Self {
        Self {
            demand: AccessConstraint::default(),
            stride: 1,
            looks: Arc::default(),
            asked: Arc::default(),
        }
    }

    fn of_strides(stride: u32) -> Self {
        Self {
            stride,
            ..Self::anything()
        }
    }

    fn looks(&self) -> usize {
        self.looks.load(SeqCst)
    }
}

impl Importer for Picky {
    type Object = dmashare::DmaBuf;

    fn name(&self) -> &str {
        "picky"
    }

    fn constraint(&self, _desc: &BufferDesc) -> AccessConstraint {
        self.asked.fetch_add(1, SeqCst);
        self.demand.clone()
    }

    fn import(
        &self,
        _desc: &BufferDesc,
        backing: &Backing,
    ) -> Result<dmashare::DmaBuf, ImportError> {
        self.looks.fetch_add(1, SeqCst);
        let stride = backing.dmabuf().layout().planes()[0].stride;
        if !stride.is_multiple_of(self.stride) {
            return Err(ImportError::Refused {
                importer: "picky".into(),
                operation: "looking at strides",
                source: format!("{stride} is no multiple of {}", self.stride).into(),
            });
        }
        Ok(backing.dmabuf().clone())
    }

    fn retire(&self, _object: dmashare::DmaBuf, _after: FenceSet) {}
}

const EXTENT: Extent = Extent::new(100, 50);
const BYTES: u64 = 100 * 50 * 4;

fn never() -> Arc<AtomicBool> {
    Arc::default()
}

fn desc(name: &str) -> BufferDesc {
    let usage = Usage::CPU_READ | Usage::CPU_WRITE;
    BufferDesc::new(name, EXTENT, Fourcc::XRGB8888, usage)
}

/// A buffer with rows of 512 bytes, as heaps make them.
fn fixed(name: &str) -> SharedBuffer {
    SharedBuffer::new(&support::heap(), desc(name), &[Modifier::LINEAR]).unwrap()
}

fn movable(name: &str) -> SharedBuffer {
    let host = AccessConstraint::placements(Placements::HOST);
    SharedBuffer::new_dynamic(&memory(), desc(name), &host).unwrap()
}

fn memory() -> HostMemory {
    HostMemory::new(Some(support::heap()), Some(support::udmabuf()))
}

/// A way around over memory with any strides. Its shadows' rows are multiples of 1024 bytes only if
/// that is demanded.
fn routes() -> Routes {
    Routes::new().with_detour(Detour::moving(&memory(), CpuRows::default()))
}

/// A way around over rows of multiples of 1024 bytes, whatever is demanded.
fn wide_routes() -> Routes {
    Routes::new().with_detour(Detour::fixed(&WideHeap, CpuRows::default()))
}

/// Host memory with rows of multiples of 1024 bytes.
#[derive(Clone, Debug)]
struct WideHeap;

impl dmashare::Exporter for WideHeap {
    fn name(&self) -> &str {
        "wide heap"
    }

    fn modifiers(&self, _desc: &BufferDesc) -> Result<Vec<Modifier>, dmashare::ExportError> {
        Ok(vec![Modifier::LINEAR])
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        _modifiers: &[Modifier],
    ) -> Result<dmashare::Allocation, dmashare::ExportError> {
        let mut wanted = AccessConstraint::placements(Placements::HOST);
        wanted.stride_alignment = 1024;
        dmashare::DynamicExporter::allocate_in(&memory(), desc, &wanted)
    }
}

fn fill(dmabuf: &dmashare::DmaBuf, area: Rectangle, value: u8) {
    let mut access = CpuAccess::begin(dmabuf, Access::Write).unwrap();
    let mut row = vec![0; usize::try_from(EXTENT.width * 4).unwrap()];
    let start = usize::try_from(area.x * 4).unwrap();
    let end = start + usize::try_from(area.width * 4).unwrap();
    let first = u32::try_from(area.y).unwrap();
    for y in first..first + area.height {
        access.read_row(0, y, &mut row).unwrap();
        row[start..end].fill(value);
        access.write_row(0, y, &row).unwrap();
    }
}

fn pixels(dmabuf: &dmashare::DmaBuf) -> Vec<u8> {
    let access = CpuAccess::begin(dmabuf, Access::Read).unwrap();
    let mut all = Vec::new();
    let mut row = vec![0; usize::try_from(EXTENT.width * 4).unwrap()];
    for y in 0..EXTENT.height {
        access.read_row(0, y, &mut row).unwrap();
        all.extend_from_slice(&row);
    }
    all
}

fn everything() -> Rectangle {
    Rectangle::new(0, 0, EXTENT.width, EXTENT.height)
}

fn content(buffer: &SharedBuffer) -> Vec<u8> {
    pixels(buffer.backing().dmabuf())
}

fn reason<I: Importer>(attachment: &RoutedAttachment<I>) -> ShadowReason {
    match attachment.route() {
        Route::Shadow(route) => route.reason,
        Route::Direct => panic!("{attachment:?}"),
    }
}

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
    let (buffer, device) = (fixed("asked"), Picky::anything());
    let asked = routes()
        .attach(&buffer, &device, RoutePolicy::ShadowOnly, never())
        .unwrap();
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
        "no route leads from 'lost' to picky: picky refuses the buffer in looking at strides: 512 is \
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
fn only_the_damage_is_copied() {
    let buffer = fixed("damaged");
    let attachment = routes()
        .attach(
            &buffer,
            &Picky::anything(),
            RoutePolicy::ShadowOnly,
            never(),
        )
        .unwrap();
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
    let attachment = routes()
        .attach(&buffer, &device, RoutePolicy::ShadowOnly, never())
        .unwrap();
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
    let attachment = routes()
        .attach(
            &buffer,
            &Picky::anything(),
            RoutePolicy::ShadowOnly,
            never(),
        )
        .unwrap();
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
    let attachment = routes()
        .attach(
            &buffer,
            &Picky::anything(),
            RoutePolicy::ShadowOnly,
            never(),
        )
        .unwrap();
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
        Err(MapError::Shadow { source, .. })
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
    assert!(matches!(attachment.map(), Err(MapError::Shadow { .. })));
    assert_eq!(pixels(mapping.object()), shown);
    display.signal(1);
    assert_eq!(pixels(attachment.map().unwrap().object()), content(&buffer));
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
fn pins_hold_the_shadow_and_the_buffer_moves_with_its_content() {
    let buffer = movable("free");
    let attachment = routes()
        .attach(
            &buffer,
            &Picky::anything(),
            RoutePolicy::ShadowOnly,
            never(),
        )
        .unwrap();
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
    let device = Picky::anything();
    let attachment = routes()
        .attach(&buffer, &device, RoutePolicy::ShadowOnly, never())
        .unwrap();
    let mapping = attachment.map().unwrap();
    let open = Submission::begin([mapping.read()]).unwrap();
    drop(attachment.map().unwrap());
    buffer.written(&Damage::whole());
    assert!(matches!(
        attachment.map(),
        Err(MapError::WouldDeadlock { .. })
    ));
    drop(open);
    drop(attachment.map().unwrap());
}

/// One step of whoever uses the buffer.
#[derive(Clone, Debug)]
enum Step {
    Write(Rectangle, u8),
    WriteAll(u8),
    Move,
    MoveShadow,
    Map,
}

fn step() -> impl Strategy<Value = Step> {
    let area = (0..100_i32, 0..50_i32, 1..40_u32, 1..20_u32).prop_map(|(x, y, width, height)| {
        let inside = Rectangle::new(x, y, width, height).clipped(EXTENT);
        inside.unwrap()
    });
    prop_oneof![
        4 => (area, any::<u8>()).prop_map(|(area, value)| Step::Write(area, value)),
        1 => any::<u8>().prop_map(Step::WriteAll),
        1 => Just(Step::Move),
        1 => Just(Step::MoveShadow),
        3 => Just(Step::Map),
    ]
}

/// Moves a buffer to the other of its two places.
fn move_away(buffer: &SharedBuffer) {
    let to = match buffer.backing().placement() {
        dmashare::Placement::Host => Placements::SHMEM,
        _ => Placements::HOST,
    };
    buffer.move_to(&AccessConstraint::placements(to)).unwrap();
    buffer
        .wait_ready(Access::Write, Duration::from_secs(5))
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is written, told and moved: a mapped shadow has the content, and no more was copied than
    /// what was told.
    #[test]
    fn a_mapped_shadow_is_the_buffer(steps in proptest::collection::vec(step(), 1..24)) {
        let buffer = movable("model");
        let attachment = routes()
            .attach(&buffer, &Picky::anything(), RoutePolicy::ShadowOnly, never())
            .unwrap();
        let mut told = Damage::whole();
        let mut most = 0;
        for step in steps {
            match step {
                Step::Write(area, value) => {
                    fill(buffer.backing().dmabuf(), area, value);
                    buffer.written(&Damage::from(area));
                    told.add(area);
                }
                Step::WriteAll(value) => {
                    fill(buffer.backing().dmabuf(), everything(), value);
                    buffer.written(&Damage::whole());
                    told = Damage::whole();
                }
                Step::Move => move_away(&buffer),
                Step::MoveShadow => move_away(attachment.shadow().unwrap()),
                Step::Map => {
                    let mapping = attachment.map().unwrap();
                    prop_assert_eq!(pixels(mapping.object()), content(&buffer));
                    most += told.within(EXTENT).map(|piece| piece.pixels() * 4).sum::<u64>();
                    told = Damage::nothing();
                    prop_assert_eq!(attachment.bytes_copied(), most);
                }
            }
        }
    }
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
    let attachment = routes()
        .attach(
            &buffer,
            &Picky::anything(),
            RoutePolicy::ShadowOnly,
            never(),
        )
        .unwrap();
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
fn a_shadow_is_a_buffer_in_reports() {
    let buffer = fixed("reported");
    let attachment = routes()
        .attach(
            &buffer,
            &Picky::anything(),
            RoutePolicy::ShadowOnly,
            never(),
        )
        .unwrap();
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
