//! The solver gives what a solver that tries everything gives, and its refusals are true.

use dmashare::negotiation::{DisjointPlanes, MemoryKinds, Negotiated, Objection, Refusal, Role};
use dmashare::{Layout, Modifier, NegotiationError, Usage};
use proptest::prelude::*;

use crate::brute_force::{self, Outcome};
use crate::parties::{Case, case};

fn refusal(case: &Case) -> Option<Refusal> {
    match case.negotiation().solve() {
        Ok(_) => None,
        Err(NegotiationError::Refused(refusal)) => Some(*refusal),
        Err(other) => panic!("{other}"),
    }
}

fn outcome(negotiated: &Negotiated) -> Outcome {
    let modifiers = negotiated.modifiers().iter();
    let memory = negotiated.memory().iter();
    Outcome {
        format: negotiated.format(),
        modifiers: modifiers
            .map(|it| (it.modifier, it.memory_planes))
            .collect(),
        disjoint: negotiated.is_disjoint(),
        memory: memory.map(|it| (it.placement, it.contiguous)).collect(),
        stride_alignment: negotiated.demands().stride_alignment,
        offset_alignment: negotiated.demands().offset_alignment,
        padded_height: negotiated.demands().padded_height,
        linear: negotiated
            .linear_layout()
            .map(|it| (it.planes().to_vec(), it.memory_sizes().to_vec())),
    }
}

/// Whether an objection that concerns a single party, or two, is as it says.
fn is_true(case: &Case, party: usize, objection: &Objection) -> bool {
    let stated = &case.parties[party];
    let of_format = |format| stated.formats.iter().filter(move |it| it.format == format);
    let usable = |name: &str, format| {
        let named = case.parties.iter().find(|it| it.name == name).unwrap();
        brute_force::usable(named, case, format)
    };
    if let Some(format) = objection.format() {
        // Were there only this format, and memory that suits everyone, it would be refused too.
        let mut only = case.clone();
        only.formats = vec![format];
        for party in &mut only.parties {
            party.memory = MemoryKinds::default();
        }
        if brute_force::solve(&only).is_some() {
            return false;
        }
    }
    match objection {
        Objection::NoFormat { format } => of_format(*format).next().is_none(),
        Objection::OnlyImplicit { format } => {
            of_format(*format).all(|it| it.modifier == Modifier::INVALID)
        }
        Objection::NotForUsage { format, usage } => {
            let explicit = of_format(*format).filter(|it| it.modifier != Modifier::INVALID);
            *usage == stated.usage && !explicit.into_iter().any(|it| it.usage.contains(*usage))
        }
        Objection::NotLinear { format, modifiers } => {
            !modifiers.contains(&Modifier::LINEAR)
                && brute_force::usage_of_all(case).intersects(Usage::CPU_READ | Usage::CPU_WRITE)
                && usable(&stated.name, *format).is_empty()
        }
        Objection::Extent {
            minimum, maximum, ..
        } => !minimum.fits(case.extent) || !case.extent.fits(*maximum),
        Objection::ExtentAlignment { alignment, .. } => {
            !case.extent.width.is_multiple_of(alignment.width.max(1))
                || !case.extent.height.is_multiple_of(alignment.height.max(1))
        }
        Objection::Modifiers {
            format,
            modifiers,
            not_by,
        } => {
            let mut own = usable(&stated.name, *format);
            let mut said = modifiers.clone();
            own.sort();
            said.sort();
            let clash = |other: &String| {
                let theirs = usable(other, *format);
                own.iter().all(|modifier| !theirs.contains(modifier))
            };
            own == said && not_by.iter().all(clash)
        }
        Objection::LacksModifiers { format, modifiers } => modifiers.iter().all(|modifier| {
            let mut parties = case.parties.iter();
            parties
                .all(|it| usable(&it.name, *format).contains(modifier) != (it.name == stated.name))
        }),
        Objection::MaximumStride {
            maximum, needed, ..
        } => *needed > u64::from(*maximum) && *maximum == stated.layout.maximum_stride,
        Objection::MaximumSize {
            maximum, needed, ..
        } => needed.unwrap() > *maximum && *maximum == stated.layout.maximum_size,
        Objection::NotPromised { exporter, .. } => {
            let exporter = case.parties.iter().find(|it| it.name == *exporter);
            exporter.unwrap().role == Role::Exporter && *exporter.unwrap() != *stated
        }
        Objection::Memory { memory, not_by } => {
            *memory == stated.memory
                && not_by.iter().all(|name| {
                    let other = case.parties.iter().find(|it| it.name == *name).unwrap();
                    let scattered = other.memory.scattered & memory.scattered;
                    let contiguous = other.memory.contiguous & memory.contiguous;
                    (scattered | contiguous).is_empty()
                })
        }
        Objection::MemoryPlanes { .. }
        | Objection::Disjoint { .. }
        | Objection::TooLargeFor { .. } => true,
        other => panic!("not of such figures: {other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn the_outcome_is_that_of_trying_everything(case in case()) {
        let expected = brute_force::solve(&case);
        match (case.negotiation().solve(), &expected) {
            (Ok(negotiated), Some(expected)) => prop_assert_eq!(&outcome(&negotiated), expected),
            (Err(NegotiationError::Refused(_)), None) => {}
            (solved, expected) => prop_assert!(false, "{:?}, and not {:?}", solved, expected),
        }
    }

    /// It is the exporter's order that decides, never that of the parties.
    #[test]
    fn the_order_of_the_parties_does_not_matter(case in case(), by in 0..4_usize) {
        let mut other = case.clone();
        let by = by % other.parties.len();
        other.parties.rotate_left(by);
        let solve = |case: &Case| case.negotiation().solve().ok();
        prop_assert_eq!(solve(&case), solve(&other));
        other.parties.reverse();
        prop_assert_eq!(solve(&case), solve(&other));
    }

    /// What was computed is a layout, and passes the check that is there for others' layouts.
    #[test]
    fn a_linear_layout_passes_the_checks(case in case()) {
        let Ok(negotiated) = case.negotiation().solve() else { return Ok(()) };
        let Some(linear) = negotiated.linear_layout() else { return Ok(()) };
        let layout = Layout::new(
            negotiated.format(),
            case.extent,
            Modifier::LINEAR,
            linear.planes(),
            linear.memory_sizes(),
        );
        negotiated.check_layout(&layout.unwrap(), linear.memory_sizes()).unwrap();
    }

    /// Each format that was refused has an objection, or there is one to all; and none is made up.
    #[test]
    fn a_refusal_gives_true_reasons(case in case()) {
        let Some(refusal) = refusal(&case) else { return Ok(()) };
        let objections = || refusal.parties.iter().flat_map(|party| &party.objections);
        let is_general = objections().any(|it| it.format().is_none());
        for format in &case.formats {
            let is_explained = objections().any(|it| it.format() == Some(*format));
            prop_assert!(is_general || is_explained, "{format}: {refusal}");
        }
        for (index, party) in refusal.parties.iter().enumerate() {
            prop_assert_eq!(&party.name, &case.parties[index].name);
            for objection in &party.objections {
                prop_assert!(is_true(&case, index, objection), "{}: {}\n{}", party.name, objection, refusal);
            }
            for format in &case.formats {
                let said = party.would_take.iter().find(|(it, _)| it == format);
                let mut said = said.map_or(Vec::new(), |(_, modifiers)| modifiers.clone());
                let mut usable = brute_force::usable(&case.parties[index], &case, *format);
                said.sort();
                usable.sort();
                prop_assert_eq!(said, usable);
            }
        }
    }

    /// Whoever a refusal has nothing against is in nobody's way: without them it is one as well.
    #[test]
    fn who_is_not_blamed_is_not_in_the_way(case in case()) {
        // Without its CPU use, or its word on disjoint planes, the others have other choices.
        let mut case = case;
        for party in &mut case.parties {
            if party.usage == Usage::CPU_READ {
                party.usage = Usage::RENDER;
            }
            for support in &mut party.formats {
                support.disjoint = DisjointPlanes::Refused;
            }
        }
        let Some(refusal) = refusal(&case) else { return Ok(()) };
        for (index, party) in refusal.parties.iter().enumerate() {
            if party.objections.is_empty() && party.role == Role::Importer {
                let mut without = case.clone();
                without.parties.remove(index);
                prop_assert!(brute_force::solve(&without).is_none(), "{}\n{}", party.name, refusal);
            }
        }
    }
}

/// The cases that are made up are neither all solved nor all refused, and have all kinds of outcome.
#[test]
fn the_cases_are_of_all_kinds() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut solved, mut disjoint, mut linear, mut tiled, mut later, mut objections) =
        (0, 0, 0, 0, 0, std::collections::BTreeSet::new());
    for _ in 0..2000 {
        let case = case().new_tree(&mut runner).unwrap().current();
        if let Some(refusal) = refusal(&case) {
            for objection in refusal.parties.iter().flat_map(|it| &it.objections) {
                let kind = format!("{objection:?}");
                objections.insert(kind.split([' ', '{']).next().unwrap().to_owned());
            }
            continue;
        }
        let outcome = brute_force::solve(&case).unwrap();
        solved += 1;
        disjoint += i32::from(outcome.disjoint);
        linear += i32::from(outcome.linear.is_some());
        tiled += i32::from(outcome.modifiers.len() > 1);
        later += i32::from(outcome.format != case.formats[0]);
    }
    assert!((400..1600).contains(&solved), "{solved} are solved");
    for count in [disjoint, linear, tiled, later] {
        assert!(count >= 10, "{disjoint} {linear} {tiled} {later}");
    }
    assert!(objections.len() >= 13, "{objections:?}");
}
