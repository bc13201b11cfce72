//! Finds what all parties take.

use crate::image::buffer_desc::{BufferDesc, Usage};
use crate::image::format_info::FormatInfo;
use crate::image::fourcc::Fourcc;
use crate::image::modifier::Modifier;
use crate::negotiation::combined_demands::{CombinedDemands, not_promised};
use crate::negotiation::format_support::PlaneCounts;
use crate::negotiation::layout_demands::LayoutControl;
use crate::negotiation::linear_layout::{LinearLayout, LinearProblem};
use crate::negotiation::memory_kinds::MemoryKinds;
use crate::negotiation::negotiated::{Negotiated, NegotiatedModifier};
use crate::negotiation::party::{Party, Role};
use crate::negotiation::preference;

/// The input of a negotiation.
pub(crate) struct Solver<'a> {
    pub(crate) desc: &'a BufferDesc,
    /// Acceptable formats, best first.
    pub(crate) formats: &'a [&'static FormatInfo],
    pub(crate) parties: &'a [Party],
    /// All uses of the buffer, by the description and by all parties.
    pub(crate) usage: Usage,
}

impl Solver<'_> {
    /// The best that all parties take; `None` if there is nothing.
    pub(crate) fn solve(&self) -> Option<Negotiated> {
        let demands = CombinedDemands::of(self.parties, self.desc.extent.height).ok()?;
        let memory = self.memory();
        if memory.is_empty() {
            return None;
        }
        self.formats.iter().find_map(|info| {
            let (disjoint, modifiers) = [false, true]
                .map(|disjoint| (disjoint, self.modifiers(info, &demands, disjoint)))
                .into_iter()
                .find(|(_, modifiers)| !modifiers.is_empty())?;
            let mut desc = self.desc.clone();
            desc.format = info.fourcc;
            desc.usage = self.usage;
            let linear = modifiers
                .iter()
                .any(|candidate| candidate.modifier.is_linear())
                .then(|| self.linear(info, &demands, disjoint).ok().flatten())
                .flatten();
            Some(Negotiated {
                desc,
                modifiers,
                disjoint,
                memory: memory.in_order(&preference::placements(self.usage)),
                demands,
                linear,
            })
        })
    }

    /// The kinds of memory that all parties take.
    pub(crate) fn memory(&self) -> MemoryKinds {
        let kinds = self.parties.iter().map(|party| party.memory);
        kinds.fold(MemoryKinds::default(), MemoryKinds::intersect)
    }

    /// The modifiers that all parties take, best first, with planes in one memory or in several.
    fn modifiers(
        &self,
        info: &'static FormatInfo,
        demands: &CombinedDemands,
        disjoint: bool,
    ) -> Vec<NegotiatedModifier> {
        let mut modifiers: Vec<NegotiatedModifier> = Vec::new();
        let exporters = self
            .parties
            .iter()
            .filter(|party| party.role == Role::Exporter);
        for support in exporters.flat_map(|party| &party.formats) {
            let modifier = support.modifier;
            if support.format != info.fourcc
                || modifiers.iter().any(|known| known.modifier == modifier)
                || !self.is_eligible(modifier)
            {
                continue;
            }
            let counts = self.agreed_counts(info.fourcc, modifier, |party| {
                self.counts_if(party, info.fourcc, modifier, disjoint)
            });
            if counts.is_empty()
                || modifier.is_linear() && self.linear(info, demands, disjoint).is_err()
            {
                continue;
            }
            modifiers.push(NegotiatedModifier {
                modifier,
                memory_planes: counts.single(),
            });
        }
        preference::sort_modifiers(&mut modifiers, self.usage);
        modifiers
    }

    /// Whether a modifier can be negotiated for these uses.
    pub(crate) fn is_eligible(&self, modifier: Modifier) -> bool {
        modifier != Modifier::INVALID
            && (modifier.is_linear() || !preference::must_be_linear(self.usage))
    }

    /// The numbers of memory planes with which a party takes the image.
    pub(crate) fn counts(&self, party: &Party, format: Fourcc, modifier: Modifier) -> PlaneCounts {
        party
            .serving(format, modifier)
            .filter(|support| support.takes_extent(self.desc.extent))
            .fold(PlaneCounts::NONE, |all, support| {
                all.or(support.plane_counts())
            })
    }

    /// Like [`counts`](Self::counts), with planes in one memory or in several.
    pub(crate) fn counts_if(
        &self,
        party: &Party,
        format: Fourcc,
        modifier: Modifier,
        disjoint: bool,
    ) -> PlaneCounts {
        party
            .serving(format, modifier)
            .filter(|support| support.takes_extent(self.desc.extent))
            .fold(PlaneCounts::NONE, |all, support| {
                all.or(support.plane_counts_if(disjoint))
            })
    }

    /// The numbers of memory planes that the format allows and all parties take. `of_party` returns
    /// those of one party.
    pub(crate) fn agreed_counts(
        &self,
        format: Fourcc,
        modifier: Modifier,
        of_party: impl Fn(&Party) -> PlaneCounts,
    ) -> PlaneCounts {
        let allowed = PlaneCounts::of_format(format, modifier);
        let parties = self.parties.iter();
        parties.fold(allowed, |agreed, party| agreed.and(of_party(party)))
    }

    /// The linear layout; `Ok(None)` if LINEAR is possible but the exporter decides the layout itself.
    pub(crate) fn linear(
        &self,
        info: &FormatInfo,
        demands: &CombinedDemands,
        disjoint: bool,
    ) -> Result<Option<LinearLayout>, LinearObstacle> {
        let extent = self.desc.extent;
        let mut deciding = self
            .parties
            .iter()
            .filter(|party| party.control() != LayoutControl::Explicit);
        let exporter = deciding.next();
        if let Some(exporter) = exporter {
            let is_promised = |party| not_promised(exporter, party, extent.height).is_empty();
            if !self.parties.iter().all(is_promised) {
                return Err(LinearObstacle::NotPromised);
            }
        }
        // A layout that the exporter decides is at least as large as this one.
        let least = LinearLayout::new(info, extent, demands, disjoint);
        let least = least.map_err(LinearObstacle::Problem)?;
        Ok(exporter.is_none().then_some(least))
    }
}

/// Why LINEAR is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinearObstacle {
    /// The exporter decides the layout and does not promise what a party demands.
    NotPromised,
    /// No layout meets the demands.
    Problem(LinearProblem),
}
