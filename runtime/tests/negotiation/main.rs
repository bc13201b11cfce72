//! `dmashare::negotiation`: against a solver that tries everything, awkward constraints, refusals, the
//! cache. None of it needs a kernel of the lab.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod against_brute_force;
mod awkward;
mod brute_force;
mod check;
mod limits;
mod parties;
mod preference;
mod promises;
mod query_cache;
mod refusal;
mod stating;
