//! At which size two costs are the same.

use std::cmp::Ordering;

/// Where one cost overtakes another as images grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Crossing {
    /// At each size that was measured, the first costs more.
    AlwaysMore,
    /// At each size that was measured, the first costs less.
    AlwaysLess,
    /// The first costs less below this many bytes, and more above; between measured sizes, on a
    /// straight line between logarithms.
    MoreAbove(f64),
    /// The first costs more below this many bytes, and less above.
    LessAbove(f64),
    /// They cross more than once: at these sizes neither is clearly dearer.
    Often,
}

/// Compares two costs that were measured at the same sizes: bytes, and nanoseconds of the first and of
/// the second. `None` if there are none.
pub(super) fn crossing(costs: &[(f64, f64, f64)]) -> Option<Crossing> {
    let logarithms: Vec<(f64, f64)> = costs
        .iter()
        .map(|(bytes, first, second)| (bytes.ln(), first.ln() - second.ln()))
        .collect();
    let (_, smallest) = *logarithms.first()?;
    let crossings: Vec<f64> = logarithms
        .windows(2)
        .filter_map(|pair| match *pair {
            [(from, before), (to, after)] if (before < 0.0) != (after < 0.0) => {
                Some((from + (to - from) * before / (before - after)).exp())
            }
            _ => None,
        })
        .collect();
    Some(match (crossings[..].len(), crossings.first()) {
        (1, Some(&bytes)) => match smallest.total_cmp(&0.0) {
            Ordering::Less => Crossing::MoreAbove(bytes),
            _ => Crossing::LessAbove(bytes),
        },
        (0, _) if smallest < 0.0 => Crossing::AlwaysLess,
        (0, _) => Crossing::AlwaysMore,
        _ => Crossing::Often,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_crosses_a_constant_exactly_where_they_are_equal() {
        // The first grows as bytes, the second is 1000: they meet at 1000 bytes.
        let costs = [(100.0, 100.0, 1000.0), (10_000.0, 10_000.0, 1000.0)];
        match crossing(&costs) {
            Some(Crossing::MoreAbove(bytes)) => assert!((bytes - 1000.0).abs() < 1e-6, "{bytes}"),
            other => panic!("{other:?}"),
        }
        let turned = costs.map(|(bytes, first, second)| (bytes, second, first));
        assert!(matches!(crossing(&turned), Some(Crossing::LessAbove(_))));
    }

    #[test]
    fn costs_that_do_not_cross_and_costs_that_cross_often() {
        let less = [(1.0, 1.0, 2.0), (2.0, 1.5, 2.0)];
        assert_eq!(crossing(&less), Some(Crossing::AlwaysLess));
        let more = [(1.0, 2.0, 1.0)];
        assert_eq!(crossing(&more), Some(Crossing::AlwaysMore));
        let often = [(1.0, 1.0, 2.0), (2.0, 2.0, 1.0), (3.0, 1.0, 2.0)];
        assert_eq!(crossing(&often), Some(Crossing::Often));
        assert_eq!(crossing(&[]), None);
    }
}
