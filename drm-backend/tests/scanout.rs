//! What the display really shows, captured by writeback, is what the CPU wrote, whoever made the
//! memory.
#![allow(clippy::unwrap_used)]

use dmashare::host::{DmaHeap, Udmabuf};
use dmashare::{AttachError, Exporter, Extent, Fourcc, ImportError};
use dmashare_drm::{
    Card, Commit, CommitError, DumbBuffers, Event, OutputCommit, PlaneCommit, PlaneKind, Rectangle,
};
use dmashare_lab_probe::{VkmsDisplay, bufinfo};

#[allow(dead_code, reason = "every test executable uses a part of it")]
mod support;
use support::*;

/// Shows one picture from `exporter` and counts what is wrong; the kernel's list must show the
/// display attached to the very dma-buf.
fn shows<E: Exporter + Clone + 'static>(screen: &Screen, exporter: &E, format: Fourcc, seed: u32) {
    let extent = screen.extent();
    let buffer = painted(exporter, "picture", format, extent, seed);
    let mapping = map(&buffer, &screen.card);
    let captured = screen.capture(screen.showing(&mapping), captured_as(format));
    let what = format!("{} {format}", exporter.name());
    let shown = Shown::whole(seed, format, extent);
    assert_eq!(wrong_pixels(&captured, shown), 0, "{what}");
    let inode = buffer.backing().dmabuf().id().inode();
    let listed = bufinfo();
    let kernel = listed.iter().find(|listed| listed.inode == inode);
    let kernel = kernel.unwrap_or_else(|| panic!("{what}: not in bufinfo"));
    let own = exporter.name() == screen.card.name();
    assert_eq!(
        kernel
            .attached
            .iter()
            .any(|name| name == screen.display.device_name()),
        !own,
        "{what}: {kernel:?}"
    );
}

#[test]
fn memory_from_everywhere_is_shown() {
    let screen = Screen::new();
    let other = VkmsDisplay::new();
    let other_card = Card::inspect(other.node()).unwrap();
    let format = Fourcc::XRGB8888;
    shows(&screen, &DmaHeap::open("system").unwrap(), format, 1);
    shows(&screen, &Udmabuf::open().unwrap(), format, 2);
    shows(&screen, &screen.card.dumb_buffers(), format, 3);
    shows(&screen, &DumbBuffers::of_driver("vgem").unwrap(), format, 4);
    shows(&screen, &other_card.dumb_buffers(), format, 5);
    shows(
        &screen,
        &DumbBuffers::open(other.node()).unwrap(),
        format,
        6,
    );
}

#[test]
fn formats_are_shown() {
    let screen = Screen::new();
    let heap = DmaHeap::open("system").unwrap();
    let formats = [
        Fourcc::XRGB8888,
        Fourcc::ARGB8888,
        Fourcc::RGB565,
        Fourcc::XRGB16161616,
        Fourcc::ARGB16161616,
    ];
    for (seed, format) in (10..).zip(formats) {
        assert!(
            screen
                .output
                .formats()
                .contains(format, dmashare::Modifier::LINEAR),
            "vkms has {format}"
        );
        shows(&screen, &heap, format, seed);
    }
}

#[test]
fn a_format_that_no_plane_takes_is_refused_with_those_that_are_taken() {
    let screen = Screen::new();
    let heap = DmaHeap::open("system").unwrap();
    let mut refused = 0;
    for info in dmashare::FormatInfo::all() {
        let format = info.fourcc;
        let taken = !screen.card.formats().modifiers(format).is_empty();
        let buffer = buffer(&heap, "picture", format, screen.extent());
        match buffer.attach(&screen.card) {
            Ok(_) => assert!(taken, "{format}"),
            Err(AttachError::Import {
                source: ImportError::UnsupportedFormat { supported, .. },
                ..
            }) => {
                refused += 1;
                assert!(!taken && !supported.contains(&format), "{format}");
                assert!(supported.contains(&Fourcc::XRGB8888));
            }
            Err(error) => panic!("{format}: {error:?}"),
        }
    }
    assert!(refused > 0, "vkms lacks some formats, AR30 among them");
}

#[test]
fn nv12_is_shown_on_a_plane_that_takes_it() {
    let screen = Screen::new();
    let extent = screen.extent();
    let video = buffer(&Udmabuf::open().unwrap(), "video", Fourcc::NV12, extent);
    {
        // Full range, all planes 128: grey.
        let mut access =
            dmashare::CpuAccess::begin(video.backing().dmabuf(), dmashare::Access::Write).unwrap();
        for (plane, rows) in [(0, extent.height), (1, extent.height / 2)] {
            let bytes = vec![128; access.row_bytes(plane).unwrap()];
            for y in 0..rows {
                access.write_row(plane, y, &bytes).unwrap();
            }
        }
    }
    let mapping = map(&video, &screen.card);
    let plane = screen
        .output
        .planes()
        .iter()
        .find(|plane| {
            plane
                .formats()
                .contains(Fourcc::NV12, dmashare::Modifier::LINEAR)
        })
        .expect("a plane of vkms takes NV12");
    let shown = OutputCommit::new(&screen.output)
        .mode(screen.mode)
        .plane(PlaneCommit::on(plane, &mapping));
    let captured = screen.capture(shown, Fourcc::XRGB8888);
    let backing = captured.backing();
    let access = dmashare::CpuAccess::begin(backing.dmabuf(), dmashare::Access::Read).unwrap();
    let mut bytes = vec![0; access.row_bytes(0).unwrap()];
    for y in 0..extent.height {
        access.read_row(0, y, &mut bytes).unwrap();
        for pixel in bytes.chunks_exact(4) {
            assert!(
                pixel[..3].iter().all(|value| value.abs_diff(128) <= 1),
                "row {y}: {pixel:?}"
            );
        }
    }
}

#[test]
fn other_sizes_than_the_screen() {
    let screen = Screen::new();
    let heap = DmaHeap::open("system").unwrap();
    let whole = screen.extent();
    let format = Fourcc::XRGB8888;
    // Odd sizes, the smallest that vkms takes, larger than the screen.
    for (seed, width, height) in [(20, 333, 77), (21, 10, 10), (22, 11, 479), (23, 1001, 777)] {
        let extent = Extent::new(width, height);
        let buffer = painted(&heap, "odd", format, extent, seed);
        let mapping = map(&buffer, &screen.card);
        let shown = Extent::new(width.min(whole.width), height.min(whole.height));
        let captured = screen.capture(screen.showing(&mapping), format);
        let shown = Shown::whole(seed, format, shown);
        assert_eq!(wrong_pixels(&captured, shown), 0, "{extent}");
    }
}

#[test]
fn a_source_and_a_destination_rectangle() {
    let screen = Screen::new();
    let heap = DmaHeap::open("system").unwrap();
    let buffer = painted(&heap, "large", Fourcc::XRGB8888, Extent::new(900, 700), 30);
    let mapping = map(&buffer, &screen.card);
    let plane = PlaneCommit::primary(&mapping)
        .source(Rectangle::new(101, 55, 201, 99))
        .destination(Rectangle::new(33, 44, 201, 99));
    let shown = OutputCommit::new(&screen.output)
        .mode(screen.mode)
        .plane(plane);
    let captured = screen.capture(shown, Fourcc::XRGB8888);
    let shown = Shown {
        seed: 30,
        format: Fourcc::XRGB8888,
        from: (101, 55),
        at: (33, 44),
        extent: Extent::new(201, 99),
    };
    assert_eq!(wrong_pixels(&captured, shown), 0);

    for source in [
        Rectangle::new(-1, 0, 10, 10),
        Rectangle::new(0, 0, 901, 10),
        Rectangle::new(899, 0, 2, 10),
        Rectangle::new(0, 0, 0, 10),
        Rectangle::new(i32::MAX, 0, u32::MAX, 10),
    ] {
        let plane = PlaneCommit::primary(&mapping).source(source);
        let commit = Commit::new().output(OutputCommit::new(&screen.output).plane(plane));
        let result = screen.card.commit(commit);
        assert!(
            matches!(result, Err(CommitError::Source { .. })),
            "{source:?}: {result:?}"
        );
    }
    // vkms does not scale: the driver says so in the check, and nothing is on its way.
    let scaled = PlaneCommit::primary(&mapping)
        .source(Rectangle::new(0, 0, 100, 100))
        .destination(Rectangle::new(0, 0, 200, 200));
    let commit = Commit::new().output(OutputCommit::new(&screen.output).plane(scaled));
    let before = screen.card.statistics();
    let result = screen.card.commit(commit);
    assert!(
        matches!(&result, Err(CommitError::Rejected { source, .. })
            if matches!(source.raw_os_error(), Some(nix::libc::ERANGE | nix::libc::EINVAL))),
        "{result:?}"
    );
    let after = screen.card.statistics();
    assert_eq!(after.commits, before.commits);
    assert_eq!(after.tests, before.tests + 1);
}

#[test]
fn an_overlay_lies_over_the_primary_plane() {
    let screen = Screen::new();
    let heap = DmaHeap::open("system").unwrap();
    let black = buffer(&heap, "black", Fourcc::XRGB8888, screen.extent());
    let small = painted(&heap, "small", Fourcc::XRGB8888, Extent::new(64, 48), 40);
    let (black, small) = (map(&black, &screen.card), map(&small, &screen.card));
    let overlay = screen
        .output
        .planes()
        .iter()
        .find(|plane| plane.kind() == PlaneKind::Overlay)
        .expect("the display has an overlay");
    let over = PlaneCommit::on(overlay, &small).destination(Rectangle::new(100, 50, 64, 48));
    let captured = screen.capture(screen.showing(&black).plane(over), Fourcc::XRGB8888);
    let mut shown = Shown::whole(40, Fourcc::XRGB8888, Extent::new(64, 48));
    shown.at = (100, 50);
    assert_eq!(wrong_pixels(&captured, shown), 0);
    // A plane that is not listed is off.
    let captured = screen.capture(screen.showing(&black), Fourcc::XRGB8888);
    shown.extent = Extent::new(0, 0);
    assert_eq!(
        wrong_pixels(&captured, shown),
        0,
        "the overlay is still there"
    );
}

#[test]
fn two_displays_at_once() {
    let screens = [Screen::new(), Screen::in_mode("800x600")];
    let heap = DmaHeap::open("system").unwrap();
    let mut shown = Vec::new();
    for (seed, screen) in (50..).zip(&screens) {
        let buffer = painted(&heap, "own", Fourcc::XRGB8888, screen.extent(), seed);
        shown.push(map(&buffer, &screen.card));
    }
    for (seed, (screen, mapping)) in (50..).zip(screens.iter().zip(&shown)) {
        let captured = screen.capture(screen.showing(mapping), Fourcc::XRGB8888);
        let shown = Shown::whole(seed, Fourcc::XRGB8888, screen.extent());
        assert_eq!(wrong_pixels(&captured, shown), 0);
    }
    // One buffer on both at the same time.
    let both = painted(&heap, "both", Fourcc::XRGB8888, Extent::new(300, 200), 60);
    let ids = screens.each_ref().map(|screen| {
        let mapping = map(&both, &screen.card);
        let commit = Commit::new().output(screen.showing(&mapping));
        screen.card.commit(commit).unwrap()
    });
    for (screen, id) in screens.iter().zip(ids) {
        wait_for_flip(&screen.card, id);
    }
    assert!(!is_free(&both));
    let mapping = map(&both, &screens[0].card);
    let commit = Commit::new().output(screens[1].showing(&mapping));
    let result = screens[1].card.commit(commit);
    assert!(
        matches!(result, Err(CommitError::Foreign { .. })),
        "{result:?}"
    );
}

#[test]
fn one_commit_over_two_outputs_of_a_card() {
    let display = VkmsDisplay::with_outputs(2);
    let card = Card::open(display.node()).unwrap();
    let outputs = connected(&card);
    assert_eq!(outputs.len(), 2);
    let extent = Extent::new(640, 480);
    let heap = DmaHeap::open("system").unwrap();
    let mut commit = Commit::new();
    let mut targets = Vec::new();
    for (seed, output) in (70..).zip(&outputs) {
        let picture = painted(&heap, "picture", Fourcc::XRGB8888, extent, seed);
        let target = buffer(&heap, "target", Fourcc::XRGB8888, extent);
        let shown = OutputCommit::new(output)
            .mode(output.mode("640x480").unwrap())
            .plane(PlaneCommit::primary(&map(&picture, &card)))
            .writeback(&map(&target, &card));
        commit = commit.output(shown);
        targets.push((seed, target));
    }
    let (id, out_fences) = card.commit_with_out_fences(&commit).unwrap();
    assert_eq!(out_fences.len(), 2);
    let before = card.statistics();
    assert_eq!(before.commits, 1);
    let (mut flips, mut written) = (Vec::new(), 0);
    wait_for(&card, |event| {
        match event {
            Event::Flip { output, commit, .. } => {
                assert_eq!(*commit, id);
                flips.push(*output);
            }
            Event::Written { commit, .. } => {
                assert_eq!(*commit, id);
                written += 1;
            }
            other => panic!("{other:?}"),
        }
        flips.len() == 2 && written == 2
    });
    flips.sort();
    let mut expected: Vec<_> = outputs.iter().map(dmashare_drm::Output::id).collect();
    expected.sort();
    assert_eq!(flips, expected);
    for (_, fence) in &out_fences {
        fence.wait(LIMIT).unwrap();
    }
    for (seed, target) in &targets {
        let shown = Shown::whole(*seed, Fourcc::XRGB8888, extent);
        assert_eq!(wrong_pixels(target, shown), 0);
    }
    let twice = Commit::new()
        .output(OutputCommit::new(&outputs[0]))
        .output(OutputCommit::new(&outputs[0]));
    assert!(matches!(card.commit(twice), Err(CommitError::Twice { .. })));
}

#[test]
fn present_needs_no_more_than_an_output_and_a_buffer() {
    let screen = Screen::new();
    let mode = screen.output.preferred_mode().unwrap();
    let dumb = screen.card.dumb_buffers();
    let buffer = painted(&dumb, "picture", Fourcc::XRGB8888, mode.extent(), 80);
    let mapping = map(&buffer, &screen.card);
    let id = screen.card.present(&screen.output, &mapping, None).unwrap();
    let Event::Flip {
        output,
        sequence: first,
        time,
        ..
    } = wait_for_flip(&screen.card, id)
    else {
        unreachable!()
    };
    assert_eq!(output, screen.output.id());
    let id = screen.card.present(&screen.output, &mapping, None).unwrap();
    let Event::Flip {
        sequence: second,
        time: later,
        ..
    } = wait_for_flip(&screen.card, id)
    else {
        unreachable!()
    };
    assert!(second > first && later > time);
}
