//! What was promised, and whether it holds.

use serde::Serialize;

use super::names::{self, PEERS};
use super::{Data, quantities};

/// A target, and what was measured of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What was promised.
    pub target: String,
    /// What was measured.
    pub figure: String,
    /// Whether that keeps the promise; `None` if it was not measured.
    pub met: Option<bool>,
}

/// Operations that may cost a twentieth more than written by hand: each with the floor that is meant.
/// A first import may make calls besides that buy a named safety: what these cost is a section of its
/// own.
const NEAR_FLOOR: [(&str, &str); 4] = [
    ("export", "floor"),
    ("import", "checked_floor"),
    ("framebuffer", "floor"),
    ("flip", "floor"),
];
const MOST_OVER_FLOOR: f64 = 1.05;
const LEAST_OVER_FIRST_IMPORT: f64 = 20.0;
const MOST_OVER_SMALL_HANDOFF: f64 = 1.2;
const SMALL: &str = "256x256";
const LARGE: &str = "7680x4320";
const GROWING: [(&str, &str); 5] = [
    ("attach_detach", "attach and detach"),
    ("map_unmap", "map and unmap"),
    ("pin_unpin", "pin and unpin"),
    ("evict", "evict"),
    ("restore", "restore"),
];
const FEW: u64 = 100;
const MANY: u64 = 100_000;
const MOST_GROWTH: f64 = 2.0;
const MOST_IDLE_BYTES: f64 = 1024.0;

/// Every target's verdict.
pub fn verdicts(data: &Data) -> Vec<Verdict> {
    let mut verdicts: Vec<_> = NEAR_FLOOR
        .iter()
        .map(|(operation, beside)| near_floor(data, operation, beside))
        .collect();
    verdicts.push(known_import(data));
    verdicts.push(handoff(data));
    verdicts.extend(
        GROWING
            .iter()
            .map(|(operation, title)| growth(data, operation, title)),
    );
    verdicts.push(idle_memory(data));
    verdicts
}

fn verdict(target: String, measured: Option<(String, bool)>) -> Verdict {
    let (figure, met) = match measured {
        Some((figure, met)) => (figure, Some(met)),
        None => ("not measured".to_owned(), None),
    };
    Verdict {
        target,
        figure,
        met,
    }
}

fn near_floor(data: &Data, operation: &str, beside: &str) -> Verdict {
    let of_operation = data.ratios.iter();
    let worst = |beside: &str| {
        let ratios = of_operation
            .clone()
            .filter(|one| one.operation == operation && one.beside == beside);
        ratios.max_by(|a, b| a.ratio.value.total_cmp(&b.ratio.value))
    };
    let target = format!(
        "{}: at most {MOST_OVER_FLOOR:.2}× {}, at each size",
        names::operation(operation),
        names::side_in_words(beside)
    );
    let measured = worst(beside).map(|found| {
        let mut figure = format!(
            "at most {}, at {}",
            quantities::ratio(found.ratio),
            names::size(&found.size)
        );
        if let Some(bare) = worst("floor").filter(|_| beside != "floor") {
            let ratio = quantities::times(bare.ratio.value);
            figure.push_str(&format!("; {ratio} the floor without them"));
        }
        (figure, found.ratio.value <= MOST_OVER_FLOOR)
    });
    verdict(target, measured)
}

/// The library's known import at its slowest against the first import of whichever peer is fastest at
/// that size.
fn known_import(data: &Data) -> Verdict {
    let known = data.of("known_import", "dmashare");
    let compared = known.filter_map(|known| {
        let peers = PEERS.into_iter();
        let peers =
            peers.filter_map(|peer| Some((peer, data.time("import", peer, &known.size)?.value)));
        let (peer, first) = peers.min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some((first / known.time.value, peer, &known.size))
    });
    let worst = compared.min_by(|a, b| a.0.total_cmp(&b.0));
    let measured = worst.map(|(ratio, peer, size)| {
        let (peer, size) = (names::side_in_words(peer), names::size(size));
        let figure = format!(
            "at least {} as fast ({peer}'s at {size})",
            quantities::times(ratio)
        );
        (figure, ratio >= LEAST_OVER_FIRST_IMPORT)
    });
    let target = format!(
        "known import: at least {LEAST_OVER_FIRST_IMPORT}× as fast as the fastest peer's first import"
    );
    verdict(target, measured)
}

fn handoff(data: &Data) -> Verdict {
    let time = |size| data.time("handoff", "dmashare", size);
    let measured = time(SMALL).zip(time(LARGE)).map(|(small, large)| {
        let ratio = large.value / small.value;
        let (small, large) = (quantities::time(small.value), quantities::time(large.value));
        let figure = format!("{} ({small} and {large})", quantities::times(ratio));
        (figure, ratio <= MOST_OVER_SMALL_HANDOFF)
    });
    let (small, large) = (names::size(SMALL), names::size(LARGE));
    verdict(
        format!("handoff: at {large} at most {MOST_OVER_SMALL_HANDOFF}× that at {small}"),
        measured,
    )
}

fn growth(data: &Data, operation: &str, title: &str) -> Verdict {
    let at = |count| {
        let mut costs = data.growth("contract", operation);
        costs
            .find(|one| one.count == count)
            .map(|one| one.time.value)
    };
    let measured = at(FEW).zip(at(MANY)).map(|(few, many)| {
        let ratio = many / few;
        let (few, many) = (quantities::time(few), quantities::time(many));
        let figure = format!("{} ({few} and {many})", quantities::times(ratio));
        (figure, ratio <= MOST_GROWTH)
    });
    let (few, many) = (quantities::count(FEW), quantities::count(MANY));
    verdict(
        format!("{title}: with {many} buffers at most {MOST_GROWTH}× that with {few}"),
        measured,
    )
}

fn idle_memory(data: &Data) -> Verdict {
    let measured = data.memory.map(|memory| {
        let figure = format!(
            "{} ({} buffers)",
            quantities::bytes(memory.bytes_per_buffer),
            quantities::count(memory.buffers)
        );
        (figure, memory.bytes_per_buffer < MOST_IDLE_BYTES)
    });
    let target = format!(
        "an idle buffer: less than {}",
        quantities::bytes(MOST_IDLE_BYTES)
    );
    verdict(target, measured)
}

#[cfg(test)]
mod tests {
    use super::super::data::tests::{data_of, ratio_of};
    use super::super::{Estimate, Growth, IdleMemory};
    use super::*;

    fn found<'a>(verdicts: &'a [Verdict], start: &str) -> &'a Verdict {
        let mut all = verdicts.iter();
        let found = all.find(|verdict| verdict.target.starts_with(start));
        found.unwrap_or_else(|| panic!("{start} is not in {verdicts:?}"))
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        for verdict in verdicts(&Data::default()) {
            assert_eq!((verdict.met, &*verdict.figure), (None, "not measured"));
        }
    }

    #[test]
    fn the_worst_size_decides() {
        let mut data = data_of(&[
            ("known_import", "dmashare", "256x256", 1.0),
            ("known_import", "dmashare", "1920x1080", 1.0),
            ("import", "gbm", "256x256", 100.0),
            ("import", "wgpu", "256x256", 19.0),
            ("import", "gbm", "1920x1080", 100.0),
            ("handoff", "dmashare", "256x256", 100.0),
            ("handoff", "dmashare", "7680x4320", 119.0),
        ]);
        data.ratios = vec![
            ratio_of("export", "floor", "256x256", [0.9, 1.0, 1.1]),
            ratio_of("export", "floor", "1920x1080", [1.05, 1.06, 1.07]),
            ratio_of("import", "checked_floor", "256x256", [1.0, 1.01, 1.02]),
            ratio_of("import", "floor", "256x256", [1.31, 1.32, 1.33]),
        ];
        let cost = |count, value| Growth {
            bench: "contract".to_owned(),
            operation: "map_unmap".to_owned(),
            count,
            time: Estimate::about(value),
        };
        data.growths = vec![cost(100, 50.0), cost(1000, 500.0), cost(100_000, 99.0)];
        data.memory = Some(IdleMemory {
            buffers: 1000,
            bytes_per_buffer: 1024.0,
        });
        let verdicts = verdicts(&data);
        let export = found(&verdicts, "export");
        assert_eq!(export.met, Some(false));
        assert!(export.figure.contains("1.060×"), "{export:?}");
        assert!(export.figure.contains("1920×1080"), "{export:?}");
        // Beside the same safeties; what they cost is told all the same.
        let import = found(&verdicts, "first import: at most 1.05× the floor with");
        assert_eq!(import.met, Some(true));
        assert!(
            import.figure.ends_with("; 1.320× the floor without them"),
            "{import:?}"
        );
        let known = found(&verdicts, "known import");
        assert_eq!(known.met, Some(false));
        assert!(known.figure.contains("19.00×"), "{known:?}");
        assert_eq!(found(&verdicts, "handoff").met, Some(true));
        assert_eq!(found(&verdicts, "map and unmap").met, Some(true));
        assert_eq!(found(&verdicts, "an idle buffer").met, Some(false));
    }
}
