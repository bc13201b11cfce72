//! How two compare that were measured in turns.

use super::data::rounded;
use super::{Estimate, Ratio};
use crate::{By, PairedSamples};

/// How often samples are drawn anew for the interval.
const RESAMPLES: usize = 2000;

/// The library's time over the other's: the median of the samples' ratios, with a 95% interval by
/// bootstrap (percentiles of the medians of samples drawn with replacement, by a fixed seed). `None`
/// if there are no samples, or the library is not one of the two.
pub(super) fn paired_ratio(pairs: &PairedSamples) -> Option<Ratio> {
    let library = By::Dmashare.to_string();
    let is_measured = pairs.by == library;
    let beside = if is_measured {
        &pairs.beside
    } else {
        &pairs.by
    };
    if !is_measured && pairs.beside != library {
        return None;
    }
    let samples = pairs.samples.iter().map(|&(by, beside)| {
        if is_measured {
            (by, beside)
        } else {
            (beside, by)
        }
    });
    let samples: Vec<(f64, f64)> = samples
        .filter(|(ours, theirs)| (ours / theirs).is_finite())
        .collect();
    let median_of = |figure: fn(&(f64, f64)) -> f64| {
        let mut figures: Vec<f64> = samples.iter().map(figure).collect();
        median(&mut figures).map(rounded)
    };
    let ratios: Vec<f64> = samples.iter().map(|(ours, theirs)| ours / theirs).collect();
    Some(Ratio {
        operation: pairs.operation.clone(),
        beside: beside.clone(),
        size: pairs.size.clone(),
        ratio: bootstrap(&ratios)?.rounded(),
        ours: median_of(|(ours, _)| *ours)?,
        theirs: median_of(|(_, theirs)| *theirs)?,
        samples: samples.len(),
    })
}

fn bootstrap(ratios: &[f64]) -> Option<Estimate> {
    let value = median(&mut ratios.to_vec())?;
    let mut random = Random(ratios.len() as u64);
    let mut drawn = vec![0.0; ratios.len()];
    let mut medians = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        for place in &mut drawn {
            *place = *ratios.get(random.below(ratios.len())?)?;
        }
        medians.push(median(&mut drawn)?);
    }
    medians.sort_by(f64::total_cmp);
    Some(Estimate {
        value,
        low: *medians.get(RESAMPLES / 40)?,
        high: *medians.get(RESAMPLES - 1 - RESAMPLES / 40)?,
    })
}

/// The middle one, or the middle of the two in the middle.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(*values.get(middle.checked_sub(1)?)?, upper)
    })
}

/// The generator SplitMix64: the same report comes of the same samples.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> Option<usize> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed.checked_rem(bound as u64)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(by: &str, beside: &str, samples: &[(f64, f64)]) -> PairedSamples {
        PairedSamples {
            operation: "import".to_owned(),
            by: by.to_owned(),
            beside: beside.to_owned(),
            size: "1x1".to_owned(),
            samples: samples.to_vec(),
        }
    }

    #[test]
    fn the_ratio_is_that_of_the_library_whoever_was_measured() {
        let samples = [(200.0, 100.0), (210.0, 100.0), (190.0, 100.0)];
        let beside_floor = paired_ratio(&pairs("dmashare", "floor", &samples)).unwrap();
        assert_eq!(beside_floor.beside, "floor");
        assert!((beside_floor.ratio.value - 2.0).abs() < 1e-9);
        let by_peer = paired_ratio(&pairs("gbm", "dmashare", &samples)).unwrap();
        assert_eq!((&*by_peer.beside, by_peer.samples), ("gbm", 3));
        assert!((by_peer.ratio.value - 0.5).abs() < 1e-9);
        assert_eq!((by_peer.ours, by_peer.theirs), (100.0, 200.0));
        assert_eq!((beside_floor.ours, beside_floor.theirs), (200.0, 100.0));
        assert_eq!(paired_ratio(&pairs("gbm", "wgpu", &samples)), None);
        assert_eq!(paired_ratio(&pairs("dmashare", "floor", &[])), None);
    }

    /// A disturbance that hits both sides of a sample changes neither the ratio nor its interval.
    #[test]
    fn what_happens_to_both_sides_does_not_count() {
        let samples: Vec<_> = (1..=40)
            .map(|i| (f64::from(i * i) * 1.2, f64::from(i * i)))
            .collect();
        let ratio = paired_ratio(&pairs("dmashare", "floor", &samples))
            .unwrap()
            .ratio;
        for figure in [ratio.value, ratio.low, ratio.high] {
            assert!((figure - 1.2).abs() < 1e-9, "{ratio:?}");
        }
    }

    /// For the median of 100 values, the exact 95% interval (by the binomial distribution) is from the
    /// 40th to the 61st.
    #[test]
    fn the_interval_is_that_of_order_statistics_and_always_the_same() {
        let ratios: Vec<f64> = (1..=100).map(f64::from).collect();
        let interval = bootstrap(&ratios).unwrap();
        assert!((interval.value - 50.5).abs() < 1e-9);
        assert!((interval.low - 40.5).abs() < 3.0, "{interval:?}");
        assert!((interval.high - 60.5).abs() < 3.0, "{interval:?}");
        assert_eq!(bootstrap(&ratios), Some(interval));
    }
}
