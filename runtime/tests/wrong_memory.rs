//! Exporters that make other memory than they were asked for, and copies between images that differ:
//! a named error, and nothing has changed.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::error::Error as _;

use dmashare::host::HostMemory;
use dmashare::{
    AccessConstraint, Copied, DynamicExporter, ExportError, Extent, FenceSet, Fourcc, Modifier,
    MoveError, Placement, Placements, SharedBuffer,
};
use support::device::{Calls, Device};
use support::liar::{Liar, Lie};

const LIES: [Lie; 4] = [Lie::Format, Lie::Extent, Lie::Placement, Lie::Stride];

/// A constraint that none of the lies satisfies.
fn wanted(placements: Placements) -> AccessConstraint {
    let mut wanted = AccessConstraint::placements(placements);
    wanted.stride_alignment = 1024;
    wanted
}

fn is_wrong_memory(error: &ExportError) -> bool {
    matches!(error, ExportError::WrongMemory { exporter, .. } if exporter == "liar")
}

#[test]
fn a_buffer_is_not_made_of_other_memory_than_was_asked_for() {
    let liar = Liar::new();
    for (number, lie) in (1..).zip(LIES) {
        liar.tell(Some(lie));
        let made =
            SharedBuffer::new_dynamic(&liar, support::desc("lie"), &wanted(Placements::HOST));
        let error = made.unwrap_err();
        assert!(is_wrong_memory(&error), "{lie:?}: {error}");
        assert_eq!(liar.recycled(), number, "{lie:?}");
    }
    for lie in [Lie::Format, Lie::Extent] {
        liar.tell(Some(lie));
        let made = SharedBuffer::new(&liar, support::desc("lie"), &[Modifier::LINEAR]);
        let error = made.unwrap_err();
        assert!(is_wrong_memory(&error), "{lie:?}: {error}");
    }
    let all = dmashare::RuntimeReport::new();
    assert!(all.buffers.iter().all(|it| it.name != "lie"));
}

#[test]
fn a_move_to_other_memory_than_was_asked_for_does_not_begin() {
    let liar = Liar::new();
    let host = wanted(Placements::HOST);
    let buffer = SharedBuffer::new_dynamic(&liar, support::desc("moved"), &host).unwrap();
    let calls = Calls::default();
    let attachment = buffer
        .attach_dynamic(&Device::anywhere("gpu"), calls.clone())
        .unwrap();
    let mapping = attachment.map().unwrap();
    let before = buffer.backing();
    for lie in LIES {
        liar.tell(Some(lie));
        let error = buffer.move_to(&wanted(Placements::SHMEM)).unwrap_err();
        assert!(matches!(error, MoveError::Export { .. }), "{error}");
        let cause = error.source().unwrap().downcast_ref().unwrap();
        assert!(is_wrong_memory(cause), "{lie:?}: {cause}");
        assert_eq!(buffer.backing().generation(), before.generation());
    }
    assert!(calls.count() == 0 && !mapping.is_stale());
    // An importer that needs another place gets an error, too, and does not try again and again.
    liar.tell(Some(Lie::Placement));
    let recycled = liar.recycled();
    let elsewhere = buffer.attach(&Device::new("elsewhere", Placements::SHMEM));
    let mapped = elsewhere.map(|attachment| attachment.map().map(drop));
    assert!(!matches!(mapped, Ok(Ok(()))), "{mapped:?}");
    assert_eq!(liar.recycled(), recycled + 1);
    liar.tell(None);
    buffer.move_to(&wanted(Placements::SHMEM)).unwrap();
    assert!(mapping.is_stale());
}

/// By the exporter's own functions, which anyone may call with any two backings.
#[test]
fn host_memory_copies_only_between_two_images_of_the_same_format_and_extent() {
    let memory = HostMemory::open().unwrap();
    let make = |name: &str, change: &dyn Fn(&mut dmashare::BufferDesc)| {
        let mut desc = support::desc(name);
        change(&mut desc);
        SharedBuffer::new_dynamic(&memory, desc, &AccessConstraint::default()).unwrap()
    };
    let image = make("image", &|_| ());
    let same = make("same", &|_| ());
    let small = make("small", &|desc| desc.extent = Extent::new(8, 8));
    let bytes = make("bytes", &|desc| desc.format = Fourcc::R8);
    let copy = |desc: &dmashare::BufferDesc, from: &SharedBuffer, to: &SharedBuffer| {
        memory.copy(desc, &from.backing(), &to.backing(), &FenceSet::new())
    };
    assert!(matches!(
        copy(image.desc(), &image, &same),
        Ok(Copied::By(_))
    ));
    for (desc, from, to) in [
        (image.desc(), &image, &small),
        (image.desc(), &small, &image),
        (image.desc(), &image, &bytes),
        (small.desc(), &image, &small),
        (image.desc(), &image, &image),
        (bytes.desc(), &image, &same),
        (image.desc(), &small, &small),
    ] {
        let refused = copy(desc, from, to);
        let name = from.desc().name.clone();
        assert!(
            matches!(
                refused,
                Err(ExportError::Device {
                    operation: "copying",
                    ..
                })
            ),
            "from {name}: {refused:?}"
        );
    }
    assert_eq!(image.backing().placement(), Placement::Host);
}
