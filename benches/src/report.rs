//! The report of what was measured, for someone who does not know the project.
//!
//! [`Data::read`] collects what criterion and the benches have left in a folder; [`Data`] is also a
//! file, `benchmarks.json`, of which a report can be made again. [`document`] is the report: what is
//! compared, which targets are met ([`Verdict`]), where the library is slower than others ([`Loss`],
//! explained in [`explanations`]), what sharing replaces ([`Crossing`]). It is Markdown with pictures
//! ([`Report`]), of which [`html`] makes a page; [`front_page`] is the few rows of it that the README
//! shows.

mod criterion_results;
mod crossing;
mod data;
mod document;
pub mod explanations;
mod figures;
pub mod files;
pub mod front_page;
pub mod html;
mod loss;
mod markdown;
mod names;
mod paired_ratio;
mod peer_versions;
mod plot;
mod quantities;
mod sections;
mod target;

pub use crossing::Crossing;
pub use data::{
    Counted, Data, Estimate, Growth, IdleMemory, LibraryOnly, Measured, Ratio, ThreadsRanOn,
};
pub use document::document;
pub use loss::{Loss, losses};
pub use markdown::{Picture, Report};
pub use peer_versions::{PeerVersion, peer_versions};
pub use target::{Verdict, verdicts};
