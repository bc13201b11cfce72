//! Assignment of CRTCs to connectors, and of primary planes and writeback connectors to CRTCs.

/// Assigns each claimant one of `count` resources that its mask allows (bit `n` for the `n`-th), so
/// that as many claimants as possible get one. A claimant keeps its resource unless another claimant
/// could not be served otherwise. Earlier claimants have priority.
pub(crate) fn assign(claimants: &[(u32, Option<usize>)], count: usize) -> Vec<Option<usize>> {
    let count = count.min(32);
    let mut owner: Vec<Option<usize>> = vec![None; count];
    for (claimant, (mask, current)) in claimants.iter().enumerate() {
        if let Some(current) = *current
            && current < count
            && mask & (1 << current) != 0
            && owner[current].is_none()
        {
            owner[current] = Some(claimant);
        }
    }
    for claimant in 0..claimants.len() {
        if !owner.contains(&Some(claimant)) {
            let mut visited = vec![false; count];
            augment(claimants, claimant, &mut owner, &mut visited);
        }
    }
    let mut assigned = vec![None; claimants.len()];
    for (resource, owner) in owner.into_iter().enumerate() {
        if let Some(owner) = owner {
            assigned[owner] = Some(resource);
        }
    }
    assigned
}

/// Finds an augmenting path (Kuhn): takes a free resource, or one whose owner can switch to another.
fn augment(
    claimants: &[(u32, Option<usize>)],
    claimant: usize,
    owner: &mut [Option<usize>],
    visited: &mut [bool],
) -> bool {
    for resource in 0..owner.len() {
        if claimants[claimant].0 & (1 << resource) == 0 || visited[resource] {
            continue;
        }
        visited[resource] = true;
        let free = match owner[resource] {
            None => true,
            Some(other) => augment(claimants, other, owner, visited),
        };
        if free {
            owner[resource] = Some(claimant);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_has_one_keeps_it() {
        let claimants = [(0b11, Some(1)), (0b11, None)];
        assert_eq!(assign(&claimants, 2), [Some(1), Some(0)]);
    }

    #[test]
    fn one_moves_when_another_could_not_be_served_otherwise() {
        let claimants = [(0b11, Some(0)), (0b01, None)];
        assert_eq!(assign(&claimants, 2), [Some(1), Some(0)]);
    }

    #[test]
    fn too_few_leave_the_last_without() {
        let claimants = [(0b1, None), (0b1, None)];
        assert_eq!(assign(&claimants, 1), [Some(0), None]);
        assert_eq!(assign(&[(0, None)], 4), [None]);
        assert_eq!(assign(&[(1, Some(9))], 0), [None]);
    }

    proptest! {
        #[test]
        fn it_is_a_matching_and_none_is_larger(
            masks in proptest::collection::vec(0_u32..16, 0..5),
        ) {
            let claimants: Vec<_> = masks.iter().map(|mask| (*mask, None)).collect();
            let assigned = assign(&claimants, 4);
            let mut seen = std::collections::HashSet::new();
            for (mask, resource) in masks.iter().zip(&assigned) {
                if let Some(resource) = resource {
                    prop_assert!(mask & (1 << resource) != 0);
                    prop_assert!(seen.insert(*resource));
                }
            }
            let best = largest(&masks, 0, 0);
            prop_assert_eq!(seen.len(), best);
        }
    }

    /// Size of the largest matching, by exhaustive search.
    fn largest(masks: &[u32], from: usize, used: u32) -> usize {
        if from == masks.len() {
            return 0;
        }
        let without = largest(masks, from + 1, used);
        (0..4)
            .filter(|bit| masks[from] & !used & (1 << bit) != 0)
            .map(|bit| 1 + largest(masks, from + 1, used | (1 << bit)))
            .fold(without, usize::max)
    }
}
