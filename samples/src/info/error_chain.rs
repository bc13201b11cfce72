//! Errors as the report has them.

use crate::program;

/// An error with its causes, in one line.
pub(super) fn chain(error: impl std::error::Error + Send + Sync + 'static) -> String {
    program::message(&error.into())
}
