//! What a buffer asks of the residency that keeps it.

/// How hard room is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    /// Nothing that has just come back is moved away for it.
    Gently,
    /// Whatever is not pinned is moved away.
    Firmly,
}
