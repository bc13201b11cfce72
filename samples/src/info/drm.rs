//! DRM nodes: what they are, and what their displays can show.

use std::path::{Path, PathBuf};

use anyhow::Result;
use dmashare_drm::{Card, FormatSet, Node, NodeKind};
use serde::Serialize;

use crate::program;

/// What a DRM node can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// Its path.
    pub path: PathBuf,
    /// "primary" or "render".
    pub kind: &'static str,
    /// The kernel's driver.
    pub driver: String,
    /// "major:minor".
    pub device_number: String,
    /// What the card can do; `None` for a node without displays.
    pub card: Option<CardReport>,
    /// Why it is no card that can be used.
    pub no_card: Option<String>,
}

/// What a card can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CardReport {
    /// Whether dma-bufs can be imported (`DRM_PRIME_CAP_IMPORT`).
    pub prime_import: bool,
    /// Whether its own buffers can be exported (`DRM_PRIME_CAP_EXPORT`).
    pub prime_export: bool,
    /// Whether it has dumb buffers.
    pub dumb_buffer: bool,
    /// Whether framebuffers may have modifiers.
    pub modifiers: bool,
    /// The smallest framebuffer, width and height.
    pub minimum_extent: [u32; 2],
    /// The largest framebuffer, width and height.
    pub maximum_extent: [u32; 2],
    /// What its planes show.
    pub formats: Vec<ShownFormat>,
    /// Whether the connectors were looked at just now. If another program holds the display, they
    /// are as that one saw them last.
    pub probed: bool,
    /// Its connectors.
    pub outputs: Vec<OutputReport>,
}

/// A format that a display can show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownFormat {
    /// The four-character code.
    pub format: String,
    /// The modifiers that it may have.
    pub modifiers: Vec<String>,
}

/// A connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutputReport {
    /// Its name.
    pub name: String,
    /// Whether a display is connected.
    pub connected: bool,
    /// The display's preferred mode.
    pub preferred_mode: Option<String>,
    /// How many modes there are.
    pub modes: usize,
    /// The formats in which it can capture what it shows.
    pub writeback: Vec<String>,
}

impl NodeReport {
    /// Every node, with the card that can be tried.
    pub(super) fn all() -> Result<Vec<(Option<Card>, Self)>> {
        let mut nodes = Node::list();
        nodes.sort_by(|a, b| a.path().cmp(b.path()));
        Ok(nodes.iter().map(Self::of).collect())
    }

    fn of(node: &Node) -> (Option<Card>, Self) {
        let (major, minor) = node.device_number();
        let mut report = Self {
            path: node.path().to_owned(),
            kind: match node.kind() {
                NodeKind::Primary => "primary",
                NodeKind::Render => "render",
                _ => "other",
            },
            driver: node.driver().to_owned(),
            device_number: format!("{major}:{minor}"),
            card: None,
            no_card: None,
        };
        if report.kind != "primary" {
            return (None, report);
        }
        match examine(node.path()) {
            Ok((card, examined)) => {
                report.card = Some(examined);
                (Some(card), report)
            }
            Err(error) => {
                report.no_card = Some(program::message(&error));
                (None, report)
            }
        }
    }
}

fn examine(path: &Path) -> Result<(Card, CardReport)> {
    let card = Card::inspect(path)?;
    let can = card.capabilities();
    let (least, most) = (can.minimum_extent, can.maximum_extent);
    // Only the master of a card makes the kernel look what is connected. If there is none, that is
    // this program for a moment; what is on screen stays.
    let (outputs, probed) = match Card::open(path) {
        Ok(master) => (master.outputs()?, true),
        Err(_) => (card.outputs()?, false),
    };
    let report = CardReport {
        prime_import: can.prime_import,
        prime_export: can.prime_export,
        dumb_buffer: can.dumb_buffer,
        modifiers: can.addfb2_modifiers,
        minimum_extent: [least.width, least.height],
        maximum_extent: [most.width, most.height],
        formats: shown(card.formats()),
        probed,
        outputs: outputs
            .iter()
            .map(|output| OutputReport {
                name: output.name().to_owned(),
                connected: output.is_connected(),
                preferred_mode: output.preferred_mode().map(|mode| mode.to_string()),
                modes: output.modes().len(),
                writeback: output
                    .writeback_formats()
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            })
            .collect(),
    };
    Ok((card, report))
}

fn shown(formats: &FormatSet) -> Vec<ShownFormat> {
    let mut shown: Vec<ShownFormat> = formats
        .iter()
        .map(|(format, modifiers)| ShownFormat {
            format: format.to_string(),
            modifiers: modifiers.iter().map(ToString::to_string).collect(),
        })
        .collect();
    shown.sort_by(|a, b| a.format.cmp(&b.format));
    shown
}
