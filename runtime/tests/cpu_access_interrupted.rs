//! A signal interrupts the start of an access that waits for a device: it goes on waiting.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dmashare::{
    Access, BufferDesc, CpuAccess, Exporter, Extent, Fourcc, Modifier, SyncFile, Usage,
};
use dmashare_lab_probe::SwSyncTimeline;
use nix::sys::pthread::pthread_kill;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: i32) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
}

/// Without `SA_RESTART` an interrupted ioctl ends with `EINTR`.
#[test]
fn signals_do_not_end_the_wait_for_an_implicit_fence() {
    let action = SigAction::new(
        SigHandler::Handler(count),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler only counts.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let desc = BufferDesc::new("waits", Extent::new(64, 64), Fourcc::R8, Usage::CPU_READ);
    let image = support::udmabuf().allocate(&desc, &[Modifier::LINEAR]);
    let image = image.unwrap().dmabuf;
    let timeline = SwSyncTimeline::new();
    let fence = SyncFile::new(timeline.fence(1)).unwrap();
    image.memories()[0]
        .import_sync_file(&fence, Access::Write)
        .unwrap();

    let reader = thread::spawn(move || {
        let access = CpuAccess::begin(&image, Access::Read)?;
        access.plane::<u8>(0)?.sample(0, 0)
    });
    let thread = reader.as_pthread_t();
    let deadline = Instant::now() + Duration::from_secs(20);
    while SIGNALS.load(Ordering::SeqCst) < 5 {
        assert!(!reader.is_finished(), "the access did not wait");
        assert!(Instant::now() < deadline, "the signals did not arrive");
        pthread_kill(thread, Signal::SIGUSR1).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!reader.is_finished(), "a signal ended the wait");
    timeline.increment(1);
    assert_eq!(reader.join().unwrap().unwrap(), 0);
}
