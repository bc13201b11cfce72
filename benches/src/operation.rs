//! One thing that is measured.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

/// Between a flip's event and the next commit, in which a program would draw and the kernel lets go of
/// what was on screen before. Without it, whoever commits sooner after an event waits for that.
pub(crate) const DRAWING_TIME: Duration = Duration::from_millis(8);

/// An operation that can be done again and again. Only [`run`](Self::run) is measured and counted.
pub trait Operation {
    /// Makes what the next `times` runs are given: descriptors that they use up.
    ///
    /// # Errors
    /// When something needed fails.
    fn prepare(&mut self, times: usize) -> Result<()> {
        let _ = times;
        Ok(())
    }

    /// Does it once.
    ///
    /// # Errors
    /// When the operation fails.
    fn run(&mut self) -> Result<()>;

    /// Bytes that one run copies, if it counts them.
    fn bytes_copied(&self) -> Option<u64> {
        None
    }

    /// Waits for what the runs have started: a flip, work on a queue.
    ///
    /// # Errors
    /// When it fails or does not end.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What became of an operation that was to be measured.
pub enum Opened {
    /// It is ready to run.
    Ready(Box<dyn Operation>),
    /// Whoever should do it cannot, for this reason: a sentence without a full stop, for a table.
    Absent(String),
}

impl Opened {
    /// Ready to run.
    pub fn ready(operation: impl Operation + 'static) -> Self {
        Self::Ready(Box::new(operation))
    }

    /// The operation.
    ///
    /// # Errors
    /// Whoever should do it cannot; the error is the reason.
    pub fn into_operation(self) -> Result<Box<dyn Operation>> {
        match self {
            Self::Ready(operation) => Ok(operation),
            Self::Absent(reason) => Err(anyhow::Error::msg(reason)),
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(_) => f.write_str("Ready"),
            Self::Absent(reason) => f.debug_tuple("Absent").field(reason).finish(),
        }
    }
}
