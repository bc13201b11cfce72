//! Which exporter and importer can share memory, and by which route: found out by trying.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use dmashare::route::{Route, RoutePolicy, RoutedAttachment, Routes};
use dmashare::{
    Access, BufferDesc, Damage, Extent, Fourcc, Importer, Modifier, SharedBuffer, Usage,
};
use dmashare_drm::Card;
use dmashare_vk::{Device, PhysicalDevice};
use schemars::JsonSchema;
use serde::Serialize;

use crate::info::error_chain::chain;
use crate::info::exporters::Source;
use crate::pixel_format::list;

/// The formats that are tried, each where both sides have it.
const FORMATS: [Fourcc; 15] = [
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
    Fourcc::NV16,
    Fourcc::P010,
    Fourcc::YUV420,
    Fourcc::R8,
];

/// Small, but within what every display takes.
const EXTENT: Extent = Extent::new(64, 64);
/// What is measured is a frame of this size.
const MEASURED: Extent = Extent::new(1920, 1080);
/// So many frames are measured; the median counts.
const FRAMES: usize = 15;
/// A frame that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The verdict on an exporter and an importer.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct PairReport {
    /// The exporter.
    pub(super) exporter: String,
    /// The importer.
    pub(super) importer: String,
    /// Whether the importer can use the exporter's memory as it is, in one format at least.
    pub(super) direct: bool,
    /// The formats that reach the importer, by whatever route.
    pub(super) formats: Vec<SharedFormat>,
    /// Why none does, if none does.
    pub(super) reason: Option<String>,
    /// Formats that both have and that no route leads for, with the reason.
    pub(super) refused: Vec<Refusal>,
}

/// A format that was shared.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct SharedFormat {
    /// The four-character code.
    pub(super) format: String,
    /// The modifier of the exporter's memory.
    pub(super) modifier: String,
    /// "direct", or "shadow": the importer uses a copy.
    pub(super) route: &'static str,
    /// Of a shadow: who makes the copy and why it is needed.
    pub(super) shadow: Option<String>,
    /// With `--measure`: what a frame costs.
    pub(super) frame: Option<FrameCost>,
}

/// What it costs to hand a frame of 1920x1080 pixels, all of which have changed, to the importer.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct FrameCost {
    /// The time until the importer may use it, in microseconds: the median of several frames.
    pub(super) microseconds: f64,
    /// Bytes that were copied.
    pub(super) bytes_copied: u64,
}

/// A format that could not be shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Refusal {
    /// The four-character code.
    pub(super) format: String,
    /// The error's text.
    pub(super) reason: String,
}

/// An importer of dma-bufs, under the name that the report uses.
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
    /// Tries every format that both have, and measures a frame of each if asked to.
    pub(super) fn of(source: &Source, sink: &Sink, measure: bool) -> Self {
        let routes = source.routes();
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
            let tried = Trial {
                source,
                sink,
                routes: &routes,
                format,
            };
            match tried.share(&mut seen, measure) {
                Ok(Some(shared)) => report.formats.push(shared),
                Ok(None) => {}
                Err(reason) => report.refused.push(Refusal {
                    format: format.to_string(),
                    reason,
                }),
            }
        }
        report.direct = report.formats.iter().any(|shared| shared.route == DIRECT);
        if report.formats.is_empty() {
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

const DIRECT: &str = "direct";
const SHADOW: &str = "shadow";

/// One format between two.
struct Trial<'a> {
    source: &'a Source,
    sink: &'a Sink,
    routes: &'a Routes,
    format: Fourcc,
}

impl Trial<'_> {
    /// Allocates a buffer and attaches the importer by the best route. `Ok(None)` if one of the two does
    /// not have the format.
    fn share(&self, seen: &mut Seen, measure: bool) -> Result<Option<SharedFormat>, String> {
        let (source, format) = (self.source, self.format);
        let is_yuv = format.info().is_some_and(|info| info.is_yuv);
        let usage = source.usage(is_yuv) | self.sink.usage();
        let desc = BufferDesc::new("info", EXTENT, format, usage);
        let mut takes = self.sink.modifiers(format, usage)?;
        if takes.is_empty() {
            // Not for what the exporter does with it; a copy is only for what the importer does.
            takes = self.sink.modifiers(format, self.sink.usage())?;
        }
        seen.taken.extend((!takes.is_empty()).then_some(format));
        // An error here says that the exporter does not have the format for these uses.
        let makes = dmashare::Exporter::modifiers(source, &desc).unwrap_or_else(|error| {
            seen.not_made.get_or_insert_with(|| chain(error));
            Vec::new()
        });
        seen.made.extend((!makes.is_empty()).then_some(format));
        if makes.is_empty() || takes.is_empty() {
            return Ok(None);
        }
        let both = makes.iter().copied().filter(|m| takes.contains(m));
        let mut modifiers: Vec<Modifier> = both.collect();
        if modifiers.is_empty() {
            // Not directly, but a copy has another modifier.
            modifiers = makes;
        }
        let mut shared = self.try_with(desc.clone(), &modifiers, false)?;
        if measure {
            let mut large = desc;
            large.extent = MEASURED;
            shared.frame = self.try_with(large, &modifiers, true)?.frame;
        }
        Ok(Some(shared))
    }

    fn try_with(
        &self,
        desc: BufferDesc,
        modifiers: &[Modifier],
        measure: bool,
    ) -> Result<SharedFormat, String> {
        let buffer = SharedBuffer::new(self.source, desc, modifiers).map_err(chain)?;
        let shared = match &self.sink.kind {
            SinkKind::Vulkan(device, _) => self.attach(&buffer, device, measure),
            SinkKind::Card(card) => self.attach(&buffer, card, measure),
        };
        drop(buffer);
        if let SinkKind::Vulkan(device, _) = &self.sink.kind {
            device.dispatch();
        }
        if let Some(device) = self.source.device() {
            device.dispatch();
        }
        shared
    }

    fn attach<I: Importer>(
        &self,
        buffer: &SharedBuffer,
        importer: &I,
        measure: bool,
    ) -> Result<SharedFormat, String> {
        let never_read = Arc::new(AtomicBool::new(false));
        let attached = self
            .routes
            .attach(buffer, importer, RoutePolicy::Automatic, never_read)
            .map_err(chain)?;
        let (route, shadow) = match attached.route() {
            Route::Direct => (DIRECT, None),
            route @ Route::Shadow(_) => (SHADOW, Some(route.to_string())),
        };
        Ok(SharedFormat {
            format: self.format.to_string(),
            modifier: buffer.backing().dmabuf().layout().modifier().to_string(),
            route,
            shadow,
            frame: measure.then(|| frame_cost(&attached)).transpose()?,
        })
    }
}

/// Hands over one frame after the other.
fn frame_cost<I: Importer>(attached: &RoutedAttachment<I>) -> Result<FrameCost, String> {
    drop(attached.map().map_err(chain)?);
    let before = attached.bytes_copied();
    let mut times = Vec::with_capacity(FRAMES);
    for _ in 0..FRAMES {
        attached.buffer().written(&Damage::whole());
        let begun = Instant::now();
        drop(attached.map().map_err(chain)?);
        if let Some(shadow) = attached.shadow() {
            shadow.wait_ready(Access::Read, PATIENCE).map_err(chain)?;
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(FrameCost {
        microseconds: times[FRAMES / 2].as_secs_f64() * 1e6,
        bytes_copied: (attached.bytes_copied() - before) / FRAMES as u64,
    })
}
