//! Figures with units that fit.

use super::Estimate;

/// A time of so many nanoseconds.
pub(super) fn time(nanoseconds: f64) -> String {
    scaled(
        nanoseconds,
        &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")],
    )
}

/// The same as the label of an axis: `1 µs` and not `1.00 µs`.
pub(super) fn time_on_axis(nanoseconds: f64) -> String {
    let time = time(nanoseconds);
    match time.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            let number = number.trim_end_matches('0').trim_end_matches('.');
            format!("{number} {unit}")
        }
        _ => time,
    }
}

/// So many bytes.
pub(super) fn bytes(bytes: f64) -> String {
    const KIB: f64 = 1024.0;
    let units = [
        (1.0, "B"),
        (KIB, "KiB"),
        (KIB * KIB, "MiB"),
        (KIB * KIB * KIB, "GiB"),
        (KIB * KIB * KIB * KIB, "TiB"),
    ];
    scaled(bytes, &units)
}

/// A ratio with its interval.
pub(super) fn ratio(ratio: Estimate) -> String {
    let Estimate { value, low, high } = ratio;
    format!("{} ({}–{})", times(value), digits(low), digits(high))
}

/// A ratio alone.
pub(super) fn times(ratio: f64) -> String {
    format!("{}×", digits(ratio))
}

/// A whole number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits or more where they matter, but no more than three behind the point.
fn digits(number: f64) -> String {
    match number {
        number if number < 0.01 => format!("{number:.4}"),
        number if number < 2.0 => format!("{number:.3}"),
        number if number < 20.0 => format!("{number:.2}"),
        number if number < 200.0 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

fn scaled(number: f64, units: &[(f64, &str)]) -> String {
    let fitting = units.iter().rev().find(|(unit, _)| number >= *unit);
    let Some((unit, name)) = fitting.or(units.first()) else {
        return number.to_string();
    };
    let number = number / unit;
    match number {
        number if number < 10.0 => format!("{number:.2} {name}"),
        number if number < 100.0 => format!("{number:.1} {name}"),
        number => format!("{number:.0} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit() {
        assert_eq!(time(60.04), "60.0 ns");
        assert_eq!(time(1500.0), "1.50 µs");
        assert_eq!(time(2e6), "2.00 ms");
        assert_eq!(time(0.5), "0.50 ns");
        let on_axis = [1e3, 1.5e3, 1e4, 1e8].map(time_on_axis);
        assert_eq!(on_axis, ["1 µs", "1.5 µs", "10 µs", "100 ms"]);
        assert_eq!(bytes(1024.0 * 1536.0), "1.50 MiB");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(100), "100");
    }

    #[test]
    fn ratios_have_digits_where_they_matter() {
        let estimate = |value, low, high| Estimate { value, low, high };
        assert_eq!(ratio(estimate(1.5, 1.45, 1.553)), "1.500× (1.450–1.553)");
        assert_eq!(times(25.04), "25.0×");
        assert_eq!(times(0.0012), "0.0012×");
    }
}
