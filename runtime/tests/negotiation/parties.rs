//! Parties, made up at random.

use dmashare::negotiation::{
    DisjointPlanes, FormatSupport, LayoutControl, LayoutDemands, MemoryKinds,
};
use dmashare::{BufferDesc, Extent, Fourcc, Modifier, Negotiation, Party, Placements, Usage};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

pub const FORMATS: [Fourcc; 3] = [Fourcc::XRGB8888, Fourcc::NV12, Fourcc::YUV420];
pub const MODIFIERS: [Modifier; 4] = [
    Modifier::LINEAR,
    Modifier::new(0x0100_0000_0000_0001),
    Modifier::new(0x0100_0000_0000_0004),
    Modifier::INVALID,
];

/// Everything that a negotiation is about.
#[derive(Clone, Debug)]
pub struct Case {
    pub extent: Extent,
    pub formats: Vec<Fourcc>,
    pub usage: Usage,
    pub parties: Vec<Party>,
}

impl Case {
    pub fn negotiation(&self) -> Negotiation {
        let desc = BufferDesc::new("case", self.extent, self.formats[0], self.usage);
        let negotiation = Negotiation::new(desc);
        let others = self.formats[1..].iter();
        let negotiation = others.fold(negotiation, |it, format| it.or_format(*format));
        let parties = self.parties.iter().cloned();
        parties.fold(negotiation, Negotiation::party)
    }
}

fn usage() -> impl Strategy<Value = Usage> {
    prop_oneof![
        Just(Usage::RENDER),
        Just(Usage::SAMPLE),
        Just(Usage::RENDER | Usage::SAMPLE),
        Just(Usage::TRANSFER_SOURCE),
        Just(Usage::TRANSFER_DESTINATION),
        Just(Usage::SCANOUT),
        Just(Usage::ENCODE),
    ]
}

fn support(own: Usage) -> impl Strategy<Value = FormatSupport> {
    let served = prop_oneof![
        8 => Just(Usage::all()),
        2 => Just(own),
        1 => Just(Usage::RENDER | Usage::TRANSFER_SOURCE),
    ];
    let planes = prop_oneof![4 => Just(None), 6 => (1..=3_u8).prop_map(Some), 1 => Just(Some(0))];
    let limits = prop_oneof![
        10 => Just((1, u32::MAX)),
        1 => Just((8, u32::MAX)),
        1 => (1..40_u32).prop_map(|maximum| (1, maximum)),
    ];
    let aligned = prop_oneof![10 => Just((1, 1)), 1 => Just((2, 2)), 1 => Just((0, 3))];
    let disjoint = prop_oneof![
        6 => Just(DisjointPlanes::Refused),
        3 => Just(DisjointPlanes::Allowed),
        1 => Just(DisjointPlanes::Required),
    ];
    (
        select(&FORMATS[..]),
        select(&MODIFIERS[..]),
        served,
        planes,
        limits,
        aligned,
        disjoint,
    )
        .prop_map(
            |(format, modifier, usage, planes, (least, most), (wide, high), disjoint)| {
                let mut support = FormatSupport::new(format, modifier, usage);
                support.memory_planes = planes;
                support.minimum_extent = Extent::new(least, least);
                support.maximum_extent = Extent::new(most, most);
                support.extent_alignment = Extent::new(wide, high);
                support.disjoint = disjoint;
                support
            },
        )
}

/// Entries that most often agree: all formats and modifiers, some left out, and some made up.
fn supports(own: Usage) -> impl Strategy<Value = Vec<FormatSupport>> {
    let all: Vec<(Fourcc, Modifier)> = FORMATS
        .iter()
        .flat_map(|format| MODIFIERS.map(|modifier| (*format, modifier)))
        .collect();
    let count = all.len();
    (
        subsequence(all, count / 2..=count).prop_shuffle(),
        prop::collection::vec((support(own), any::<bool>()), 0..5),
    )
        .prop_map(|(pairs, made_up)| {
            let plain = pairs.into_iter().map(|(format, modifier)| {
                FormatSupport::new(format, modifier, Usage::all())
                    .with_disjoint(DisjointPlanes::Refused)
            });
            let mut supports: Vec<_> = plain.collect();
            // Made up entries most often take the place of plain ones, so that they count; or there
            // are several for the same.
            for (one, replaces) in made_up {
                let pair = (one.format, one.modifier);
                supports.retain(|other| !replaces || (other.format, other.modifier) != pair);
                supports.push(one);
            }
            supports
        })
}

fn layout() -> impl Strategy<Value = LayoutDemands> {
    (
        select(vec![0_u32, 1, 1, 1, 4, 6, 64]),
        select(vec![u32::MAX, u32::MAX, u32::MAX, 256, 100]),
        select(vec![0_u64, 1, 1, 1, 16, 24, 64]),
        select(vec![0_u32, 1, 1, 1, 2, 16, 5]),
        select(vec![0_u64, 0, 0, 7, 64]),
        select(vec![0_u64, 1, 1, 1, 64, 10]),
        select(vec![u64::MAX, u64::MAX, u64::MAX, 4096, 1000]),
    )
        .prop_map(|(stride, pitch, offset, height, tail, size, most)| {
            let mut layout = LayoutDemands::default();
            layout.stride_alignment = stride;
            layout.maximum_stride = pitch;
            layout.offset_alignment = offset;
            layout.height_alignment = height;
            layout.tail_bytes = tail;
            layout.size_alignment = size;
            layout.maximum_size = most;
            layout
        })
}

fn memory() -> impl Strategy<Value = MemoryKinds> {
    let places = || {
        prop_oneof![
            4 => Just(Placements::all()),
            1 => (0..16_u8).prop_map(Placements::from_bits_truncate),
        ]
    };
    prop_oneof![
        6 => places().prop_map(MemoryKinds::any),
        1 => places().prop_map(MemoryKinds::scattered),
        1 => places().prop_map(MemoryKinds::contiguous),
    ]
}

fn party(exporter: bool, index: usize) -> impl Strategy<Value = Party> {
    let usage = prop_oneof![9 => usage(), 1 => Just(Usage::CPU_READ)];
    let control = prop_oneof![
        2 => Just(LayoutControl::Explicit),
        1 => Just(LayoutControl::StrideAlignment),
        1 => Just(LayoutControl::Exporter),
    ];
    let supported = usage.prop_flat_map(|usage| (Just(usage), supports(usage)));
    (supported, layout(), memory(), control).prop_map(
        move |((usage, formats), layout, memory, control)| {
            let party = if exporter {
                Party::exporter(format!("exporter {index}"), usage)
            } else {
                Party::importer(format!("importer {index}"), usage)
            };
            party
                .with_formats(formats)
                .with_layout(layout)
                .with_memory(memory)
                .with_layout_control(control)
        },
    )
}

/// One exporter among up to three importers.
pub fn case() -> impl Strategy<Value = Case> {
    let parties = (
        party(true, 0),
        prop::collection::vec(party(false, 0), 0..4),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(exporter, mut parties, at)| {
            for (index, party) in parties.iter_mut().enumerate() {
                party.name = format!("importer {index}");
            }
            parties.insert(at.index(parties.len() + 1), exporter);
            parties
        });
    let formats = subsequence(FORMATS.to_vec(), 1..=FORMATS.len()).prop_shuffle();
    let cpu = prop_oneof![8 => Just(Usage::empty()), 1 => Just(Usage::CPU_WRITE)];
    let apart = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (1..40_u32, 1..40_u32, formats, cpu, parties, apart).prop_map(
        |(width, height, formats, usage, mut parties, apart)| {
            if let Some(index) = apart {
                demand_planes_apart(&mut parties, index);
            }
            Case {
                extent: Extent::new(width, height),
                formats,
                usage,
                parties,
            }
        },
    )
}

/// Disjoint planes are the outcome only where somebody demands them and all others allow them.
fn demand_planes_apart(parties: &mut [Party], index: prop::sample::Index) {
    let demanding = index.index(parties.len());
    for (index, party) in parties.iter_mut().enumerate() {
        for support in &mut party.formats {
            support.disjoint = if index == demanding {
                DisjointPlanes::Required
            } else {
                DisjointPlanes::Allowed
            };
        }
    }
}
