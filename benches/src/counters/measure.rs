//! Everything is counted, in two runs of the program `operation`: starting a driver takes longer than
//! the operations.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::strace::{Trace, WAKES_NOBODY};
use super::vulkan_layer::VulkanLayer;
use super::{Counters, FLIP_EVENT, program};
use crate::{OperationKind, OperationRuns};

/// How many runs are counted.
const RUNS: usize = 10;

/// Runs of these meet work of the driver: an image's first release, a copy.
const WAIT_FOR_THE_DRIVER: [OperationKind; 3] = [
    OperationKind::FirstUse,
    OperationKind::CopyGpu,
    OperationKind::CopyStaging,
];

/// What `operation` prints.
#[derive(Debug, Deserialize)]
struct Output {
    runs: Vec<OperationRuns>,
}

/// Counts what everyone who can takes for each operation at its smallest size, from outside:
/// `operation` is the program of that name, and arguments that go before those of this function.
///
/// # Errors
/// Without strace or the layer, or when an operation fails.
pub fn measure(operation: &[OsString]) -> Result<Vec<Counters>> {
    let output = with_layer(operation)?;
    let trace = Trace::of(operation, RUNS)?;
    let mut all = Vec::new();
    for run in output.runs {
        let OperationRuns { operation, by, .. } = run;
        let mark = |what: &str| format!("/{operation}/{by}/{what}");
        let (begins, ends) = (mark("run-begins"), mark("run-ends"));
        let mut system = trace.steady(&begins, &ends, RUNS)?;
        if WAIT_FOR_THE_DRIVER
            .iter()
            .any(|kind| operation == kind.to_string())
        {
            // The driver's own: as many as its threads happen to meet.
            system.calls.remove(WAKES_NOBODY);
        }
        let counted = run.counted.context("operation did not count")?;
        let event = if operation == OperationKind::Flip.to_string() {
            Some(trace.steady(&ends, &mark("run-settled"), RUNS)?)
        } else {
            None
        };
        all.push(Counters {
            operation,
            by: by.clone(),
            system_calls: Some(system.calls),
            vulkan_calls: counted.vulkan_calls,
            allocations: Some(counted.allocations),
            bytes_copied: counted.bytes_copied,
            differs: system.differs.into_iter().chain(counted.differs).collect(),
            library_only: Vec::new(),
        });
        if let Some(event) = event {
            all.push(Counters {
                operation: FLIP_EVENT.to_owned(),
                by,
                system_calls: Some(event.calls),
                vulkan_calls: None,
                allocations: None,
                bytes_copied: None,
                differs: event.differs,
                library_only: Vec::new(),
            });
        }
    }
    let place = |one: &Counters| {
        let is_event = one.operation == FLIP_EVENT;
        let operation = if is_event { "flip" } else { &*one.operation };
        (OperationKind::named(operation), is_event)
    };
    all.sort_by_key(place);
    Ok(all)
}

fn with_layer(operation: &[OsString]) -> Result<Output> {
    let layer = VulkanLayer::new()?;
    let (name, arguments) = operation.split_first().context("no program was named")?;
    let mut command = Command::new(name);
    command
        .args(arguments)
        .args(["--counters", "--json", "--times", &RUNS.to_string()]);
    layer.add_to(&mut command);
    let output = program::output(&mut command)?;
    // Drivers may have said something before.
    let answer = output.lines().last().unwrap_or_default();
    serde_json::from_str(answer).context("cannot read what operation answers")
}
