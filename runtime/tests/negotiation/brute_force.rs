//! A solver that tries everything. It shares nothing with the real one: no least common multiple, no
//! sets, no sorting, and what an exporter promises is tried on the layouts that it may make.

use dmashare::negotiation::{DisjointPlanes, FormatSupport, LayoutControl, LayoutDemands, Role};
use dmashare::{Fourcc, Modifier, Party, Placement, PlaneLayout, Usage};

use crate::parties::{Case, MODIFIERS};

/// What everyone takes, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub format: Fourcc,
    pub modifiers: Vec<(Modifier, Option<u8>)>,
    pub disjoint: bool,
    pub memory: Vec<(Placement, bool)>,
    pub stride_alignment: u32,
    pub offset_alignment: u64,
    pub padded_height: u64,
    pub linear: Option<(Vec<PlaneLayout>, Vec<u64>)>,
}

pub fn usage_of_all(case: &Case) -> Usage {
    case.parties
        .iter()
        .fold(case.usage, |all, party| all | party.usage)
}

/// Bytes of a sample, and pixels for a sample, plane by plane.
fn planes_of(format: Fourcc) -> &'static [(u64, u32, u32)] {
    match &format.to_string()[..] {
        "XR24" => &[(4, 1, 1)],
        "NV12" => &[(1, 1, 1), (2, 2, 2)],
        "YU12" => &[(1, 1, 1), (1, 2, 2), (1, 2, 2)],
        other => panic!("{other}"),
    }
}

fn serves(entry: &FormatSupport, party: &Party, case: &Case) -> bool {
    let is_multiple = |length: u32, of: u32| of == 0 || length.is_multiple_of(of);
    let (width, height) = (case.extent.width, case.extent.height);
    let (least, most) = (entry.minimum_extent, entry.maximum_extent);
    (entry.usage & party.usage) == party.usage
        && (least.width..=most.width).contains(&width)
        && (least.height..=most.height).contains(&height)
        && is_multiple(width, entry.extent_alignment.width)
        && is_multiple(height, entry.extent_alignment.height)
}

fn takes(
    party: &Party,
    case: &Case,
    format: Fourcc,
    modifier: Modifier,
    (count, disjoint): (u8, bool),
) -> bool {
    party.formats.iter().any(|entry| {
        let memories = match entry.disjoint {
            DisjointPlanes::Refused => !disjoint,
            DisjointPlanes::Allowed => true,
            // One plane cannot be apart.
            DisjointPlanes::Required => disjoint || count == 1,
        };
        entry.format == format
            && entry.modifier == modifier
            && serves(entry, party, case)
            && entry.memory_planes.is_none_or(|known| known == count)
            && memories
    })
}

/// With which modifiers a party takes the image at all.
pub fn usable(party: &Party, case: &Case, format: Fourcc) -> Vec<Modifier> {
    let cpu = usage_of_all(case).intersects(Usage::CPU_READ | Usage::CPU_WRITE);
    let mut usable = Vec::new();
    for modifier in MODIFIERS {
        let is_taken = party.formats.iter().any(|entry| {
            entry.format == format
                && entry.modifier == modifier
                && serves(entry, party, case)
                && entry
                    .memory_planes
                    .is_none_or(|known| (1..=4).contains(&known))
        });
        let out = modifier == Modifier::INVALID || cpu && modifier != Modifier::LINEAR;
        if is_taken && !out {
            usable.push(modifier);
        }
    }
    usable
}

/// What a party asks of layouts: what it decides by itself it does not ask for.
fn asked(party: &Party) -> LayoutDemands {
    let own = &party.layout;
    let mut asked = LayoutDemands::default();
    asked.maximum_stride = own.maximum_stride;
    asked.maximum_size = own.maximum_size;
    let is_own = |control| party.role == Role::Exporter && party.layout_control == control;
    if is_own(LayoutControl::Exporter) {
        return asked;
    }
    asked.stride_alignment = own.stride_alignment;
    if is_own(LayoutControl::StrideAlignment) {
        return asked;
    }
    asked.offset_alignment = own.offset_alignment;
    asked.height_alignment = own.height_alignment;
    asked.tail_bytes = own.tail_bytes;
    asked.size_alignment = own.size_alignment;
    asked
}

fn fits(number: u64, alignment: u64) -> bool {
    alignment == 0 || number.is_multiple_of(alignment)
}

/// Whether there are as many rows as the height would have if it were a multiple.
fn has_room(rows: u64, height: u32, alignment: u32) -> bool {
    (u64::from(height)..=rows).any(|padded| fits(padded, alignment.into()))
}

fn first(from: u64, is_right: impl Fn(u64) -> bool) -> u64 {
    let mut numbers = from..from + 100_000;
    numbers.find(|number| is_right(*number)).unwrap()
}

/// The layout that a party who decides about it makes, as far as it has promised, is everyone's.
fn is_promise_enough(exporter: &Party, case: &Case) -> bool {
    let own = &exporter.layout;
    let makes = |alignment: u64| (1..=60).map(move |factor| factor * alignment.max(1));
    let height = case.extent.height;
    let padded = first(height.into(), |rows| {
        has_room(rows, height, own.height_alignment)
    });
    case.parties.iter().map(asked).all(|other| {
        let strides = exporter.layout_control == LayoutControl::StrideAlignment
            || makes(own.stride_alignment.into())
                .all(|stride| fits(stride, other.stride_alignment.into()));
        strides
            && makes(own.offset_alignment).all(|offset| fits(offset, other.offset_alignment))
            && makes(own.size_alignment).all(|size| fits(size, other.size_alignment))
            && has_room(padded, height, other.height_alignment)
            && own.tail_bytes >= other.tail_bytes
    })
}

/// The least layout that everyone takes.
fn least_layout(
    case: &Case,
    format: Fourcc,
    disjoint: bool,
) -> Option<(Vec<PlaneLayout>, Vec<u64>)> {
    let asked: Vec<LayoutDemands> = case.parties.iter().map(asked).collect();
    let all = |is_right: &dyn Fn(&LayoutDemands) -> bool| asked.iter().all(is_right);
    let height = case.extent.height;
    let rows = first(height.into(), |rows| {
        all(&|one| has_room(rows, height, one.height_alignment))
    });
    let (mut planes, mut ends) = (Vec::new(), vec![0]);
    for (index, (bytes, wide, high)) in planes_of(format).iter().enumerate() {
        let samples = first(1, |samples| {
            samples * u64::from(*wide) >= case.extent.width.into()
        });
        let stride = first(samples * bytes, |stride| {
            all(&|one| fits(stride, one.stride_alignment.into()))
        });
        if !all(&|one| stride <= one.maximum_stride.into()) {
            return None;
        }
        if disjoint && index > 0 {
            ends.push(0);
        }
        let end = ends.last_mut().unwrap();
        let offset = first(*end, |offset| {
            all(&|one| fits(offset, one.offset_alignment))
        });
        let lines = first(1, |lines| lines * u64::from(*high) >= rows);
        *end = offset + stride * lines;
        planes.push(PlaneLayout {
            memory: if disjoint { index } else { 0 },
            offset,
            stride: u32::try_from(stride).unwrap(),
        });
    }
    let sizes: Vec<u64> = ends
        .iter()
        .map(|end| {
            first(*end, |size| {
                all(&|one| size >= end + one.tail_bytes && fits(size, one.size_alignment))
            })
        })
        .collect();
    let fit = sizes
        .iter()
        .all(|size| all(&|one| *size <= one.maximum_size));
    fit.then_some((planes, sizes))
}

fn memory(case: &Case) -> Vec<(Placement, bool)> {
    let cpu = usage_of_all(case).intersects(Usage::CPU_READ | Usage::CPU_WRITE);
    let order = if cpu {
        [
            Placement::Host,
            Placement::Shmem,
            Placement::Device,
            Placement::Unknown,
        ]
    } else {
        [
            Placement::Device,
            Placement::Host,
            Placement::Shmem,
            Placement::Unknown,
        ]
    };
    let mut memory = Vec::new();
    for placement in order {
        for contiguous in [false, true] {
            let is_taken = |party: &Party| {
                if contiguous {
                    party.memory.contiguous.has(placement)
                } else {
                    party.memory.scattered.has(placement)
                }
            };
            if case.parties.iter().all(is_taken) {
                memory.push((placement, contiguous));
            }
        }
    }
    memory
}

/// Whether the first of two modifiers is the better one.
fn is_better(case: &Case, one: (Modifier, Option<u8>), other: (Modifier, Option<u8>)) -> bool {
    let transfers = Usage::TRANSFER_SOURCE | Usage::TRANSFER_DESTINATION;
    let transfers_only = (usage_of_all(case) - transfers).is_empty();
    if (one.0 == Modifier::LINEAR) != (other.0 == Modifier::LINEAR) {
        return (one.0 == Modifier::LINEAR) == transfers_only;
    }
    if one.1 != other.1 {
        return match (one.1, other.1) {
            (Some(few), Some(many)) => few < many,
            (told, _) => told.is_some(),
        };
    }
    let exporter = case
        .parties
        .iter()
        .find(|party| party.role == Role::Exporter);
    let place = |modifier| {
        let mut entries = exporter.unwrap().formats.iter();
        entries.position(|entry| entry.modifier == modifier && case.formats.contains(&entry.format))
    };
    place(one.0) < place(other.0)
}

pub fn solve(case: &Case) -> Option<Outcome> {
    let memory = memory(case);
    if memory.is_empty() {
        return None;
    }
    let asked: Vec<LayoutDemands> = case.parties.iter().map(asked).collect();
    let height = case.extent.height;
    let deciding = case
        .parties
        .iter()
        .find(|it| it.role == Role::Exporter && it.layout_control != LayoutControl::Explicit);
    let cpu = usage_of_all(case).intersects(Usage::CPU_READ | Usage::CPU_WRITE);
    for &format in &case.formats {
        // The exporter's order counts among the entries of this format only.
        let mut this = case.clone();
        this.formats = vec![format];
        let own_planes = u8::try_from(planes_of(format).len()).unwrap();
        for disjoint in [false, true] {
            let layout = least_layout(case, format, disjoint)
                .filter(|_| deciding.is_none_or(|exporter| is_promise_enough(exporter, case)));
            let mut modifiers: Vec<(Modifier, Option<u8>)> = Vec::new();
            for modifier in MODIFIERS {
                let is_linear = modifier == Modifier::LINEAR;
                if modifier == Modifier::INVALID
                    || !is_linear && cpu
                    || is_linear && layout.is_none()
                {
                    continue;
                }
                let counts: Vec<u8> = (1..=4)
                    .filter(|count| {
                        if is_linear {
                            *count == own_planes
                        } else {
                            *count >= own_planes
                        }
                    })
                    .filter(|count| *count > 1 || !disjoint)
                    .filter(|count| {
                        let mut parties = case.parties.iter();
                        parties.all(|it| takes(it, case, format, modifier, (*count, disjoint)))
                    })
                    .collect();
                let told = match counts[..] {
                    [] => continue,
                    [count] => Some(count),
                    _ => None,
                };
                let entry = (modifier, told);
                let worse = modifiers.iter().position(|it| is_better(&this, entry, *it));
                modifiers.insert(worse.unwrap_or(modifiers.len()), entry);
            }
            if modifiers.is_empty() {
                continue;
            }
            let has_linear = modifiers.iter().any(|it| it.0 == Modifier::LINEAR);
            let stride_alignment = first(1, |one| {
                asked
                    .iter()
                    .all(|it| it.stride_alignment == 0 || one % u64::from(it.stride_alignment) == 0)
            });
            return Some(Outcome {
                format,
                modifiers,
                disjoint,
                memory,
                stride_alignment: u32::try_from(stride_alignment).unwrap(),
                offset_alignment: first(1, |one| {
                    asked.iter().all(|it| fits(one, it.offset_alignment))
                }),
                padded_height: first(height.into(), |rows| {
                    asked
                        .iter()
                        .all(|it| has_room(rows, height, it.height_alignment))
                }),
                linear: layout.filter(|_| has_linear && deciding.is_none()),
            });
        }
    }
    None
}
