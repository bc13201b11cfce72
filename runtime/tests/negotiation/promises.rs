//! Exporters that lay images out by themselves.

use dmashare::negotiation::{FormatSupport, LayoutControl, LayoutDemands, LayoutFigure, Objection};
use dmashare::{BufferDesc, Extent, Fourcc, Modifier, Negotiation, Party, Usage};

use crate::awkward::{demands, objections};

/// A Vulkan driver decides about strides; a display demands multiples of 256.
#[test]
fn what_an_exporter_decides_it_must_promise() {
    let format = Fourcc::NV12;
    let support = FormatSupport::new(format, Modifier::LINEAR, Usage::all());
    let solve = |control, made: LayoutDemands, demanded: LayoutDemands| {
        let exporter = Party::exporter("driver", Usage::RENDER)
            .with_formats([support])
            .with_layout_control(control)
            .with_layout(made);
        let importer = Party::importer("display", Usage::SCANOUT)
            .with_formats([support])
            .with_layout(demanded);
        let desc = BufferDesc::new("made", Extent::new(333, 77), format, Usage::RENDER);
        Negotiation::new(desc)
            .party(exporter)
            .party(importer)
            .solve()
    };
    type Set = fn(&mut LayoutDemands, u32);
    let figures: [(LayoutFigure, Set); 5] = [
        (LayoutFigure::StrideAlignment, |it, value| {
            it.stride_alignment = value
        }),
        (LayoutFigure::OffsetAlignment, |it, value| {
            it.offset_alignment = value.into()
        }),
        (LayoutFigure::PaddedHeight, |it, value| {
            it.height_alignment = value
        }),
        (LayoutFigure::TailBytes, |it, value| {
            it.tail_bytes = value.into()
        }),
        (LayoutFigure::SizeAlignment, |it, value| {
            it.size_alignment = value.into()
        }),
    ];
    for (figure, set) in figures {
        for (made, demanded, is_enough) in [(256, 256, true), (256, 128, true), (128, 256, false)] {
            let made = demands(|it| set(it, made));
            let demanded = demands(|it| set(it, demanded));
            let explicit = solve(LayoutControl::Explicit, made, demanded).unwrap();
            assert!(explicit.linear_layout().is_some(), "{figure:?}");
            let by_driver = solve(LayoutControl::Exporter, made, demanded);
            assert_eq!(by_driver.is_ok(), is_enough, "{figure:?}");
            // What a driver has promised is not demanded of it again.
            if let Ok(by_driver) = &by_driver {
                assert_eq!(by_driver.linear_layout(), None);
            }
            if let Err(error) = by_driver {
                let refused = objections(&error);
                let is_named = |it: &Objection| matches!(it, Objection::NotPromised { figure: named, .. } if *named == figure);
                assert!(
                    refused.iter().all(is_named) && refused.len() == 1,
                    "{refused:?}"
                );
            }
            // Strides are as they are asked for; the rest is as with a driver.
            let is_enough = is_enough || figure == LayoutFigure::StrideAlignment;
            let asked = solve(LayoutControl::StrideAlignment, made, demanded);
            assert_eq!(asked.is_ok(), is_enough, "{figure:?}");
        }
    }
    let stride = |bytes| demands(|it| it.stride_alignment = bytes);
    let asked = solve(LayoutControl::StrideAlignment, stride(96), stride(256)).unwrap();
    assert_eq!(asked.constraint().stride_alignment, 768);
    let driver = solve(LayoutControl::Exporter, stride(512), stride(256)).unwrap();
    assert_eq!(driver.constraint().stride_alignment, 256);
}
