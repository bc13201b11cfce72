//! The program `info`: every Vulkan device and DRM node, and which of them can share memory.

mod drm;
mod error_chain;
mod exporters;
mod info_options;
mod info_report;
mod pairs;
mod unusable;
mod vulkan;

use anyhow::Result;
use dmashare_vk::{Device, Instance, InstanceOptions};

use crate::program::Outcome;
use crate::progress::Progress;
use drm::NodeReport;
use error_chain::chain;
use exporters::Source;
pub use info_options::Options;
use info_report::Report;
use pairs::{PairReport, Sink, SinkKind};
use unusable::Unusable;
use vulkan::VulkanReport;

/// Runs the program.
///
/// # Errors
/// A device or node that was there could not be examined. That there are none is no error.
pub fn run(options: &Options) -> Result<Outcome> {
    if options.schema {
        return Ok(Outcome {
            output: Report::schema()?,
            status: 0,
        });
    }
    let report = examine(options.measure)?;
    Ok(Outcome {
        output: match options.json {
            true => serde_json::to_string(&report)?,
            false => report.to_text(),
        },
        status: 0,
    })
}

fn examine(measure: bool) -> Result<Report> {
    let (instance, no_vulkan, vulkan_failed) = match Instance::new(&InstanceOptions::new("info")) {
        Ok(instance) => (Some(instance), None, false),
        // A machine without Vulkan may still have displays and heaps.
        Err(error) => {
            let failed = vulkan::is_failure(&error);
            (None, Some(chain(error)), failed)
        }
    };
    let devices = match &instance {
        Some(instance) => VulkanReport::all(instance)?,
        None => Vec::new(),
    };
    let nodes = NodeReport::all()?;
    let (cards, drm_nodes): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();

    let named = devices.iter().map(|(device, report)| {
        // Several devices may have the same name.
        let same = devices
            .iter()
            .filter(|(_, other)| other.name == report.name)
            .count();
        let name = match same {
            1 => format!("Vulkan {}", report.name),
            _ => format!("Vulkan {} {}", report.name, report.uuid),
        };
        (device.clone(), name)
    });
    let named: Vec<_> = named.collect();
    let (sources, mut unusable) = Source::all(&named, &drm_nodes);
    unusable.extend(drm::closed(&drm_nodes));
    let mut sinks = Vec::new();
    for (physical, name) in named {
        // A device of its own: what is shared with the exporter's device goes through a dma-buf.
        match Device::open(&physical) {
            Ok(device) => sinks.push(Sink {
                name,
                kind: SinkKind::Vulkan(device, physical),
            }),
            // As an exporter it is in the list already, if it failed then.
            Err(_) if unusable.iter().any(|other| other.name == name) => {}
            Err(error) => unusable.push(Unusable {
                name,
                failed: vulkan::is_failure(&error),
                reason: chain(error),
            }),
        }
    }
    for (card, node) in cards.into_iter().zip(&drm_nodes) {
        sinks.extend(card.map(|card| Sink {
            name: format!("{} {} display", node.path.display(), node.driver),
            kind: SinkKind::Card(card),
        }));
    }
    let mut pairs = Vec::new();
    let mut progress = Progress::new((sources.len() * sinks.len()) as u64, "pairs");
    for source in &sources {
        for sink in &sinks {
            progress.step();
            pairs.push(PairReport::of(source, sink, measure));
        }
    }
    let examination_errors = usize::from(vulkan_failed)
        + drm_nodes.iter().filter(|node| node.failed).count()
        + unusable.iter().filter(|unusable| unusable.failed).count();
    Ok(Report {
        dmashare: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: kernel(),
        vulkan_devices: devices.into_iter().map(|(_, report)| report).collect(),
        no_vulkan,
        drm_nodes,
        unusable,
        examination_errors,
        pairs,
    })
}

/// "Linux 6.12.107".
fn kernel() -> String {
    match nix::sys::utsname::uname() {
        Ok(name) => format!(
            "{} {}",
            name.sysname().to_string_lossy(),
            name.release().to_string_lossy()
        ),
        Err(error) => format!("unknown: {error}"),
    }
}
