//! The report's sections. Each is made of the data alone, and left out if there is nothing to say.

mod clocks;
mod counted;
mod growth;
mod handoff;
mod how;
mod losses;
mod machine;
mod replaced;
mod safeties;
mod targets;

pub(super) use clocks::clocks;
pub(super) use counted::counted;
pub(super) use growth::growth;
pub(super) use handoff::handoff;
pub(super) use how::how;
pub(super) use losses::where_we_lose;
#[cfg(test)]
pub(super) use machine::tests::lab;
pub(super) use machine::{machine, machine_in_words};
pub(super) use replaced::replaced;
pub(super) use safeties::safeties;
pub(super) use targets::targets;
