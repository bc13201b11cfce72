//! How the cost of an operation grows with the number of buffers: benches that have no floor, named
//! `OPERATION/COUNT`.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::ratios::{Median, time};

/// One operation, at every number of buffers that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Growth {
    operation: String,
    costs: Vec<Cost>,
    /// The cost with most buffers over that with fewest.
    growth: f64,
}

#[derive(Debug, Serialize)]
struct Cost {
    buffers: u64,
    #[serde(flatten)]
    median: Median,
}

/// Groups what was measured by operation; what is not named so is left out.
pub(crate) fn of(found: &[(String, Median)]) -> Vec<Growth> {
    let mut operations: BTreeMap<&str, Vec<Cost>> = BTreeMap::new();
    for (name, median) in found {
        let Some((operation, count)) = name.rsplit_once('/') else {
            continue;
        };
        if let Ok(buffers) = count.parse() {
            let median = *median;
            let costs = operations.entry(operation).or_default();
            costs.push(Cost { buffers, median });
        }
    }
    let growths = operations.into_iter().filter_map(|(operation, mut costs)| {
        costs.sort_by_key(|cost| cost.buffers);
        let growth = costs.last()?.median.nanoseconds / costs.first()?.median.nanoseconds;
        Some(Growth {
            operation: operation.to_owned(),
            costs,
            growth,
        })
    });
    growths.collect()
}

/// A table for people; empty if there is nothing to show.
pub(crate) fn table(growths: &[Growth]) -> String {
    let mut table = String::new();
    if growths.is_empty() {
        return table;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(
        table,
        "{:36} {:>8}   time with as many buffers",
        "operation", "growth"
    );
    for row in growths {
        let _ = write!(table, "{:36} {:>8.3}  ", row.operation, row.growth);
        for cost in &row.costs {
            let _ = write!(table, " {}: {}", cost.buffers, time(Some(cost.median)));
        }
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_buffers_are_compared_with_the_fewest() {
        let found = [
            ("contract/map/100000", 90.0),
            ("contract/map/100", 60.0),
            ("contract/map/1000", 70.0),
            ("export/floor/64x64", 1.0),
        ];
        let found = found.map(|(name, nanoseconds)| (name.to_owned(), Median::exact(nanoseconds)));
        let growths = of(&found);
        assert_eq!(growths.len(), 1);
        assert_eq!(growths[0].operation, "contract/map");
        assert!((growths[0].growth - 1.5).abs() < 1e-9);
        let counts: Vec<u64> = growths[0].costs.iter().map(|cost| cost.buffers).collect();
        assert_eq!(counts, [100, 1000, 100_000]);
        let table = table(&growths);
        assert!(
            table.contains("1.500   100: 60.0 ns 1000: 70.0 ns 100000: 90.0 ns"),
            "{table}"
        );
    }

    #[test]
    fn nothing_makes_no_table() {
        assert_eq!(table(&of(&[])), "");
    }
}
