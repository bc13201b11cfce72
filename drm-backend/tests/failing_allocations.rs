//! The kernel's own allocations fail in turn: each step says so or works, and nothing is left behind.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use dmashare::host::Udmabuf;
use dmashare::{Access, AttachError, Extent, FenceStatus, Fourcc, ImportError, Mapping};
use dmashare_drm::{Card, Commit, CommitError, OpenError};
use dmashare_lab_probe::{bufinfo, for_each_failing_allocation, open_files};

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

/// The tests of this file compare what the whole process has open, so they are one test.
#[test]
fn each_step_fails_cleanly() {
    opening();
    becoming_master();
    importing();
    committing();
    making_dumb_buffers();
}

fn attached(name: &str) -> usize {
    bufinfo()
        .iter()
        .flat_map(|buffer| &buffer.attached)
        .filter(|attached| *attached == name)
        .count()
}

/// The errno of an error or of its causes.
fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if let Some(errno) = io.and_then(std::io::Error::raw_os_error) {
            return Some(errno);
        }
        cause = error.source();
    }
    None
}

/// Whether an error is one of those that are injected: no memory, or a copy between the kernel and
/// the process that failed. A socket without memory is a full table of files (`sock_alloc`), a
/// GEM object without memory a full device (`drm_vma_offset_add`).
fn is_injected(error: &(dyn std::error::Error + 'static)) -> bool {
    let injected = [
        nix::libc::ENOMEM,
        nix::libc::EFAULT,
        nix::libc::ENFILE,
        nix::libc::ENOSPC,
    ];
    errno(error).is_some_and(|errno| injected.contains(&errno))
}

fn opening() {
    let display = dmashare_lab_probe::VkmsDisplay::new();
    let node = display.node();
    drop(Card::open(&node).unwrap());
    let before = open_files().len();
    let mut refused = 0;
    let points = for_each_failing_allocation(
        || Card::open(&node),
        |nth, result| {
            match result {
                Ok(card) => drop(card),
                // Some of the kernel's functions turn ENOMEM into another error.
                Err(OpenError::NoKms { .. } | OpenError::NoAtomic { .. }) => refused += 1,
                Err(error) => {
                    refused += 1;
                    assert!(is_injected(&error), "allocation {nth}: {error:?}");
                }
            }
            assert_eq!(open_files().len(), before, "allocation {nth}");
        },
    );
    assert!(
        points > 20 && refused > 10,
        "{points} points, {refused} refused"
    );
}

/// Property blobs of a device; the kernel gives the lowest number that is free.
fn blobs(node: &File) -> usize {
    (1..=256)
        .filter(|id| drm_ffi::mode::get_property_blob(node.as_fd(), *id, None).is_ok())
        .count()
}

/// Whether it was master until now.
fn gives_up_master(node: &File) -> bool {
    drm_ffi::auth::release_master(node.as_fd()).is_ok()
}

/// Becoming master again, and the same for a file that is open elsewhere, too: what fails leaves no
/// master and no copies of modes.
fn becoming_master() {
    let screen = Screen::new();
    let dumb = screen.card.dumb_buffers();
    let picture = buffer(&dumb, "picture", Fourcc::XRGB8888, screen.extent());
    let mapping = map(&picture, &screen.card);
    screen.show(screen.showing(&mapping));
    let node = File::open(screen.display.node()).unwrap();
    assert!(!gives_up_master(&node));
    screen.card.release_master().unwrap();

    let mut before = (open_files().len(), blobs(&node));
    assert!(before.1 > 0, "the mode that is on is a blob");
    let check = |nth, before: &mut (usize, usize), error: Option<&OpenError>| {
        if let Some(error) = error {
            let is_no_answer =
                matches!(error, OpenError::NoKms { .. } | OpenError::NoAtomic { .. });
            assert!(
                is_no_answer || is_injected(error),
                "allocation {nth}: {error:?}"
            );
            // A blob whose number the kernel could not write into this process's memory (which
            // cannot happen: the memory is there) lives until the file closes.
            let untold = matches!(error, OpenError::Device(error)
                if error.operation == "MODE_CREATEPROPBLOB");
            if untold && errno(error) == Some(nix::libc::EFAULT) && blobs(&node) == before.1 + 1 {
                before.1 += 1;
            }
        }
        let now = (open_files().len(), blobs(&node));
        assert_eq!(now, *before, "allocation {nth}: {error:?}");
    };
    let mut refused = 0;
    let points = for_each_failing_allocation(
        || screen.card.acquire_master(),
        |nth, result| {
            refused += u32::from(result.is_err());
            let released = screen.card.release_master();
            assert_eq!(released.is_ok(), result.is_ok(), "allocation {nth}");
            check(nth, &mut before, result.as_ref().err());
        },
    );
    assert!(
        points > 20 && refused > 10,
        "{points} points, {refused} refused"
    );

    // A seat daemon keeps the file that it gives.
    let daemon = File::open(screen.display.node()).unwrap();
    assert!(
        gives_up_master(&daemon),
        "the first to open a node is its master"
    );
    before.0 += 1;
    let mut refused = 0;
    let points = for_each_failing_allocation(
        || Card::from_fd(daemon.try_clone().unwrap().into()),
        |nth, result| {
            refused += u32::from(result.is_err());
            // It is the daemon's business to give it back after all went well.
            assert_eq!(gives_up_master(&daemon), result.is_ok(), "allocation {nth}");
            let error = result.map(drop).err();
            check(nth, &mut before, error.as_ref());
        },
    );
    assert!(
        points > 20 && refused > 10,
        "{points} points, {refused} refused"
    );
    drop(daemon);
    screen.card.acquire_master().unwrap();
    screen.show(screen.showing(&mapping));
}

fn importing() {
    let screen = Screen::new();
    let udmabuf = Udmabuf::open().unwrap();
    let buffer = buffer(&udmabuf, "picture", Fourcc::XRGB8888, Extent::new(64, 64));
    let count = || {
        (
            open_files().len(),
            attached(screen.display.device_name()),
            screen.display.framebuffers(),
        )
    };
    let mut before = count();
    let mut refused = 0;
    let points = for_each_failing_allocation(
        || buffer.attach(&screen.card),
        |nth, result| {
            match result {
                Ok(attachment) => drop(attachment),
                Err(AttachError::Import {
                    source:
                        ImportError::Device {
                            operation, source, ..
                        },
                    ..
                }) => {
                    refused += 1;
                    assert!(is_injected(&*source), "allocation {nth}: {source:?}");
                    // A framebuffer whose number the kernel could not write into this process's
                    // memory (which cannot happen: the memory is there) lives until the card closes.
                    let untold = operation == "MODE_ADDFB2" && count() != before;
                    if untold && errno(&*source) == Some(nix::libc::EFAULT) {
                        before = (before.0, before.1 + 1, before.2 + 1);
                    }
                }
                Err(error) => panic!("allocation {nth}: {error:?}"),
            }
            assert_eq!(count(), before, "allocation {nth}");
            assert_eq!(screen.card.open_gem_handles(), 0, "allocation {nth}");
            assert!(buffer.attachments().is_empty(), "allocation {nth}");
        },
    );
    assert!(
        points > 5 && refused > 3,
        "{points} points, {refused} refused"
    );
}

/// Shows `mapping` after a commit that the kernel may have made and failed to tell of: as long as
/// that is on its way, the kernel is busy.
fn show_after_untold(screen: &Screen, mapping: &Mapping<Card>) {
    let begun = Instant::now();
    let id = loop {
        let commit = Commit::new().output(screen.showing(mapping));
        match screen.card.commit(commit) {
            Err(CommitError::Busy { .. }) if begun.elapsed() < LIMIT => {
                std::thread::sleep(Duration::from_millis(1));
            }
            result => break result.unwrap(),
        }
    };
    wait_for_flip(&screen.card, id);
}

/// Flips, mode changes and captures: whatever fails, the next commit works, and buffers are free
/// when they should be.
fn committing() {
    let screen = Screen::new();
    // Foreign memory is mapped in the ioctl by vkms, and the kernel warns when that fails.
    let dumb = screen.card.dumb_buffers();
    let buffers = ["one", "two"].map(|name| buffer(&dumb, name, Fourcc::XRGB8888, screen.extent()));
    let target = buffer(&dumb, "target", Fourcc::XRGB8888, screen.extent());
    let target_mapping = map(&target, &screen.card);
    let mappings = buffers.each_ref().map(|buffer| map(buffer, &screen.card));
    screen.capture(screen.showing(&mappings[0]), Fourcc::XRGB8888);
    let before = open_files().len();
    let other_mode = screen.output.mode("800x600").unwrap();
    for what in ["flip", "capture", "mode"] {
        let round = Cell::new(0_usize);
        let mut refused = 0;
        let points = for_each_failing_allocation(
            || {
                round.set(round.get() + 1);
                let mapping = &mappings[round.get() % 2];
                let mut output = screen.showing(mapping);
                if what == "capture" {
                    output = output.writeback(&target_mapping);
                }
                if what == "mode" && round.get().is_multiple_of(2) {
                    output = output.mode(other_mode);
                }
                screen.card.commit(Commit::new().output(output))
            },
            |nth, result| match result {
                Ok(id) if what == "capture" => wait_for_capture(&screen.card, id),
                Ok(id) => {
                    wait_for_flip(&screen.card, id);
                }
                Err(error) => {
                    refused += 1;
                    assert!(
                        is_injected(&error) || matches!(error, CommitError::Rejected { .. }),
                        "{what}, allocation {nth}: {error:?}"
                    );
                    if errno(&error) == Some(nix::libc::EFAULT) {
                        show_after_untold(&screen, &mappings[round.get() % 2]);
                    }
                }
            },
        );
        assert!(
            points > 3 && refused > 2,
            "{what}: {points} points, {refused} refused"
        );
        // It all still works, and the books are balanced.
        screen.capture(screen.showing(&mappings[0]), Fourcc::XRGB8888);
        screen.show(screen.showing(&mappings[1]));
        assert_eq!(
            buffers[0].ready(Access::Write).status(),
            FenceStatus::Signalled,
            "{what}"
        );
        assert_eq!(
            buffers[1].ready(Access::Write).status(),
            FenceStatus::Pending,
            "{what}"
        );
    }
    assert!(
        open_files().len() <= before + 1,
        "{before} before, {:?}",
        open_files()
    );
}

fn making_dumb_buffers() {
    let display = dmashare_lab_probe::VkmsDisplay::new();
    let card = Card::inspect(display.node()).unwrap();
    let dumb = card.dumb_buffers();
    let mut before = open_files().len();
    let mut refused = 0;
    let points = for_each_failing_allocation(
        || {
            let extent = Extent::new(64, 64);
            let desc = dmashare::BufferDesc::new(
                "dumb",
                extent,
                Fourcc::XRGB8888,
                dmashare::Usage::SCANOUT,
            );
            dmashare::SharedBuffer::new(&dumb, desc, &[dmashare::Modifier::LINEAR])
        },
        |nth, result| {
            match result {
                Ok(buffer) => drop(buffer),
                Err(error) => {
                    refused += 1;
                    assert!(is_injected(&error), "allocation {nth}: {error:?}");
                    // A descriptor whose number the kernel could not write into this process's
                    // memory (which cannot happen: the memory is there) is nobody's.
                    let operation = "PRIME_HANDLE_TO_FD failed";
                    let untold = error.to_string().contains(operation)
                        && errno(&error) == Some(nix::libc::EFAULT);
                    if untold && open_files().len() == before + 1 {
                        before += 1;
                    }
                }
            }
            assert_eq!(open_files().len(), before, "allocation {nth}");
            assert_eq!(card.open_gem_handles(), 0, "allocation {nth}");
        },
    );
    assert!(
        points > 3 && refused > 2,
        "{points} points, {refused} refused"
    );
}
