//! Where a buffer is: exporters, importers, placements, the memory with its pins, and its charge to a
//! budget.

pub(crate) mod backing;
pub(crate) mod constraint;
pub(crate) mod dynamic_exporter;
pub(crate) mod export_error;
pub(crate) mod exporter;
pub(crate) mod import_error;
pub(crate) mod importer;
pub(crate) mod ledger;
pub(crate) mod no_room_error;
pub(crate) mod pins;
pub(crate) mod placement;
pub(crate) mod pool;
