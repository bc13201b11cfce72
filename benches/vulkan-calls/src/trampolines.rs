//! Functions that count their call and jump on.
//!
//! There is one for each slot. It changes nothing but the flags and `r11`, which a function's callee may
//! change by the x86-64 ABI and which carries no argument, so it stands before a function of any
//! signature.

use std::arch::naked_asm;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::counts::{HEADER, SLOT, SLOTS};

/// Bytes of code of one trampoline.
const CODE: usize = 32;

/// The file's bytes in memory.
static COUNTS: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// Where each trampoline jumps to.
static NEXT: [AtomicPtr<c_void>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];

/// All trampolines, one after the other.
#[unsafe(naked)]
extern "C" fn first() {
    naked_asm!(
        ".set .Ldmashare_slot, 0",
        ".rept {slots}",
        ".balign {code}, 0xcc",
        "movq {counts}(%rip), %r11",
        "lock incq ({header} + .Ldmashare_slot * {slot})(%r11)",
        "jmpq *({next} + .Ldmashare_slot * 8)(%rip)",
        ".set .Ldmashare_slot, .Ldmashare_slot + 1",
        ".endr",
        slots = const SLOTS,
        code = const CODE,
        header = const HEADER,
        slot = const SLOT,
        counts = sym COUNTS,
        next = sym NEXT,
        options(att_syntax),
    )
}

/// Makes all trampolines count in these bytes, which are never unmapped and laid out as
/// [`Counts`](crate::Counts) reads them.
pub(crate) fn count_in(counts: *mut u8) {
    COUNTS.store(counts, Ordering::Release);
}

/// The trampoline of a slot, which jumps to `next`. There must be bytes to count in by now.
pub(crate) fn trampoline(slot: usize, next: *mut c_void) -> *const c_void {
    NEXT[slot].store(next, Ordering::Release);
    (first as *const c_void).wrapping_byte_add(slot * CODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::too_many_arguments)]
    extern "C" fn sum(
        a: u64,
        b: f64,
        c: u64,
        d: u8,
        e: u64,
        f: f32,
        g: u64,
        h: u64,
        i: u64,
    ) -> f64 {
        b + f64::from(f) + f64::from(d) + [a, c, e, g, h, i].map(|n| n as f64).iter().sum::<f64>()
    }

    type Sum = extern "C" fn(u64, f64, u64, u8, u64, f32, u64, u64, u64) -> f64;

    #[test]
    fn all_arguments_arrive_and_each_slot_counts_for_itself() {
        let counts = Box::leak(vec![0_u8; crate::counts::LENGTH].into_boxed_slice());
        let counts = counts.as_mut_ptr();
        count_in(counts);
        for (slot, times) in [(0, 1), (7, 2), (SLOTS - 1, 3)] {
            let address = trampoline(slot, sum as *mut c_void);
            // SAFETY: the trampoline behaves as what it jumps to, which has this type.
            let sum = unsafe { std::mem::transmute::<*const c_void, Sum>(address) };
            for _ in 0..times {
                let all = sum(1, 0.5, 2, 3, 4, 0.25, 5, 6, 7);
                assert!((all - 28.75).abs() < f64::EPSILON, "{all}");
            }
            let at = counts.wrapping_add(crate::counts::slot(slot));
            // SAFETY: the slot's count is in the bytes above, which nobody else changes by now.
            let count = unsafe { at.cast::<u64>().read_unaligned() };
            assert_eq!(count, times);
        }
    }
}
