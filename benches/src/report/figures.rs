//! The report's pictures.

use anyhow::Result;

use super::data::amount;
use super::plot::{Curve, Plot};
use super::{Data, Picture, names, quantities};

/// What is drawn of cost against size: the copies, and what replaces them.
const AGAINST_SIZE: [(&str, &str); 8] = [
    ("copy_socket", "floor"),
    ("copy_staging", "floor"),
    ("copy_gpu", "floor"),
    ("copy_memcpy", "floor"),
    ("handoff", "dmashare"),
    ("import", "dmashare"),
    ("known_import", "dmashare"),
    ("eviction", "dmashare"),
];
/// Where known imports hide what is drawn beside them: they are drawn if there is room.
const MOST_CURVES: usize = 7;

/// Cost against size; `None` if too little was measured.
pub(super) fn against_size(data: &Data) -> Result<Option<Picture>> {
    let mut ticks: Vec<(f64, String)> = Vec::new();
    let mut curves = Vec::new();
    for (operation, by) in AGAINST_SIZE {
        let points: Vec<(f64, f64)> = data
            .of(operation, by)
            .map(|one| (bytes(&one.size), one.time.value))
            .collect();
        for one in data.of(operation, by) {
            let (x, label) = (bytes(&one.size), names::size(&one.size));
            if !ticks.iter().any(|(_, known)| *known == label) {
                ticks.push((x, label));
            }
        }
        if points.len() > 1 && curves.len() < MOST_CURVES {
            let label = names::operation(operation);
            curves.push(Curve { label, points });
        }
    }
    if curves.is_empty() {
        return Ok(None);
    }
    let plot = Plot {
        x_label: "size of the image in pixels",
        y_label: "time",
        x_ticks: ticks,
        y_format: quantities::time_on_axis,
        curves,
    };
    Ok(Some(Picture {
        name: "benchmarks-size".to_owned(),
        alternative: "Time against the size of the image, both logarithmic".to_owned(),
        caption: "Cost against size. What copies goes up with the size; what shares stays flat."
            .to_owned(),
        svg: plot.svg()?,
    }))
}

/// Cost against the number of buffers or threads of a bench; `None` if it was not measured.
pub(super) fn against_count(data: &Data, bench: &str, of_what: &str) -> Result<Option<Picture>> {
    let mut ticks: Vec<u64> = Vec::new();
    let mut curves = Vec::new();
    for operation in operations(data, bench) {
        let of_operation = || data.growth(bench, operation);
        ticks.extend(of_operation().map(|one| one.count));
        let points = of_operation().map(|one| (as_f64(one.count), one.time.value));
        curves.push(Curve {
            label: operation.replace('_', " "),
            points: points.collect(),
        });
    }
    ticks.sort_unstable();
    ticks.dedup();
    if ticks.len() < 2 {
        return Ok(None);
    }
    let x_ticks = ticks
        .iter()
        .map(|&count| (as_f64(count), quantities::count(count)));
    let plot = Plot {
        x_label: of_what,
        y_label: "time of one operation",
        x_ticks: x_ticks.collect(),
        y_format: quantities::time_on_axis,
        curves,
    };
    Ok(Some(Picture {
        name: format!("benchmarks-{}", bench.replace('_', "-")),
        alternative: format!("Time against the number of {of_what}, both logarithmic"),
        caption: format!("`{bench}`: cost against the number of {of_what}. Flat is good."),
        svg: plot.svg()?,
    }))
}

/// What a bench measured.
pub(super) fn operations<'a>(data: &'a Data, bench: &str) -> Vec<&'a str> {
    let of_bench = data.growths.iter().filter(|one| one.bench == bench);
    let mut operations: Vec<_> = of_bench.map(|one| &*one.operation).collect();
    operations.sort_unstable();
    operations.dedup();
    operations
}

/// Bytes of an image of 32 bits a pixel.
pub(super) fn bytes(size: &str) -> f64 {
    as_f64(amount(size) * 4)
}

#[expect(clippy::cast_precision_loss, reason = "nothing here has 2^53 parts")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::data::tests::data_of;
    use super::super::{Estimate, Growth};
    use super::*;

    #[test]
    fn what_was_measured_is_drawn_and_nothing_is_not() {
        let mut data = Data::default();
        assert_eq!(against_size(&data).unwrap(), None);
        assert_eq!(against_count(&data, "contract", "buffers").unwrap(), None);
        data = data_of(&[
            ("import", "dmashare", "256x256", 1e5),
            ("import", "dmashare", "1920x1080", 1.1e5),
            ("copy_memcpy", "floor", "256x256", 1e4),
            ("copy_memcpy", "floor", "1920x1080", 1e6),
        ]);
        for count in [100, 100_000] {
            data.growths.push(Growth {
                bench: "contract".to_owned(),
                operation: "map_unmap".to_owned(),
                count,
                time: Estimate::about(60.0),
            });
        }
        let size = against_size(&data).unwrap().unwrap().svg;
        for text in [
            "256×256",
            "1920×1080",
            "first import",
            "copy by the CPU",
            "100 µs",
        ] {
            assert!(size.contains(text), "{text} is not in {size}");
        }
        let count = against_count(&data, "contract", "buffers")
            .unwrap()
            .unwrap()
            .svg;
        for text in ["map unmap", "100,000", "buffers"] {
            assert!(count.contains(text), "{text} is not in {count}");
        }
    }
}
