//! DRM nodes: what they are, and what their displays can show.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use dmashare_drm::{Card, FormatSet, Node, NodeKind, OpenError};
use schemars::JsonSchema;
use serde::Serialize;

use crate::info::error_chain::chain;
use crate::info::unusable::Unusable;
use crate::program;

/// Where the kernel has its DRM nodes.
const NODES: &str = "/dev/dri";

/// What a DRM node can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct NodeReport {
    /// Its path.
    pub(super) path: PathBuf,
    /// "primary" or "render".
    pub(super) kind: &'static str,
    /// The kernel's driver.
    pub(super) driver: String,
    /// "major:minor".
    pub(super) device_number: String,
    /// What the card can do; `None` for a node without displays.
    pub(super) card: Option<CardReport>,
    /// Why it is no card that can be used.
    pub(super) no_card: Option<String>,
    /// Whether it could not be examined; if not, it has no displays, or none that this library can
    /// drive.
    pub(super) failed: bool,
}

/// What a card can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct CardReport {
    /// Whether dma-bufs can be imported (`DRM_PRIME_CAP_IMPORT`).
    pub(super) prime_import: bool,
    /// Whether its own buffers can be exported (`DRM_PRIME_CAP_EXPORT`).
    pub(super) prime_export: bool,
    /// Whether it has dumb buffers.
    pub(super) dumb_buffer: bool,
    /// Whether framebuffers may have modifiers.
    pub(super) modifiers: bool,
    /// The smallest framebuffer, width and height.
    pub(super) minimum_extent: [u32; 2],
    /// The largest framebuffer, width and height.
    pub(super) maximum_extent: [u32; 2],
    /// What its planes show.
    pub(super) formats: Vec<ShownFormat>,
    /// Whether the connectors were looked at just now. If another program holds the display, they
    /// are as that one saw them last.
    pub(super) probed: bool,
    /// Its connectors.
    pub(super) outputs: Vec<OutputReport>,
}

/// A format that a display can show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct ShownFormat {
    /// The four-character code.
    pub(super) format: String,
    /// The modifiers that it may have.
    pub(super) modifiers: Vec<String>,
}

/// A connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct OutputReport {
    /// Its name.
    pub(super) name: String,
    /// Whether a display is connected.
    pub(super) connected: bool,
    /// The display's preferred mode.
    pub(super) preferred_mode: Option<String>,
    /// How many modes there are.
    pub(super) modes: usize,
    /// The formats in which it can capture what it shows.
    pub(super) writeback: Vec<String>,
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
            failed: false,
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
                report.failed = !is_no_display(&error);
                (None, report)
            }
        }
    }
}

/// The nodes that could not be opened: they are not in `nodes`.
pub(super) fn closed(nodes: &[NodeReport]) -> Vec<Unusable> {
    let mut paths: Vec<PathBuf> = fs::read_dir(NODES)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("card") || name.starts_with("renderD")
        })
        .filter(|path| nodes.iter().all(|node| node.path != *path))
        .collect();
    paths.sort();
    let unusable = paths.into_iter().map(|path| Unusable {
        name: path.display().to_string(),
        reason: match Card::inspect(&path) {
            Err(error) => chain(error),
            Ok(_) => "it has appeared just now".to_owned(),
        },
        failed: true,
    });
    unusable.collect()
}

/// Whether an error says what the card is, not that it could not be examined.
fn is_no_display(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(OpenError::NoKms { .. } | OpenError::NoAtomic { .. })
    )
}

fn examine(path: &Path) -> Result<(Card, CardReport)> {
    let card = Card::inspect(path)?;
    let can = card.capabilities();
    let (least, most) = (can.minimum_extent, can.maximum_extent);
    // The kernel probes connectors for the card's master only. If there is none, this program is the
    // master for a moment; what is on screen stays.
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_card_without_displays_is_no_failure_and_one_that_cannot_be_opened_is() {
        let card = "vgem".to_owned();
        assert!(is_no_display(&OpenError::NoKms { card }.into()));
        let closed = OpenError::Open {
            path: "/dev/dri/card0".into(),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        assert!(!is_no_display(&closed.into()));
        assert!(!is_no_display(&anyhow::anyhow!("something else")));
    }
}
