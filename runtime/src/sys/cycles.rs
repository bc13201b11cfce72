//! The processor's cycle counter.

/// Reads the cycle counter of this processor; `None` on an architecture without a known one. It only
/// shows that little time has passed: counters of different processors may differ.
#[cfg(target_arch = "x86_64")]
pub(crate) fn cycles() -> Option<u64> {
    // SAFETY: every x86-64 processor has RDTSC, and Linux allows it in user space. A process that has
    // disabled it (PR_SET_TSC) gets SIGSEGV, which is not undefined behaviour.
    Some(unsafe { core::arch::x86_64::_rdtsc() })
}

/// There is no known counter.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn cycles() -> Option<u64> {
    None
}
