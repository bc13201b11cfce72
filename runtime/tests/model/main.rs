//! The whole state table, driven at random against a reference: on an exporter whose every step can
//! fail, and on host memory that really moves.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod agreement;
mod reference;
mod rules;
mod second_phase;
mod subject;
mod transition;

use dmashare::Placements;
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use reference::Reference;
use subject::Subject;
use transition::{Transition, transitions};

/// The reference over an exporter that can fail (`FAKE`), or over host memory.
struct Table<const FAKE: bool>;

impl<const FAKE: bool> ReferenceStateMachine for Table<FAKE> {
    type State = Reference;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Reference> {
        let all = Placements::DEVICE | Placements::HOST | Placements::SHMEM;
        let host = Placements::HOST | Placements::SHMEM;
        let offered = if FAKE { vec![all, host] } else { vec![host] };
        let offered = proptest::sample::select(offered);
        offered
            .prop_map(|offered| Reference::new(offered, FAKE))
            .boxed()
    }

    fn transitions(state: &Reference) -> BoxedStrategy<Transition> {
        transitions(state)
    }

    fn apply(state: Reference, transition: &Transition) -> Reference {
        state.apply(transition)
    }

    fn preconditions(state: &Reference, transition: &Transition) -> bool {
        state.allows(&transition.event)
    }
}

impl<const FAKE: bool> StateMachineTest for Table<FAKE> {
    type SystemUnderTest = Subject;
    type Reference = Self;

    fn init_test(reference: &Reference) -> Subject {
        Subject::new(reference)
    }

    fn apply(mut subject: Subject, reference: &Reference, transition: Transition) -> Subject {
        let outcome = subject.apply(&transition);
        assert_eq!(outcome, reference.outcome, "{transition:?}");
        subject
    }

    fn check_invariants(subject: &Subject, reference: &Reference) {
        agreement::check(subject, reference);
    }

    /// The end: everyone lets go, and all memory goes back, once.
    fn teardown(subject: Subject, reference: Reference) {
        let Subject {
            buffer,
            fake,
            attachments,
            objects,
            pins,
            uses,
            ..
        } = subject;
        let is_held = reference.attachments.iter().any(|one| one.handle);
        drop(buffer);
        if let Some(fake) = &fake
            && is_held
        {
            assert!(!fake.live().is_empty(), "attachments keep the memory");
        }
        drop((objects, attachments));
        drop(pins);
        if let Some(fake) = fake {
            assert_eq!(fake.live().len(), 0, "memory that was not given back");
            fake.assert_no_faults();
        }
        drop(uses);
    }
}

fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    }
}

prop_state_machine! {
    #![proptest_config(config(3000))]

    #[test]
    fn a_buffer_does_what_the_state_table_says(sequential 1..80 => Table<true>);
}

prop_state_machine! {
    #![proptest_config(config(300))]

    #[test]
    fn host_memory_does_what_the_state_table_says(sequential 1..80 => Table<false>);
}
