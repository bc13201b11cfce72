//! Finds which parties' layout demands conflict.

use crate::image::fourcc::Fourcc;
use crate::negotiation::blame::Objections;
use crate::negotiation::combined_demands::{demanded, not_promised};
use crate::negotiation::layout_demands::{LayoutControl, LayoutFigure};
use crate::negotiation::linear_layout::LinearProblem;
use crate::negotiation::objection::Objection;
use crate::negotiation::party::Party;
use crate::negotiation::solver::Solver;

impl Solver<'_> {
    /// Records an objection for each party whose demands an exporter that lays images out by itself
    /// does not promise to meet.
    pub(crate) fn blame_promises(&self, format: Fourcc, objections: &mut Objections) {
        let mut exporters = self.parties.iter();
        let Some(exporter) = exporters.find(|party| party.control() != LayoutControl::Explicit)
        else {
            return;
        };
        for (party, objections) in self.parties.iter().zip(objections) {
            for (figure, demanded, promised) in
                not_promised(exporter, party, self.desc.extent.height)
            {
                objections.push(Objection::NotPromised {
                    format,
                    figure,
                    demanded,
                    exporter: exporter.name.clone(),
                    promised,
                });
            }
        }
    }

    /// Records objections for the parties whose limits a linear layout would exceed, and for those
    /// whose demands enlarge it.
    pub(crate) fn blame_figures(
        &self,
        format: Fourcc,
        problem: LinearProblem,
        objections: &mut Objections,
    ) {
        let exceeds = |party: &Party| match problem {
            LinearProblem::Stride(needed) => needed > party.layout.maximum_stride.into(),
            LinearProblem::Size(needed) => {
                needed.is_none_or(|needed| needed > party.layout.maximum_size)
            }
        };
        for (index, party) in self.parties.iter().enumerate() {
            if exceeds(party) {
                objections[index].push(match problem {
                    LinearProblem::Stride(needed) => Objection::MaximumStride {
                        format,
                        maximum: party.layout.maximum_stride,
                        needed,
                    },
                    LinearProblem::Size(needed) => Objection::MaximumSize {
                        format,
                        maximum: party.layout.maximum_size,
                        needed,
                    },
                });
            }
            let limited = self.others(index, |other| exceeds(&self.parties[other]));
            for (figure, value) in self.enlarging(party, problem) {
                if !limited.is_empty() {
                    objections[index].push(Objection::TooLargeFor {
                        format,
                        figure,
                        value,
                        limited: limited.clone(),
                    });
                }
            }
        }
    }

    /// The figures of a party that enlarge strides or memories.
    fn enlarging(&self, party: &Party, problem: LinearProblem) -> Vec<(LayoutFigure, u64)> {
        let height = self.desc.extent.height;
        let demands = demanded(party);
        let padded = demands.padded_height(height);
        let stride = demands.stride_alignment.into();
        let figures = [
            (LayoutFigure::StrideAlignment, stride, stride > 1),
            (
                LayoutFigure::OffsetAlignment,
                demands.offset_alignment,
                demands.offset_alignment > 1,
            ),
            (LayoutFigure::PaddedHeight, padded, padded > height.into()),
            (
                LayoutFigure::TailBytes,
                demands.tail_bytes,
                demands.tail_bytes > 0,
            ),
            (
                LayoutFigure::SizeAlignment,
                demands.size_alignment,
                demands.size_alignment > 1,
            ),
        ];
        let concerned = match problem {
            LinearProblem::Stride(_) => 1,
            LinearProblem::Size(_) => figures.len(),
        };
        let figures = figures.into_iter().take(concerned);
        figures
            .filter(|(_, _, is_demanded)| *is_demanded)
            .map(|(figure, value, _)| (figure, value))
            .collect()
    }

    pub(crate) fn blame_alignment(&self, figure: LayoutFigure, objections: &mut Objections) {
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
}
