//! What device, display and picture can all do.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use dmashare::{Extent, Fourcc, Modifier, Usage};
use dmashare_drm::{Card, Mode, Output};
use dmashare_vk::PhysicalDevice;

use std::path::Path;

use crate::pixel_format::{PixelFormat, list};

/// What the buffers are made for.
pub(crate) const USAGE: Usage = Usage::RENDER.union(Usage::SCANOUT);

/// What displays and devices are made for, tried before all other formats.
const USUAL: [Fourcc; 4] = [
    Fourcc::XRGB8888,
    Fourcc::ARGB8888,
    Fourcc::XBGR8888,
    Fourcc::ABGR8888,
];

/// Opens the card that was asked for, or the first one with a display.
pub(crate) fn open_card(path: Option<&Path>) -> Result<Card> {
    match path {
        Some(path) => Card::open(path)
            .with_context(|| format!("{} cannot be used as a display", path.display())),
        None => Card::open_any().context("no display can be used"),
    }
}

/// The output that was asked for, or the first connected one, and its mode.
pub(crate) fn choose_output(
    card: &Card,
    name: Option<&str>,
    mode: Option<&str>,
) -> Result<(Output, Mode)> {
    let outputs = card.outputs()?;
    let names = || {
        let names = outputs.iter().map(|output| match output.is_connected() {
            true => format!("{} (connected)", output.name()),
            false => format!("{} (nothing connected)", output.name()),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    let found = match name {
        Some(name) => outputs.iter().find(|output| output.name() == name),
        None => outputs.iter().find(|output| output.is_connected()),
    };
    let output = match (found, name) {
        (Some(output), _) => output.clone(),
        (None, Some(name)) => bail!("{} has no output {name}; it has {}", card.name(), names()),
        (None, None) => bail!(
            "no display is connected to {}; its outputs: {}",
            card.name(),
            names()
        ),
    };
    let mode = output
        .mode(mode.unwrap_or("preferred"))
        .with_context(|| format!("{} cannot be set up", output.name()))?;
    Ok((output, mode))
}

/// The format that was asked for, or the first that device, display and picture all have, with the
/// modifiers that device and display share.
pub(crate) fn choose_format(
    device: &PhysicalDevice,
    output: &Output,
    extent: Extent,
    asked: Option<Fourcc>,
) -> Result<(&'static PixelFormat, Vec<Modifier>)> {
    if let Some(fourcc) = asked {
        let format = PixelFormat::of(fourcc).with_context(|| {
            let all = PixelFormat::all().iter().map(|format| format.fourcc());
            format!(
                "the picture cannot be drawn in {fourcc}, only in {}",
                list(all)
            )
        })?;
        let modifiers = shared_modifiers(device, output, extent, format)?;
        if modifiers.is_empty() {
            return Err(no_way(device, output, extent, fourcc));
        }
        return Ok((format, modifiers));
    }
    let usual = USUAL.into_iter().filter_map(PixelFormat::of);
    for format in usual.chain(PixelFormat::all()) {
        let modifiers = shared_modifiers(device, output, extent, format)?;
        if !modifiers.is_empty() {
            return Ok((format, modifiers));
        }
    }
    bail!(
        "{} and {} share no format: the display takes {}, the device draws into {}",
        device.name(),
        output.name(),
        list(output.formats().fourccs()),
        list(device.formats(USAGE)),
    )
}

/// Why device and display share no way to store a format.
fn no_way(
    device: &PhysicalDevice,
    output: &Output,
    extent: Extent,
    fourcc: Fourcc,
) -> anyhow::Error {
    let taken = output.formats().modifiers(fourcc);
    if taken.is_empty() {
        return anyhow!(
            "{} does not show {fourcc}, only {}",
            output.name(),
            list(output.formats().fourccs())
        );
    }
    let offered = device.modifiers(fourcc, USAGE).unwrap_or_default();
    let exportable: Vec<_> = offered
        .iter()
        .filter(|support| support.exportable)
        .collect();
    if exportable.is_empty() {
        return anyhow!(
            "{} cannot draw into and export {fourcc}, only {}",
            device.name(),
            list(device.formats(USAGE))
        );
    }
    if !exportable
        .iter()
        .any(|support| extent.fits(support.max_extent))
    {
        return anyhow!(
            "{} cannot draw {extent} pixels: choose a smaller --mode",
            device.name()
        );
    }
    let names = |modifiers: &mut dyn Iterator<Item = Modifier>| {
        modifiers
            .map(|modifier| modifier.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    anyhow!(
        "{} and {} share no modifier of {fourcc}: the display takes {}, the device exports {}; try \
         another --format",
        output.name(),
        device.name(),
        names(&mut taken.iter().copied()),
        names(&mut exportable.iter().map(|support| support.modifier)),
    )
}

fn shared_modifiers(
    device: &PhysicalDevice,
    output: &Output,
    extent: Extent,
    format: &PixelFormat,
) -> Result<Vec<Modifier>> {
    let taken = output.formats().modifiers(format.fourcc());
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let offered = device.modifiers(format.fourcc(), USAGE)?;
    Ok(offered
        .iter()
        .filter(|support| support.exportable && extent.fits(support.max_extent))
        .map(|support| support.modifier)
        .filter(|modifier| taken.contains(modifier))
        .collect())
}

/// The format in which frames are captured: one that loses nothing of what is shown. Narrower
/// channels than eight bits are captured wider, because a display may round once more on its way
/// back to them.
pub(crate) fn choose_capture_format(output: &Output, shown: &PixelFormat) -> Result<Fourcc> {
    ensure!(
        output.has_writeback(),
        "{} has no writeback connector, so what it shows cannot be captured: leave --verify out",
        output.name()
    );
    let offered = output.writeback_formats();
    let exact = offered.iter().copied().filter_map(PixelFormat::of);
    // The same format first, then the one with the fewest bytes.
    exact
        .filter(|format| format.holds(shown) && format.bytes() >= 4)
        .min_by_key(|format| (format.fourcc() != shown.fourcc(), format.bytes()))
        .map(PixelFormat::fourcc)
        .with_context(|| {
            format!(
                "{} captures {} only, none of which holds {} without loss: leave --verify out, or \
                 choose another --format",
                output.name(),
                list(offered.iter().copied()),
                shown.fourcc()
            )
        })
}
