//! What can happen to a buffer, and how hard it is made.

use dmashare::{Access, Placements};
use proptest::prelude::*;
use proptest::sample::select;

use crate::reference::{Reference, Role};
use crate::support::fake_exporter::{CopyMode, Step};

/// What an importer's callback does besides noting that it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Note,
    Unpin,
    AddFence,
    Detach,
    Panic,
}

/// One event of the state table.
#[derive(Clone, Debug)]
pub enum Event {
    Attach {
        role: Role,
        reach: Placements,
        behaviour: Behaviour,
    },
    /// The attachment's handle is dropped; mappings and pins may be left.
    DropHandle(usize),
    Map(usize),
    /// A clone of a mapping is dropped.
    Unmap(usize),
    /// The attachment's own mapping is let go.
    Forget(usize),
    Use(usize, Access),
    /// A use's fence signals.
    Finish(usize),
    Pin(usize),
    Unpin(usize),
    Move(Placements),
    /// The device does its copies.
    FinishCopies,
    Dispatch,
    /// The stale deadline passes.
    Late,
    Revoke,
    Unrevoke,
    Write(u64),
}

/// An event, and what goes wrong meanwhile.
#[derive(Clone, Debug)]
pub struct Transition {
    pub event: Event,
    pub mode: CopyMode,
    /// The step of the exporter that fails, after so many calls.
    pub failing: Option<(Step, usize)>,
    /// Importers refuse.
    pub refusing: bool,
}

fn places(offered: Placements) -> BoxedStrategy<Placements> {
    let some: Vec<Placements> = offered.iter().collect();
    let one = select(some.clone());
    let two = (select(some.clone()), select(some)).prop_map(|(one, two)| one | two);
    prop_oneof![2 => one, 1 => two, 3 => Just(Placements::all())].boxed()
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        5 => Just(Behaviour::Note),
        1 => Just(Behaviour::Unpin),
        2 => Just(Behaviour::AddFence),
        1 => Just(Behaviour::Detach),
        1 => Just(Behaviour::Panic),
    ]
}

fn one_of<T: Clone + std::fmt::Debug + 'static>(
    keys: Vec<T>,
    event: impl Fn(T) -> Event + 'static,
) -> BoxedStrategy<Event> {
    select(keys).prop_map(event).boxed()
}

/// What may happen next.
pub fn transitions(state: &Reference) -> BoxedStrategy<Transition> {
    let offered = state.offered;
    let role = prop_oneof![
        1 => Just(Role::Static),
        1 => Just(Role::Export),
        4 => Just(Role::Dynamic),
    ];
    let attach = (role, places(offered), behaviour());
    let attach = attach.prop_map(|(role, reach, behaviour)| Event::Attach {
        role,
        reach,
        behaviour,
    });
    let mut events: Vec<(u32, BoxedStrategy<Event>)> = vec![
        (8, places(offered).prop_map(Event::Move).boxed()),
        (4, Just(Event::Dispatch).boxed()),
        (1, Just(Event::Late).boxed()),
        (1, Just(Event::Revoke).boxed()),
        (2, Just(Event::Unrevoke).boxed()),
    ];
    if state.attachments.len() < 12 {
        events.push((4, attach.boxed()));
    }
    let handles = state.handles();
    let mut add = |weight, keys: Vec<usize>, event: fn(usize) -> Event| {
        if !keys.is_empty() {
            events.push((weight, one_of(keys, event)));
        }
    };
    add(2, handles.clone(), Event::DropHandle);
    add(8, state.mappers(), Event::Map);
    let dynamic = state.dynamic_handles();
    add(1, dynamic.clone(), Event::Forget);
    add(3, dynamic, Event::Pin);
    add(4, state.held_objects(), Event::Unmap);
    add(5, state.pending_uses(), Event::Finish);
    add(4, state.pin_guards(), Event::Unpin);
    let uses: Vec<(usize, Access)> = state
        .held_objects()
        .into_iter()
        .flat_map(|key| [(key, Access::Read), (key, Access::Write)])
        .collect();
    if !uses.is_empty() {
        events.push((8, one_of(uses, |(key, access)| Event::Use(key, access))));
    }
    if state.has_pending_copies() {
        events.push((6, Just(Event::FinishCopies).boxed()));
    }
    if state.may_write() {
        events.push((3, any::<u64>().prop_map(Event::Write).boxed()));
    }
    let event = proptest::strategy::Union::new_weighted(events);
    if !state.can_fail {
        let plain = event.prop_map(|event| Transition {
            event,
            mode: CopyMode::Cpu,
            failing: None,
            refusing: false,
        });
        return plain.boxed();
    }
    let step = select(vec![
        Step::Placements,
        Step::Allocate,
        Step::Copy,
        Step::Pin,
    ]);
    let failing = prop_oneof![3 => Just(None), 1 => (step, 0..2_usize).prop_map(Some)];
    let mode = prop_oneof![Just(CopyMode::Cpu), Just(CopyMode::Device)];
    (event, mode, failing, prop::bool::weighted(0.1))
        .prop_map(|(event, mode, failing, refusing)| Transition {
            event,
            mode,
            failing,
            refusing,
        })
        .boxed()
}
