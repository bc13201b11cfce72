//! Finds which party conflicts with which, when a negotiation is refused.

use crate::image::format_info::FormatInfo;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;
use crate::negotiation::combined_demands::CombinedDemands;
use crate::negotiation::format_support::DisjointPlanes;
use crate::negotiation::memory_kinds::MemoryKinds;
use crate::negotiation::objection::Objection;
use crate::negotiation::party::Party;
use crate::negotiation::refusal::{Refusal, RefusedParty};
use crate::negotiation::solver::{LinearObstacle, Solver};

/// The objections of each party, in the parties' order.
pub(crate) type Objections = Vec<Vec<Objection>>;

impl Solver<'_> {
    /// Collects every objection to every format, not only the first that is found.
    pub(crate) fn refusal(&self) -> Refusal {
        let mut objections: Objections = vec![Vec::new(); self.parties.len()];
        let demands = CombinedDemands::of(self.parties, self.desc.extent.height);
        for info in self.formats {
            self.blame_format(info, demands.as_ref().ok(), &mut objections);
        }
        if let Err(figure) = demands {
            self.blame_alignment(figure, &mut objections);
        }
        self.blame_memory(&mut objections);
        let parties = self.parties.iter().zip(objections);
        Refusal {
            buffer: self.desc.name.clone(),
            extent: self.desc.extent,
            formats: self.formats.iter().map(|info| info.fourcc).collect(),
            usage: self.usage,
            parties: parties
                .map(|(party, objections)| self.refused(party, objections))
                .collect(),
        }
    }

    fn refused(&self, party: &Party, objections: Vec<Objection>) -> RefusedParty {
        let formats = self.formats.iter().map(|info| info.fourcc);
        RefusedParty {
            name: party.name.clone(),
            role: party.role,
            usage: party.usage,
            would_take: formats
                .map(|format| (format, self.usable(party, format)))
                .filter(|(_, modifiers)| !modifiers.is_empty())
                .collect(),
            layout: party.layout,
            layout_control: party.control(),
            memory: party.memory,
            objections,
        }
    }

    /// The modifiers with which a party takes this image, regardless of other parties.
    fn usable(&self, party: &Party, format: Fourcc) -> Vec<Modifier> {
        let mut usable = Vec::new();
        for support in &party.formats {
            let modifier = support.modifier;
            if support.format == format
                && !usable.contains(&modifier)
                && self.is_eligible(modifier)
                && !self.counts(party, format, modifier).is_empty()
            {
                usable.push(modifier);
            }
        }
        usable
    }

    fn blame_format(
        &self,
        info: &FormatInfo,
        demands: Option<&CombinedDemands>,
        objections: &mut Objections,
    ) {
        let format = info.fourcc;
        let usable: Vec<Vec<Modifier>> = self
            .parties
            .iter()
            .map(|party| self.usable(party, format))
            .collect();
        let mut is_explained = false;
        for (index, party) in self.parties.iter().enumerate() {
            if usable[index].is_empty() {
                objections[index].extend(self.own_limits(party, format));
                is_explained = true;
                continue;
            }
            let not_by = self.others(index, |other| {
                !usable[other].iter().any(|one| usable[index].contains(one))
            });
            if !not_by.is_empty() {
                is_explained = true;
                objections[index].push(Objection::Modifiers {
                    format,
                    modifiers: usable[index].clone(),
                    not_by,
                });
            }
        }
        if is_explained {
            return;
        }
        let takes = |party: usize, modifier: &Modifier| usable[party].contains(modifier);
        let everyone = 0..self.parties.len();
        let common: Vec<Modifier> = usable[0]
            .iter()
            .filter(|modifier| everyone.clone().all(|party| takes(party, modifier)))
            .copied()
            .collect();
        // The format is acceptable if one modifier is: then no objection is recorded.
        let mut obstacles: Objections = vec![Vec::new(); self.parties.len()];
        for modifier in &common {
            if !self.blame_modifier(info, *modifier, demands, &mut obstacles) {
                return;
            }
        }
        for (objections, obstacles) in objections.iter_mut().zip(obstacles) {
            objections.extend(obstacles);
        }
        for party in everyone.clone() {
            if common.is_empty() {
                objections[party].push(Objection::Modifiers {
                    format,
                    modifiers: usable[party].clone(),
                    not_by: Vec::new(),
                });
                continue;
            }
            // A modifier that all parties but this one take would have been acceptable.
            let is_alone = |modifier: &Modifier| {
                !takes(party, modifier)
                    && everyone
                        .clone()
                        .all(|other| other == party || takes(other, modifier))
            };
            let others = &usable[usize::from(party == 0) % usable.len()];
            let lacking: Vec<Modifier> = others.iter().copied().filter(is_alone).collect();
            if !lacking.is_empty() {
                objections[party].push(Objection::LacksModifiers {
                    format,
                    modifiers: lacking,
                });
            }
        }
    }

    /// Why a party does not take this image at all, regardless of other parties.
    fn own_limits(&self, party: &Party, format: Fourcc) -> Vec<Objection> {
        let of_format = || party.formats.iter().filter(|known| known.format == format);
        if of_format().next().is_none() {
            return vec![Objection::NoFormat { format }];
        }
        let explicit = || of_format().filter(|known| known.modifier != Modifier::INVALID);
        if explicit().next().is_none() {
            return vec![Objection::OnlyImplicit { format }];
        }
        let serving = || explicit().filter(|known| known.usage.contains(party.usage));
        if serving().next().is_none() {
            let usage = party.usage;
            return vec![Objection::NotForUsage { format, usage }];
        }
        let mut limits = Vec::new();
        for support in serving().filter(|known| self.is_eligible(known.modifier)) {
            let modifier = support.modifier;
            let limit = if !support.is_within_limits(self.desc.extent) {
                Objection::Extent {
                    format,
                    modifier,
                    minimum: support.minimum_extent,
                    maximum: support.maximum_extent,
                }
            } else if !support.is_whole(self.desc.extent) {
                Objection::ExtentAlignment {
                    format,
                    modifier,
                    alignment: support.extent_alignment,
                }
            } else {
                Objection::MemoryPlanes {
                    format,
                    modifier,
                    counts: support.plane_counts().iter().collect(),
                }
            };
            if !limits.contains(&limit) {
                limits.push(limit);
            }
        }
        if limits.is_empty() {
            let mut modifiers: Vec<_> = serving().map(|known| known.modifier).collect();
            modifiers.dedup();
            limits.push(Objection::NotLinear { format, modifiers });
        }
        limits
    }

    /// Records why a modifier that all parties take is still unusable. Returns `false` if it is usable.
    fn blame_modifier(
        &self,
        info: &FormatInfo,
        modifier: Modifier,
        demands: Option<&CombinedDemands>,
        objections: &mut Objections,
    ) -> bool {
        let format = info.fourcc;
        let agreed = self.agreed_counts(format, modifier, |party| {
            self.counts(party, format, modifier)
        });
        if agreed.is_empty() {
            for (party, objections) in self.parties.iter().zip(objections) {
                let counts: Vec<u8> = self.counts(party, format, modifier).iter().collect();
                // A party with all four counts has not stated a number.
                if counts.len() < 4 {
                    objections.push(Objection::MemoryPlanes {
                        format,
                        modifier,
                        counts,
                    });
                }
            }
            return true;
        }
        let possible = |disjoint: &bool| {
            let counts = self.agreed_counts(format, modifier, |party| {
                self.counts_if(party, format, modifier, *disjoint)
            });
            !counts.is_empty()
        };
        let possible: Vec<bool> = [false, true].into_iter().filter(possible).collect();
        if possible.is_empty() {
            self.blame_disjoint(format, modifier, objections);
            return true;
        }
        let Some(demands) = demands.filter(|_| modifier.is_linear()) else {
            return false;
        };
        // Planes that are too large for one memory may fit into several.
        let mut obstacle = None;
        for disjoint in possible {
            match self.linear(info, demands, disjoint) {
                Ok(_) => return false,
                Err(found) => obstacle = obstacle.or(Some(found)),
            }
        }
        match obstacle {
            Some(LinearObstacle::NotPromised) => self.blame_promises(format, objections),
            Some(LinearObstacle::Problem(problem)) => {
                self.blame_figures(format, problem, objections);
            }
            None => {}
        }
        true
    }

    fn blame_disjoint(&self, format: Fourcc, modifier: Modifier, objections: &mut Objections) {
        for (party, objections) in self.parties.iter().zip(objections) {
            let counts = |disjoint| -> Vec<u8> {
                let counts = self.counts_if(party, format, modifier, disjoint);
                counts.iter().filter(|count| *count > 1).collect()
            };
            let (together, apart) = (counts(false), counts(true));
            // A party that takes all plane counts either way does not object.
            if together.len() + apart.len() < 6 {
                objections.push(Objection::Disjoint {
                    format,
                    modifier,
                    disjoint: match (together.is_empty(), apart.is_empty()) {
                        (_, true) => DisjointPlanes::Refused,
                        (true, false) => DisjointPlanes::Required,
                        (false, false) => DisjointPlanes::Allowed,
                    },
                });
            }
        }
    }

    fn blame_memory(&self, objections: &mut Objections) {
        if !self.memory().is_empty() {
            return;
        }
        let clashes =
            |one: MemoryKinds, other: usize| one.intersect(self.parties[other].memory).is_empty();
        let not_by: Vec<Vec<String>> = self
            .parties
            .iter()
            .enumerate()
            .map(|(index, party)| self.others(index, |other| clashes(party.memory, other)))
            .collect();
        let is_decided = not_by.iter().any(|names| !names.is_empty());
        for ((party, not_by), objections) in self.parties.iter().zip(not_by).zip(objections) {
            if !is_decided || !not_by.is_empty() {
                objections.push(Objection::Memory {
                    memory: party.memory,
                    not_by,
                });
            }
        }
    }

    /// The names of the parties other than `index` for which `holds` is true.
    pub(crate) fn others(&self, index: usize, holds: impl Fn(usize) -> bool) -> Vec<String> {
        let others = self.parties.iter().enumerate();
        others
            .filter(|(other, _)| *other != index && holds(*other))
            .map(|(_, party)| party.name.clone())
            .collect()
    }
}
