//! What the library and its floor take is exactly what the table in the tree says.
//!
//! A change that adds a call fails here until the table says what it buys, and one that saves a call has
//! its line removed. How to write the table anew is said in `counters.toml`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::LazyLock;

use dmashare_bench::counters::{self, Calls, Counters, FLIP_EVENT, Table};
use dmashare_bench::{By, OperationKind};

/// All tests look at one measurement.
static MEASURED: LazyLock<Vec<Counters>> =
    LazyLock::new(|| counters::measure(&[env!("CARGO_BIN_EXE_operation").into()]).unwrap());

fn measured(operation: &str, by: By) -> Option<&'static Counters> {
    let by = by.to_string();
    MEASURED
        .iter()
        .find(|one| one.operation == operation && one.by == by)
}

fn by_dmashare(kind: OperationKind) -> &'static Counters {
    measured(&kind.to_string(), By::Dmashare).unwrap()
}

fn calls(calls: &[&str]) -> Option<Calls> {
    Some(calls.iter().map(|call| ((*call).to_owned(), 1)).collect())
}

#[test]
fn everything_is_as_the_table_says() {
    let lines = Table::in_tree().unwrap().differences(&MEASURED);
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[test]
fn what_is_known_is_asked_for_without_the_kernel_the_driver_or_the_allocator() {
    for kind in [OperationKind::KnownImport, OperationKind::KnownFramebuffer] {
        let counters = by_dmashare(kind);
        assert_eq!(counters.system_calls, calls(&[]), "{kind}");
        assert_eq!(counters.vulkan_calls, calls(&[]), "{kind}");
        assert_eq!(counters.allocations, Some(0), "{kind}");
    }
}

#[test]
fn a_known_buffer_is_used_by_one_submission_alone() {
    for by in [By::Dmashare, By::Floor] {
        let counters = measured("known_buffer", by).unwrap();
        assert_eq!(counters.system_calls, calls(&[]), "{by}");
        assert_eq!(counters.vulkan_calls, calls(&["vkQueueSubmit2"]), "{by}");
        assert_eq!(counters.allocations, Some(0), "{by}");
    }
}

#[test]
fn a_steady_flip_is_one_ioctl() {
    for by in [By::Dmashare, By::Floor] {
        let counters = measured("flip", by).unwrap();
        let atomic = calls(&["ioctl DRM_IOCTL_MODE_ATOMIC"]);
        assert_eq!(counters.system_calls, atomic, "{by}");
        assert_eq!(counters.allocations, Some(0), "{by}");
    }
}

#[test]
fn a_flip_s_event_is_polled_for_once_more() {
    let event = measured(FLIP_EVENT, By::Dmashare).unwrap();
    assert_eq!(event.system_calls, calls(&["epoll_wait", "poll", "read"]));
}

#[test]
fn a_framebuffer_takes_the_same_four_ioctls() {
    for by in [By::Dmashare, By::Floor] {
        let counters = measured("framebuffer", by).unwrap();
        let expected = calls(&[
            "ioctl DRM_IOCTL_GEM_CLOSE",
            "ioctl DRM_IOCTL_MODE_ADDFB2",
            "ioctl DRM_IOCTL_MODE_CLOSEFB",
            "ioctl DRM_IOCTL_PRIME_FD_TO_HANDLE",
        ]);
        assert_eq!(counters.system_calls, expected, "{by}");
    }
}
