//! Who stands in the way of whom, when nothing suits everyone.

use crate::negotiation::combined_demands::{demanded, not_promised};
use crate::negotiation::linear_layout::LinearProblem;
use crate::negotiation::solver::{LinearObstacle, Solver};
use crate::negotiation::{
    CombinedDemands, DisjointPlanes, LayoutControl, LayoutFigure, MemoryKinds, Objection, Party,
    Refusal, RefusedParty,
};
use crate::{FormatInfo, Fourcc, Modifier};

/// The objections of each party, in the parties' order.
type Objections = Vec<Vec<Objection>>;

impl Solver<'_> {
    /// Everything that stands in the way, whether or not something else would do so as well.
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

    /// The modifiers with which a party takes this image, others aside.
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
        let in_common = |modifier: &Modifier| usable.iter().all(|list| list.contains(modifier));
        let common = usable[0].iter().copied().filter(in_common);
        let mut has_common = false;
        for modifier in common {
            has_common = true;
            self.blame_modifier(info, modifier, demands, objections);
        }
        if !has_common {
            for (modifiers, objections) in usable.into_iter().zip(objections) {
                objections.push(Objection::Modifiers {
                    format,
                    modifiers,
                    not_by: Vec::new(),
                });
            }
        }
    }

    /// Why a party does not take this image at all, others aside.
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

    /// Why a modifier that everyone takes does not do.
    fn blame_modifier(
        &self,
        info: &FormatInfo,
        modifier: Modifier,
        demands: Option<&CombinedDemands>,
        objections: &mut Objections,
    ) {
        let format = info.fourcc;
        let agreed = self.agreed_counts(format, modifier, |party| {
            self.counts(party, format, modifier)
        });
        if agreed.is_empty() {
            for (party, objections) in self.parties.iter().zip(objections) {
                let counts: Vec<u8> = self.counts(party, format, modifier).iter().collect();
                // Whoever takes all four has not said a number.
                if counts.len() < 4 {
                    objections.push(Objection::MemoryPlanes {
                        format,
                        modifier,
                        counts,
                    });
                }
            }
            return;
        }
        let possible = [false, true].into_iter().find(|&disjoint| {
            let counts = self.agreed_counts(format, modifier, |party| {
                self.counts_if(party, format, modifier, disjoint)
            });
            !counts.is_empty()
        });
        match (possible, demands) {
            (None, _) => self.blame_disjoint(format, modifier, objections),
            (Some(disjoint), Some(demands)) if modifier.is_linear() => {
                if let Err(obstacle) = self.linear(info, demands, disjoint) {
                    self.blame_linear(format, obstacle, objections);
                }
            }
            _ => {}
        }
    }

    fn blame_disjoint(&self, format: Fourcc, modifier: Modifier, objections: &mut Objections) {
        let taken = |party: &Party| {
            let is_taken = |disjoint| {
                let counts = self.counts_if(party, format, modifier, disjoint);
                counts.iter().any(|count| count > 1)
            };
            match (is_taken(false), is_taken(true)) {
                (_, false) => DisjointPlanes::Refused,
                (false, true) => DisjointPlanes::Required,
                (true, true) => DisjointPlanes::Allowed,
            }
        };
        let taken: Vec<DisjointPlanes> = self.parties.iter().map(taken).collect();
        // Entries that differ in both the planes and their memories can clash though each party as a
        // whole takes either: then it is everyone's doing.
        let is_decided = taken.iter().any(|one| *one != DisjointPlanes::Allowed);
        for (disjoint, objections) in taken.into_iter().zip(objections) {
            if !is_decided || disjoint != DisjointPlanes::Allowed {
                objections.push(Objection::Disjoint {
                    format,
                    modifier,
                    disjoint,
                });
            }
        }
    }

    fn blame_linear(&self, format: Fourcc, obstacle: LinearObstacle, objections: &mut Objections) {
        let exporter = self
            .parties
            .iter()
            .find(|party| party.control() != LayoutControl::Explicit);
        for (party, objections) in self.parties.iter().zip(objections) {
            let (stride, size) = (party.layout.maximum_stride, party.layout.maximum_size);
            match (obstacle, exporter) {
                (LinearObstacle::Problem(LinearProblem::Stride(needed)), _) => {
                    if needed > u64::from(stride) {
                        objections.push(Objection::MaximumStride {
                            format,
                            maximum: stride,
                            needed,
                        });
                    }
                }
                (LinearObstacle::Problem(LinearProblem::Size(needed)), _) => {
                    if needed.is_none_or(|needed| needed > size) {
                        objections.push(Objection::MaximumSize {
                            format,
                            maximum: size,
                            needed,
                        });
                    }
                }
                (LinearObstacle::NotPromised, Some(exporter)) => {
                    let figures = not_promised(exporter, party, self.desc.extent.height);
                    let unmet = figures.into_iter().map(|(figure, demanded, promised)| {
                        Objection::NotPromised {
                            format,
                            figure,
                            demanded,
                            exporter: exporter.name.clone(),
                            promised,
                        }
                    });
                    objections.extend(unmet);
                }
                (LinearObstacle::NotPromised, None) => {}
            }
        }
    }

    fn blame_alignment(&self, figure: LayoutFigure, objections: &mut Objections) {
        let alignment = |party: &Party| -> u64 {
            let demands = demanded(party);
            match figure {
                LayoutFigure::StrideAlignment => demands.stride_alignment.into(),
                LayoutFigure::OffsetAlignment => demands.offset_alignment,
                LayoutFigure::SizeAlignment => demands.size_alignment,
                LayoutFigure::PaddedHeight | LayoutFigure::TailBytes => 1,
            }
        };
        for (index, party) in self.parties.iter().enumerate() {
            if alignment(party) > 1 {
                objections[index].push(Objection::NoCommonMultiple {
                    figure,
                    alignment: alignment(party),
                    with: self.others(index, |other| alignment(&self.parties[other]) > 1),
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

    /// The names of the parties but `index` for which this holds.
    fn others(&self, index: usize, holds: impl Fn(usize) -> bool) -> Vec<String> {
        let others = self.parties.iter().enumerate();
        others
            .filter(|(other, _)| *other != index && holds(*other))
            .map(|(_, party)| party.name.clone())
            .collect()
    }
}
