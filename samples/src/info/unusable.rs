//! What might share memory, and can't.

use schemars::JsonSchema;
use serde::Serialize;

/// Someone who might share, and can't.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Unusable {
    /// Who.
    pub(super) name: String,
    /// Why.
    pub(super) reason: String,
    /// Whether it could not be examined; if not, it is not there, or lacks what sharing needs.
    pub(super) failed: bool,
}
