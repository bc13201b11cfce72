//! Any order of writes, moves and maps.

use std::time::Duration;

use dmashare::{Access, AccessConstraint, Damage, Placements, Rectangle, SharedBuffer};
use proptest::prelude::*;

use crate::picky::{EXTENT, content, everything, fill, movable, pixels, shadowed};

/// One step of whoever uses the buffer.
#[derive(Clone, Debug)]
enum Step {
    Write(Rectangle, u8),
    WriteAll(u8),
    Move,
    MoveShadow,
    Map,
}

fn step() -> impl Strategy<Value = Step> {
    let area = (0..100_i32, 0..50_i32, 1..40_u32, 1..20_u32).prop_map(|(x, y, width, height)| {
        let inside = Rectangle::new(x, y, width, height).clipped(EXTENT);
        inside.unwrap()
    });
    prop_oneof![
        4 => (area, any::<u8>()).prop_map(|(area, value)| Step::Write(area, value)),
        1 => any::<u8>().prop_map(Step::WriteAll),
        1 => Just(Step::Move),
        1 => Just(Step::MoveShadow),
        3 => Just(Step::Map),
    ]
}

/// Moves a buffer to the other of its two places.
fn move_away(buffer: &SharedBuffer) {
    let to = match buffer.backing().placement() {
        dmashare::Placement::Host => Placements::SHMEM,
        _ => Placements::HOST,
    };
    buffer.move_to(&AccessConstraint::placements(to)).unwrap();
    buffer
        .wait_ready(Access::Write, Duration::from_secs(5))
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is written, told and moved: a mapped shadow has the content, and no more was copied than
    /// what was told.
    #[test]
    fn a_mapped_shadow_is_the_buffer(steps in proptest::collection::vec(step(), 1..24)) {
        let buffer = movable("model");
        let attachment = shadowed(&buffer);
        let mut told = Damage::whole();
        let mut most = 0;
        for step in steps {
            match step {
                Step::Write(area, value) => {
                    fill(buffer.backing().dmabuf(), area, value);
                    buffer.written(&Damage::from(area));
                    told.add(area);
                }
                Step::WriteAll(value) => {
                    fill(buffer.backing().dmabuf(), everything(), value);
                    buffer.written(&Damage::whole());
                    told = Damage::whole();
                }
                Step::Move => move_away(&buffer),
                Step::MoveShadow => move_away(attachment.shadow().unwrap()),
                Step::Map => {
                    let mapping = attachment.map().unwrap();
                    prop_assert_eq!(pixels(mapping.object()), content(&buffer));
                    most += told.within(EXTENT).map(|piece| piece.pixels() * 4).sum::<u64>();
                    told = Damage::nothing();
                    prop_assert_eq!(attachment.bytes_copied(), most);
                }
            }
        }
    }
}
