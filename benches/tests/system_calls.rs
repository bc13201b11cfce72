//! The exact system calls of each operation, beside those of its floor.
//!
//! The tables are what the library's checks cost: a change that adds a system call fails here, and
//! one that saves one has its line removed here.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "system_calls/strace.rs"]
mod strace;

use std::collections::BTreeSet;
use std::fmt::Write;

use dmashare_bench::{By, OperationKind};
use strace::{Calls, WAKES_NOBODY};

/// A system call that the library makes and the floor does not: how often, and what it buys.
type Extra = (&'static str, i64, &'static str);

const CHECKED: Extra = (
    "fstat",
    1,
    "whether the descriptor is a dma-buf (drivers import a memfd, and answer questions about a pipe), \
     its inode, by which it is recognised, and its size, against which every plane is checked",
);

const EXPORT: [Extra; 2] = [
    CHECKED,
    (
        "ioctl DMA_BUF_SET_NAME_B",
        1,
        "the buffer's name in the kernel's lists, by which a leak is found",
    ),
];

const IMPORT: [Extra; 3] = [
    CHECKED,
    (
        "fcntl F_DUPFD_CLOEXEC",
        1,
        "the driver owns the descriptor that it imports, and the library keeps one for the next \
         device",
    ),
    ("close", 1, "of the one that it kept"),
];

const FRAMEBUFFER: [Extra; 0] = [];

const FLIP: [Extra; 0] = [];

const FLIP_EVENT: [Extra; 1] = [(
    "epoll_wait",
    1,
    "one descriptor to poll for flips, captures and displays that come and go",
)];

const KNOWN_BUFFER: [Extra; 0] = [];

fn assert_extra(what: &str, library: &Calls, floor: &Calls, extras: &[Extra]) {
    let mut expected = floor.clone();
    for (call, times, _) in extras {
        *expected.entry((*call).to_owned()).or_insert(0) += times;
    }
    let mut report = String::new();
    let names: BTreeSet<_> = library.keys().chain(expected.keys()).collect();
    for name in names {
        let count = |calls: &Calls| calls.get(name).copied().unwrap_or(0);
        let (is, floor, should) = (count(library), count(floor), count(&expected));
        if is != should {
            writeln!(
                report,
                "  {name}: {is} times; the floor {floor} times, the table allows {should}"
            )
            .unwrap();
        }
    }
    assert!(
        report.is_empty(),
        "{what} does not make the system calls of its table:\n{report}"
    );
}

fn assert_run(kind: OperationKind, extras: &[Extra]) -> Calls {
    let floor = strace::run(kind, By::Floor);
    let mut library = strace::run(kind, By::Dmashare);
    if kind == OperationKind::Export {
        // The driver's own, while it waits for the image's first release: as many as its threads
        // happen to meet.
        library.remove(WAKES_NOBODY);
    }
    assert_extra(&kind.to_string(), &library, &floor, extras);
    floor
}

#[test]
fn an_export_also_checks_and_names_the_dma_buf() {
    assert_run(OperationKind::Export, &EXPORT);
}

#[test]
fn a_first_import_also_checks_and_keeps_the_dma_buf() {
    assert_run(OperationKind::Import, &IMPORT);
}

#[test]
fn a_framebuffer_takes_the_same_four_ioctls() {
    let floor = assert_run(OperationKind::Framebuffer, &FRAMEBUFFER);
    let expected = [
        "ioctl DRM_IOCTL_GEM_CLOSE",
        "ioctl DRM_IOCTL_MODE_ADDFB2",
        "ioctl DRM_IOCTL_MODE_CLOSEFB",
        "ioctl DRM_IOCTL_PRIME_FD_TO_HANDLE",
    ];
    assert_eq!(floor, expected.map(|call| (call.to_owned(), 1)).into());
}

#[test]
fn a_steady_flip_is_one_ioctl() {
    let floor = assert_run(OperationKind::Flip, &FLIP);
    let atomic = Calls::from([("ioctl DRM_IOCTL_MODE_ATOMIC".to_owned(), 1)]);
    assert_eq!(floor, atomic);
    let floor = strace::settle(OperationKind::Flip, By::Floor);
    let library = strace::settle(OperationKind::Flip, By::Dmashare);
    assert_extra("a flip's event", &library, &floor, &FLIP_EVENT);
}

#[test]
fn a_known_buffer_takes_no_system_call() {
    let floor = assert_run(OperationKind::KnownBuffer, &KNOWN_BUFFER);
    assert_eq!(floor, Calls::new());
}
