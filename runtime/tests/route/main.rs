//! Routes: directly, or by a copy that is kept fresh.
#![allow(missing_docs, clippy::unwrap_used)]

mod choosing;
mod keeping_fresh;
mod model;
mod picky;
#[path = "../support/mod.rs"]
mod support;
