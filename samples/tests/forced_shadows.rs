//! Shadows where the buffer itself would do: a display demands other memory, or a copy is asked for.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code, reason = "the matrix uses all of it")]
#[path = "matrix/exporters.rs"]
mod exporters;
#[allow(dead_code, reason = "the matrix uses all of it")]
#[path = "matrix/importers.rs"]
mod importers;
mod support;

use dmashare::route::RoutePolicy;
use dmashare::{AccessConstraint, Extent, Fourcc, Placements};
use exporters::Maker;
use importers::{Came, User, routes};
use support::displays;

const EXTENT: Extent = Extent::new(640, 480);

/// With a display's constraint, or a copy that is asked for, all pixels come by a shadow.
#[test]
fn shadows_that_are_forced_show_the_right_pixels() {
    let _displays = displays();
    let users = User::all();
    let mut strides = AccessConstraint::default();
    // No exporter's rows of 640 pixels are so by chance.
    strides.stride_alignment = 640 * 12;
    let places = AccessConstraint::placements(Placements::SHMEM);
    let routes = routes();
    for maker in Maker::all() {
        let extent = maker.extent(EXTENT);
        for format in [Fourcc::XRGB8888, Fourcc::NV12] {
            let Some(made) = maker.make(format, extent) else {
                continue;
            };
            let demands = [
                (Some(&strides), RoutePolicy::Automatic, "multiple of 7680"),
                (Some(&places), RoutePolicy::Automatic, "must be in"),
                (None, RoutePolicy::ShadowOnly, "a copy was requested"),
            ];
            for (demand, policy, why) in demands {
                for user in &users {
                    let (User::Vulkan(_) | User::Display("vkms", ..)) = user else {
                        continue;
                    };
                    match (demand, user) {
                        (Some(demand), User::Display(_, card, _)) => {
                            card.set_scanout_constraint(demand.clone());
                        }
                        // Vulkan demands nothing.
                        (Some(_), _) => continue,
                        (None, _) => {}
                    }
                    let came = user.look(&made, &routes, policy);
                    if let User::Display(_, card, _) = user {
                        card.set_scanout_constraint(AccessConstraint::default());
                    }
                    let is_in_place = maker.name() == "udmabuf" && why == "must be in";
                    match came {
                        Came::ByShadow(reason) => assert!(reason.contains(why), "{reason}"),
                        Came::Directly if is_in_place => {}
                        other => panic!("{} {format} {}: {other:?}", maker.name(), user.name()),
                    }
                }
            }
        }
    }
}
