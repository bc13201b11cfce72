//! Exporters and importers that can't be used.

use schemars::JsonSchema;
use serde::Serialize;

/// An exporter or importer that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Unusable {
    /// Its name.
    pub(super) name: String,
    /// Why.
    pub(super) reason: String,
    /// Whether it could not be examined; if not, it is not there, or lacks what sharing needs.
    pub(super) failed: bool,
}
