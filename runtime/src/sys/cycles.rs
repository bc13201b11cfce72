//! The processor's cycle counter.

/// Cycles of this processor since some moment; `None` where no counter is known. They are good for
/// telling that hardly any time has passed, and for nothing else: another processor's may differ.
#[cfg(target_arch = "x86_64")]
pub(crate) fn cycles() -> Option<u64> {
    // SAFETY: every x86-64 processor has RDTSC, and Linux lets user space use it unless the process
    // forbade itself (PR_SET_TSC), which ends it as any instruction that it forbade would.
    Some(unsafe { core::arch::x86_64::_rdtsc() })
}

/// As above.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn cycles() -> Option<u64> {
    None
}
