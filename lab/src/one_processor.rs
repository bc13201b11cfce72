//! A guest with one processor stays on one of the host's.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// The processor that this thread runs on: the scheduler has just found it good enough.
///
/// User-mode Linux and the processes in it are processes of the host that take turns: the kernel
/// hands over at each system call and each page that is touched, and waits. On one processor a
/// handover is a change of context; between two it is an interrupt and, on a virtual machine, two
/// exits of it: the sample `evict` took 1.6 times as long.
pub(crate) fn here() -> Result<CpuSet, Errno> {
    let mut here = CpuSet::new();
    here.set(sched_getcpu()?)?;
    Ok(here)
}

/// Keeps the calling process and all that it starts on a processor. Async-signal-safe.
pub(crate) fn stay_on(processor: &CpuSet) -> Result<(), Errno> {
    sched_setaffinity(Pid::from_raw(0), processor)
}

#[cfg(test)]
mod tests {
    use nix::sched::sched_getaffinity;

    use super::*;

    #[test]
    fn a_thread_stays_on_the_processor_that_it_runs_on() {
        std::thread::spawn(|| {
            stay_on(&here().unwrap()).unwrap();
            let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
            let count = (0..CpuSet::count()).filter(|n| allowed.is_set(*n).unwrap());
            assert_eq!(count.count(), 1);
        })
        .join()
        .unwrap();
    }
}
