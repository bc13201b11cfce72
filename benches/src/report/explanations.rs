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
        operation: "export",
        beside: "floor",
        text: "Two safeties: the dma-buf is checked (`fstat`) and named (an ioctl; the name is how the \
               kernel's lists show who leaks). It is the same for every size, so it weighs on small images \
               only.",
    },
    Explanation {
        operation: "export",
        beside: "smithay",
        text: "smithay makes an image without a view, in memory that is not dedicated to it, of the first \
               memory type, without checking or naming what it gives out.",
    },
    Explanation {
        operation: "export",
        beside: "gbm",
        text: "GBM makes no Vulkan image. On a driver without a GPU its buffer is the card's dumb buffer, \
               whose pages are there when they are touched first; a program that draws with Vulkan has to \
               import it then, which is another row.",
    },
    Explanation {
        operation: "first_use",
        beside: "floor",
        text: "Both record and submit one command buffer. The library also attaches and maps the buffer, and \
               leaves the fence that everyone waits for.",
    },
    Explanation {
        operation: "import",
        beside: "floor",
        text: "The first import makes three system calls more: `fstat` (is this a dma-buf, which one, \
               how large), and `fcntl` and `close` of a second descriptor, which is kept for the next \
               device that asks. In user-mode Linux, the lab's kernel, a system call costs about ten \
               microseconds; on a kernel that runs by itself, well below one. The second time, nothing \
               of this happens: see the known import.",
    },
    Explanation {
        operation: "import",
        beside: "checked_floor",
        text: "Both make the same system calls and Vulkan calls. What is left is the library's own \
               bookkeeping (buffer, attachment, mapping), whose small allocations the section of counters \
               shows, and now and then a look at the clock, which is a system call in user-mode Linux.",
    },
    Explanation {
        operation: "import",
        beside: "smithay",
        text: "smithay asks nobody whether what it was given is a dma-buf, and not OpenGL ES whether the \
               import has worked. Its system calls are in the section of counters.",
    },
    Explanation {
        operation: "import",
        beside: "gbm",
        text: "GBM makes no image.",
    },
    Explanation {
        operation: "import",
        beside: "wgpu",
        text: "wgpu gives its one descriptor away and does not check it: whoever imports so cannot give the \
               buffer to a second device, or to a display, any more. The library makes three system calls \
               so that it can, check and keep of the safeties, whose cost is listed there. The next time, wgpu imports again, and the library does not.",
    },
    Explanation {
        operation: "framebuffer",
        beside: "floor",
        text: "The same four ioctls. What is more is the library's own bookkeeping (attachment and mapping), \
               and now and then a look at the clock, which is a system call in user-mode Linux.",
    },
    Explanation {
        operation: "flip",
        beside: "floor",
        text: "The same one ioctl. The library also gathers the fences of the buffer, holds it while it is \
               shown, and looks after the one that leaves the screen.",
    },
    Explanation {
        operation: "handoff_processes",
        beside: "floor",
        text: "Each end asks the kernel whether what it has received is a sync_file (an ioctl): a driver that \
               is given a pipe instead hangs its queue.",
    },
    Explanation {
        operation: "fence_create",
        beside: "floor",
        text: "The library's semaphore comes from a pool that takes semaphores back when work is submitted; \
               here nothing is, so each fence makes one.",
    },
    Explanation {
        operation: "fence_wait",
        beside: "floor",
        text: "One system call each: the library asks what the fence has come to, and so tells one that has \
               failed from one that has signalled, which poll does not. The second time it knows, and makes \
               none.",
    },
    Explanation {
        operation: "fence_wait_pending",
        beside: "floor",
        text: "The library asks for the status before it waits and after it has waited, and so tells a fence \
               that has failed from one that has signalled; poll alone does not.",
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
    use super::super::names::is_side;
    use super::*;
    use crate::OperationKind;

    #[test]
    fn every_explanation_is_of_something_that_is_measured_and_there_is_one_for_each() {
        for (index, one) in EXPLANATIONS.iter().enumerate() {
            let (operation, beside) = (one.operation, one.beside);
            assert!(OperationKind::named(operation).is_some(), "{operation}");
            assert!(is_side(beside), "{beside}");
            assert!(one.text.ends_with('.'), "{operation} beside {beside}");
            let mut later = EXPLANATIONS[index + 1..].iter();
            let twice = later.any(|other| (other.operation, other.beside) == (operation, beside));
            assert!(!twice, "{operation} beside {beside}");
        }
    }
}
