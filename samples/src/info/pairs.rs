//! Whether two can share memory directly: tried, not guessed.

use dmashare::{BufferDesc, Extent, Fourcc, Importer, Modifier, SharedBuffer, Usage};
use dmashare_drm::Card;
use dmashare_vk::{Device, PhysicalDevice};
use serde::Serialize;

use super::exporters::{Source, chain};
use crate::pixel_format::list;

/// The formats that are tried, each where both sides have it.
const FORMATS: [Fourcc; 12] = [
    Fourcc::XRGB8888,
    Fourcc::ARGB8888,
    Fourcc::XBGR8888,
    Fourcc::ABGR8888,
    Fourcc::RGB565,
    Fourcc::XRGB2101010,
    Fourcc::XBGR2101010,
    Fourcc::ARGB16161616,
    Fourcc::ABGR16161616,
    Fourcc::ABGR16161616F,
    Fourcc::NV12,
    Fourcc::P010,
];

/// Small, but within what every display takes.
const EXTENT: Extent = Extent::new(64, 64);

/// The verdict on an exporter and an importer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PairReport {
    /// Who allocates.
    pub exporter: String,
    /// Who uses the memory.
    pub importer: String,
    /// Whether the importer can use the exporter's memory as it is.
    pub direct: bool,
    /// The formats with which it can, each with the modifier that was chosen.
    pub formats: Vec<SharedFormat>,
    /// Why it cannot, if it cannot.
    pub reason: Option<String>,
    /// Formats that both have and that were refused, with the reason.
    pub refused: Vec<Refusal>,
}

/// A format that was shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedFormat {
    /// The four-character code.
    pub format: String,
    /// The modifier.
    pub modifier: String,
}

/// A format that could not be shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The four-character code.
    pub format: String,
    /// The error's text.
    pub reason: String,
}

/// Someone who uses dma-bufs, under the name that the report uses.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) name: String,
    pub(super) kind: SinkKind,
}

#[derive(Debug)]
pub(super) enum SinkKind {
    Vulkan(Device, PhysicalDevice),
    Card(Card),
}

impl Sink {
    fn modifiers(&self, format: Fourcc, usage: Usage) -> Result<Vec<Modifier>, String> {
        match &self.kind {
            SinkKind::Card(card) => Ok(card.formats().modifiers(format).to_vec()),
            SinkKind::Vulkan(_, physical) => {
                let offered = physical.modifiers(format, usage).map_err(chain)?;
                let importable = offered.iter().filter(|support| support.importable);
                Ok(importable.map(|support| support.modifier).collect())
            }
        }
    }

    fn usage(&self) -> Usage {
        match self.kind {
            SinkKind::Card(_) => Usage::SCANOUT,
            SinkKind::Vulkan(..) => Usage::SAMPLE,
        }
    }
}

impl PairReport {
    /// Tries every format that both have.
    pub(super) fn of(source: &Source, sink: &Sink) -> Self {
        let mut report = Self {
            exporter: source.name.clone(),
            importer: sink.name.clone(),
            direct: false,
            formats: Vec::new(),
            reason: None,
            refused: Vec::new(),
        };
        let mut seen = Seen::default();
        for format in FORMATS {
            match try_format(source, sink, format, &mut seen) {
                Ok(Some(modifier)) => report.formats.push(SharedFormat {
                    format: format.to_string(),
                    modifier: modifier.to_string(),
                }),
                Ok(None) => {}
                Err(reason) => report.refused.push(Refusal {
                    format: format.to_string(),
                    reason,
                }),
            }
        }
        report.direct = !report.formats.is_empty();
        if !report.direct {
            let refused = report.refused.first().map(|refusal| refusal.reason.clone());
            report.reason = Some(refused.unwrap_or_else(|| seen.nothing_common()));
        }
        report
    }
}

/// What the two sides have, of the formats that were tried.
#[derive(Debug, Default)]
struct Seen {
    made: Vec<Fourcc>,
    taken: Vec<Fourcc>,
    /// Why the exporter does not have the first format that it does not have.
    not_made: Option<String>,
}

impl Seen {
    fn nothing_common(self) -> String {
        match self.not_made {
            Some(reason) if self.made.is_empty() => reason,
            _ => format!(
                "nothing in common: of the formats that were tried, the exporter makes {}, the \
                 importer takes {}",
                list(self.made),
                list(self.taken)
            ),
        }
    }
}

/// Allocates, exports and imports a buffer. `Ok(None)` if one of the two does not have the format,
/// or no modifier is in both lists.
fn try_format(
    source: &Source,
    sink: &Sink,
    format: Fourcc,
    seen: &mut Seen,
) -> Result<Option<Modifier>, String> {
    let is_yuv = format.info().is_some_and(|info| info.is_yuv);
    let usage = source.usage(is_yuv) | sink.usage();
    let desc = BufferDesc::new("info", EXTENT, format, usage);
    let takes = sink.modifiers(format, usage)?;
    seen.taken.extend((!takes.is_empty()).then_some(format));
    // An error here says that the exporter does not have the format for these uses.
    let makes = dmashare::Exporter::modifiers(source, &desc).unwrap_or_else(|error| {
        seen.not_made.get_or_insert_with(|| chain(error));
        Vec::new()
    });
    seen.made.extend((!makes.is_empty()).then_some(format));
    let both: Vec<Modifier> = makes.into_iter().filter(|m| takes.contains(m)).collect();
    if both.is_empty() {
        return Ok(None);
    }
    let buffer = SharedBuffer::new(source, desc, &both).map_err(chain)?;
    match &sink.kind {
        SinkKind::Vulkan(device, _) => attach(&buffer, device)?,
        SinkKind::Card(card) => attach(&buffer, card)?,
    }
    let modifier = buffer.backing().dmabuf().layout().modifier();
    drop(buffer);
    if let SinkKind::Vulkan(device, _) = &sink.kind {
        device.dispatch();
    }
    if let Some(device) = source.device() {
        device.dispatch();
    }
    Ok(Some(modifier))
}

fn attach<I: Importer>(buffer: &SharedBuffer, importer: &I) -> Result<(), String> {
    let attachment = buffer.attach(importer).map_err(chain)?;
    attachment.map().map_err(chain)?;
    Ok(())
}
