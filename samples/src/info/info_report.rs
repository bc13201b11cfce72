//! What `info` says.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use schemars::JsonSchema;
use serde::Serialize;

use crate::info::drm::NodeReport;
use crate::info::pairs::{PairReport, SharedFormat};
use crate::info::unusable::Unusable;
use crate::info::vulkan::{VulkanFormat, VulkanReport};

/// The report; with `--json` its fields are the object's keys.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Report {
    /// The version of this program and of the library.
    pub(super) dmashare: String,
    /// The kernel and its version.
    pub(super) kernel: String,
    /// Every Vulkan device.
    pub(super) vulkan_devices: Vec<VulkanReport>,
    /// Why there are none, if Vulkan can't be used at all.
    pub(super) no_vulkan: Option<String>,
    /// Every DRM node.
    pub(super) drm_nodes: Vec<NodeReport>,
    /// Exporters and importers that can't be used, and why.
    pub(super) unusable: Vec<Unusable>,
    /// How many could not be examined although they are there: no permission, or a driver that
    /// fails. What is not there, and what lacks something, is no error.
    pub(super) examination_errors: usize,
    /// Every exporter with every importer.
    pub(super) pairs: Vec<PairReport>,
}

impl Report {
    /// The JSON schema of the report.
    pub(super) fn schema() -> serde_json::Result<String> {
        serde_json::to_string_pretty(&schemars::schema_for!(Self))
    }

    /// The report for people.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!(
            "dmashare {} on {}\n\nVulkan devices\n",
            self.dmashare, self.kernel
        );
        text += &table(
            ["device", "driver", "type", "exports", "imports"],
            self.vulkan_devices.iter().map(|device| {
                [
                    format!("{}\nuuid {}", device.name, device.uuid),
                    format!("{}\nVulkan {}", device.driver, device.vulkan),
                    device.device_type.clone(),
                    capable(&device.missing_for_export, device, |format| &format.export),
                    capable(&device.missing_for_import, device, |format| &format.import),
                ]
            }),
        );
        if let Some(reason) = &self.no_vulkan {
            text += &format!("none: {reason}\n");
        }
        text += "\nDRM nodes\n";
        text += &table(
            ["node", "driver", "outputs", "shows", "captures"],
            self.drm_nodes.iter().map(node),
        );
        text += "\nSharing, exporter to importer\n";
        text += &table(
            ["exporter", "importer", "route", "formats, or the reason"],
            self.pairs.iter().map(pair),
        );
        for Unusable { name, reason, .. } in &self.unusable {
            text += &format!("{name}: {reason}\n");
        }
        if self.examination_errors > 0 {
            text += &format!("{} could not be examined\n", self.examination_errors);
        }
        text.truncate(text.trim_end().len());
        text
    }
}

fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width())
        .set_header(header);
    for row in rows {
        table.add_row(row);
    }
    format!("{table}\n")
}

/// Columns of the terminal, as far as the shell tells.
fn width() -> u16 {
    let columns = std::env::var("COLUMNS").ok();
    columns
        .and_then(|columns| columns.parse().ok())
        .unwrap_or(120)
}

/// What a device can export or import, or what it lacks.
fn capable(
    missing: &[&str],
    device: &VulkanReport,
    uses: impl Fn(&VulkanFormat) -> &Vec<&'static str>,
) -> String {
    if !missing.is_empty() {
        return format!("nothing: lacks {}", missing.join(", "));
    }
    let mut formats: Vec<&str> = device
        .formats
        .iter()
        .filter(|format| !uses(format).is_empty())
        .map(|format| format.format.as_str())
        .collect();
    formats.dedup();
    let mut modifiers: Vec<&str> = device
        .formats
        .iter()
        .map(|format| format.modifier.as_str())
        .collect();
    modifiers.sort_unstable();
    modifiers.dedup();
    format!("{}\nmodifiers {}", formats.join(" "), modifiers.join(" "))
}

fn node(node: &NodeReport) -> [String; 5] {
    let mut row = [
        format!("{}\n{}", node.path.display(), node.device_number),
        node.driver.clone(),
        String::new(),
        String::new(),
        String::new(),
    ];
    match (&node.card, &node.no_card) {
        (Some(card), _) => {
            let outputs = card.outputs.iter().map(|output| {
                let mode = output.preferred_mode.as_deref().unwrap_or("no mode");
                match output.connected {
                    true => format!("{} {mode}", output.name),
                    false => format!("{} not connected", output.name),
                }
            });
            row[2] = outputs.collect::<Vec<_>>().join("\n");
            let formats: Vec<&str> = card.formats.iter().map(|f| f.format.as_str()).collect();
            row[3] = formats.join(" ");
            let writeback = card.outputs.iter().map(|output| output.writeback.join(" "));
            row[4] = writeback.collect::<Vec<_>>().join("\n");
        }
        (None, Some(reason)) => row[2] = reason.clone(),
        (None, None) => row[2] = format!("{} node", node.kind),
    }
    row
}

fn pair(pair: &PairReport) -> [String; 4] {
    let named = |shared: &SharedFormat| {
        let mut text = shared.format.clone();
        if shared.modifier != "LINEAR" {
            text += &format!(":{}", shared.modifier);
        }
        if let Some(frame) = &shared.frame {
            text += &format!(" ({:.1} us", frame.microseconds);
            if frame.bytes_copied > 0 {
                text += &format!(", {} bytes copied", frame.bytes_copied);
            }
            text += ")";
        }
        text
    };
    let direct = pair.formats.iter().filter(|shared| shared.shadow.is_none());
    let mut lines = vec![direct.map(named).collect::<Vec<_>>().join(" ")];
    for shared in &pair.formats {
        if let Some(shadow) = &shared.shadow {
            lines.push(format!("{} by {shadow}", named(shared)));
        }
    }
    lines.extend(pair.reason.clone());
    if pair.reason.is_none() {
        // Formats that fail for the same reason share a line.
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for refusal in &pair.refused {
            match reasons
                .iter_mut()
                .find(|(reason, _)| *reason == refusal.reason)
            {
                Some((_, formats)) => formats.push(&refusal.format),
                None => reasons.push((&refusal.reason, vec![&refusal.format])),
            }
        }
        let told = reasons.into_iter();
        lines.extend(told.map(|(reason, of)| format!("but not {}: {reason}", of.join(" "))));
    }
    lines.retain(|line| !line.is_empty());
    let has_shadow = pair.formats.iter().any(|shared| shared.shadow.is_some());
    let route = match (pair.direct, has_shadow) {
        (true, false) => "direct",
        (true, true) => "direct, shadow",
        (false, true) => "shadow",
        (false, false) => "none",
    };
    [
        pair.exporter.clone(),
        pair.importer.clone(),
        route.to_owned(),
        lines.join("\n"),
    ]
}
