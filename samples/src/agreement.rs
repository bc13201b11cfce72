//! What the device, the display and the picture have in common.

use anyhow::{Context as _, Result, bail, ensure};
use dmashare::{BufferDesc, Extent, Fourcc, Modifier, Negotiation, Usage};
use dmashare_drm::{Card, Mode, Output};
use dmashare_vk::Device;

use crate::display_options::DisplayOptions;
use crate::pixel_format::{PixelFormat, list};

/// How the buffers are used.
pub(crate) const USAGE: Usage = Usage::RENDER.union(Usage::SCANOUT);

/// Formats that most displays and devices have, tried before all others.
const USUAL: [Fourcc; 4] = [
    Fourcc::XRGB8888,
    Fourcc::ARGB8888,
    Fourcc::XBGR8888,
    Fourcc::ABGR8888,
];

/// Opens the card that was asked for, or the first one with a display.
pub(crate) fn open_card(options: &DisplayOptions) -> Result<Card> {
    match &options.card {
        Some(path) => Card::open(path)
            .with_context(|| format!("{} cannot be used as a display", path.display())),
        None => Card::open_any().context("no display can be used"),
    }
}

/// The output that was asked for, or the first connected one, and its mode.
pub(crate) fn choose_output(
    card: &Card,
    options: &DisplayOptions,
    mode: Option<&str>,
) -> Result<(Output, Mode)> {
    let name = options.output.as_deref();
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

/// The format that was asked for, or the best of all that the picture can be drawn in, with the modifiers
/// that device and display share.
pub(crate) fn choose_format(
    device: &Device,
    card: &Card,
    output: &Output,
    extent: Extent,
    asked: Option<Fourcc>,
) -> Result<(&'static PixelFormat, Vec<Modifier>)> {
    let drawn: Vec<Fourcc> = match asked {
        Some(fourcc) => vec![fourcc],
        None => {
            let others = PixelFormat::all().iter().map(|format| format.fourcc());
            let others = others.filter(|format| !USUAL.contains(format));
            USUAL.into_iter().chain(others).collect()
        }
    };
    ensure!(
        drawn
            .iter()
            .all(|format| PixelFormat::of(*format).is_some()),
        "the picture cannot be drawn in {}, only in {}",
        list(drawn),
        list(PixelFormat::all().iter().map(|format| format.fourcc()))
    );
    let desc = BufferDesc::new("the picture", extent, drawn[0], Usage::RENDER);
    let parties = Negotiation::new(desc)
        .party(device.exporter_party(&drawn, Usage::RENDER)?)
        .party(card.scanout_party(output));
    let negotiation = drawn[1..].iter().copied();
    let negotiated = negotiation
        .fold(parties, Negotiation::or_format)
        .solve()
        .with_context(|| {
            format!(
                "device and display share no way to store the picture: choose another --format, --mode \
                 or --device (the display shows {})",
                list(output.formats().fourccs())
            )
        })?;
    let format = PixelFormat::of(negotiated.format());
    let format = format.context("the negotiation chose a format that was not asked for")?;
    Ok((format, negotiated.modifier_list()))
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
