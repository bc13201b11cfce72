//! Where the library is slower than others.

use serde::Serialize;

use super::names::{self, is_floor};
use super::{Data, Estimate, explanations};

/// An operation that takes longer by the library than by another, beyond doubt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Loss {
    /// What was done.
    pub operation: String,
    /// Compared with whom.
    pub beside: String,
    /// The sizes at which it is so, with the ratios.
    pub at: Vec<(String, Estimate)>,
    /// Why, if that is known.
    pub explanation: Option<&'static str>,
}

impl Loss {
    /// The largest ratio.
    pub fn worst(&self) -> Option<&(String, Estimate)> {
        let by_ratio =
            |a: &&(String, Estimate), b: &&(String, Estimate)| a.1.value.total_cmp(&b.1.value);
        self.at.iter().max_by(by_ratio)
    }
}

/// From which ratio on the library is slower than `beside`: a floor has no checks, so a twentieth of it
/// is allowed.
fn allowed(beside: &str) -> f64 {
    if is_floor(beside) { 1.05 } else { 1.0 }
}

/// Every operation in which the library is slower: the interval of the ratio lies above 1.05 for a
/// floor, above 1 for a peer. The largest ratio comes first.
pub fn losses(data: &Data) -> Vec<Loss> {
    let mut losses: Vec<Loss> = Vec::new();
    for one in &data.ratios {
        if one.ratio.low <= allowed(&one.beside) {
            continue;
        }
        let at = (one.size.clone(), one.ratio);
        let mut known = losses.iter_mut();
        match known.find(|loss| loss.operation == one.operation && loss.beside == one.beside) {
            Some(loss) => loss.at.push(at),
            None => losses.push(Loss {
                operation: one.operation.clone(),
                beside: one.beside.clone(),
                at: vec![at],
                explanation: None,
            }),
        }
    }
    for loss in &mut losses {
        loss.explanation = explanations::explanation(loss);
    }
    let worst = |loss: &Loss| loss.worst().map_or(0.0, |(_, ratio)| ratio.value);
    losses.sort_by(|a, b| {
        let by_ratio = worst(b).total_cmp(&worst(a));
        by_ratio.then_with(|| names::position(&a.operation).cmp(&names::position(&b.operation)))
    });
    losses
}

#[cfg(test)]
mod tests {
    use super::super::data::tests::ratio_of;
    use super::*;

    #[test]
    fn a_loss_is_what_lies_above_the_limit_with_its_whole_interval() {
        let ratios = vec![
            ratio_of("import", "floor", "256x256", [1.4, 1.5, 1.6]),
            ratio_of("import", "floor", "1920x1080", [1.5, 1.7, 1.8]),
            // Within the twentieth, or not beyond doubt.
            ratio_of("export", "floor", "256x256", [1.04, 1.05, 1.06]),
            ratio_of("flip", "floor", "1024x768", [1.04, 1.2, 1.4]),
            // Against a peer there is no twentieth; and what this one cannot do, nothing explains.
            ratio_of("export", "wgpu", "256x256", [1.01, 1.02, 1.03]),
            ratio_of("import", "gbm", "256x256", [0.99, 1.02, 1.05]),
        ];
        let data = Data {
            ratios,
            ..Data::default()
        };
        let losses = losses(&data);
        let found: Vec<_> = losses
            .iter()
            .map(|loss| (&*loss.operation, &*loss.beside, loss.at.len()))
            .collect();
        assert_eq!(found, [("import", "floor", 2), ("export", "wgpu", 1)]);
        assert_eq!(losses[0].worst().unwrap().0, "1920x1080");
        assert!(
            losses[0]
                .explanation
                .is_some_and(|text| text.contains("fstat"))
        );
        assert_eq!(losses[1].explanation, None);
    }
}
