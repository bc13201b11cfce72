//! Why the library is slower than another, where it is.
//!
//! Each entry answers a row of the report's section "Where we lose"; those that nothing answers are
//! shown as "not explained yet".

use super::Loss;

/// Why an operation takes longer by the library.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// The operation, as benches are named: `import`.
    pub operation: &'static str,
    /// Compared with whom: `floor`, `checked_floor`, `smithay`, `gbm`, `wgpu`.
    pub beside: &'static str,
    /// Why: whole sentences.
    pub text: &'static str,
}

/// Every explanation.
pub const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        operation: "import",
        beside: "floor",
        text: "The first import makes three system calls more: `fstat` (is this a dma-buf, which one, \
               how large), and `fcntl` and `close` of a second descriptor, which is kept for the next \
               device that asks. In user-mode Linux, the lab's kernel, a system call costs tens of \
               microseconds; on a kernel that runs by itself, well below one. The second time, nothing \
               of this happens: see the known import.",
    },
    Explanation {
        operation: "known_buffer",
        beside: "floor",
        text: "The floor only submits. The library also locks the buffer, checks that its mapping is \
               current, collects the fences to wait for and leaves its own: that is what keeps others \
               from reading a frame that is half drawn.",
    },
    Explanation {
        operation: "eviction",
        beside: "floor",
        text: "The floor is only a memcpy. A move also asks everyone who uses the buffer to let go, \
               submits the copy to the device's queue and waits for it, twice.",
    },
    Explanation {
        operation: "fresh_eviction",
        beside: "floor",
        text: "The floor is only a memcpy into memory that is there. A move into fresh memory also \
               makes the memory and lets the old go, and the kernel clears each new page.",
    },
];

/// What explains a loss.
pub fn explanation(loss: &Loss) -> Option<&'static str> {
    let mut all = EXPLANATIONS.iter();
    let found = all.find(|one| one.operation == loss.operation && one.beside == loss.beside);
    found.map(|one| one.text)
}

#[cfg(test)]
mod tests {
    use super::super::names::{is_side, known};
    use super::*;

    #[test]
    fn every_explanation_is_of_something_that_is_measured_and_there_is_one_for_each() {
        for (index, one) in EXPLANATIONS.iter().enumerate() {
            let (operation, beside) = (one.operation, one.beside);
            assert!(known(operation).is_some(), "{operation}");
            assert!(is_side(beside), "{beside}");
            assert!(one.text.ends_with('.'), "{operation} beside {beside}");
            let mut later = EXPLANATIONS[index + 1..].iter();
            let twice = later.any(|other| (other.operation, other.beside) == (operation, beside));
            assert!(!twice, "{operation} beside {beside}");
        }
    }
}
