//! What a negotiation costs, with few parties and with many.

use anyhow::{Context as _, Result};
use dmashare::negotiation::{FormatSupport, LayoutControl, MemoryKinds};
use dmashare::{BufferDesc, Extent, Fourcc, Modifier, Negotiation, Party, Placements, Usage};

/// As many modifiers does every party have: what a driver of today lists for a format.
const MODIFIERS: u64 = 16;

/// A negotiation of a device that makes images with some importers that take them.
///
/// # Errors
/// There are more importers than numbers for them.
pub fn with_parties(count: usize) -> Result<Negotiation> {
    let format = Fourcc::XRGB8888;
    let modifiers: Vec<_> = (0..MODIFIERS).map(Modifier::new).collect();
    let rendered =
        |&modifier| FormatSupport::new(format, modifier, Usage::RENDER).with_memory_planes(1);
    let exporter = Party::exporter("exporter", Usage::RENDER)
        .with_formats(modifiers.iter().map(rendered))
        .with_layout_control(LayoutControl::Exporter)
        .with_memory(MemoryKinds::scattered(
            Placements::DEVICE | Placements::HOST,
        ));
    let desc = BufferDesc::new("frame", Extent::new(1920, 1080), format, Usage::RENDER);
    let importers = count.checked_sub(1).context("there is no exporter")?;
    let negotiation = (0..importers).fold(Negotiation::new(desc).party(exporter), |all, index| {
        let importer = Party::importer(format!("importer {index}"), Usage::SAMPLE)
            .with_modifiers(format, &modifiers)
            .with_memory(MemoryKinds::any(Placements::HOST));
        all.party(importer)
    });
    Ok(negotiation)
}
