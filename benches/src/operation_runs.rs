//! Operations that run a few times between marks: what the program `operation` does.
//!
//! It is part of this library so that `counters` can be the same program.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use dmashare_vulkan_calls::{COUNTS_VARIABLE, Counts};
use serde::{Deserialize, Serialize};

use crate::counters::{Calls, Steady, WARM_UP};
use crate::{By, Machine, Opened, Operation, OperationKind, Parameter};

/// What to run, and how often.
#[derive(Debug, Args)]
pub struct OperationArguments {
    /// What to do [default: everything]
    operations: Vec<OperationKind>,
    /// Who does it [default: everyone who can]
    #[arg(long)]
    by: Option<By>,
    /// Size of the images, for flips of a mode of the display, or a number of fences [default: the
    /// smallest measured]
    #[arg(long)]
    size: Option<Parameter>,
    /// How many times
    #[arg(long, default_value_t = 10)]
    times: usize,
    /// Count what each run takes, after ten that are not counted: allocations of this thread, bytes
    /// copied, and Vulkan calls if the layer that counts them is there
    #[arg(long)]
    counters: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What one side of an operation took.
#[derive(Debug, Serialize, Deserialize)]
pub struct OperationRuns {
    /// What was done.
    pub operation: String,
    /// By whom.
    pub by: String,
    /// At which size.
    pub size: String,
    /// How many times, besides what was not counted.
    pub times: usize,
    /// What each run took, if it was counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counted: Option<CountedRuns>,
}

/// What each of several runs took.
#[derive(Debug, Serialize, Deserialize)]
pub struct CountedRuns {
    /// Allocations of the thread that ran it, by Rust code.
    pub allocations: u64,
    /// Bytes that it copied, if it counts them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes_copied: Option<u64>,
    /// Vulkan calls of the whole process, if they were counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vulkan_calls: Option<Calls>,
    /// Of what some runs took more than is said here.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub differs: Vec<String>,
}

/// Someone who cannot do an operation.
#[derive(Debug, Serialize)]
struct Absent {
    operation: String,
    by: String,
    reason: String,
}

/// Runs what was asked for and writes to `output` what was done. `count_allocations` runs what it is
/// given and returns how often that allocated: only programs link an allocator that counts.
///
/// # Errors
/// When the machine lacks what it takes, or an operation fails.
pub fn run_operations(
    arguments: &OperationArguments,
    count_allocations: fn(&mut dyn FnMut()) -> u64,
    output: &mut impl Write,
) -> Result<()> {
    let machine = Machine::open()?;
    let operations = match arguments.operations.as_slice() {
        [] => OperationKind::all(),
        asked => asked,
    };
    let (mut done, mut absent) = (Vec::new(), Vec::new());
    for kind in operations {
        let sizes = kind.sizes(&machine)?;
        let size = arguments.size.or_else(|| sizes.first().copied());
        let size = size.context("there is no size")?;
        for &by in kind.sides() {
            if arguments.by.is_some_and(|wanted| wanted != by) {
                continue;
            }
            let operation = match kind.open(by, &machine, size)? {
                Opened::Ready(operation) => operation,
                Opened::Absent(reason) => {
                    if !arguments.json {
                        writeln!(output, "{kind} by {by}: cannot: {reason}")?;
                    }
                    absent.push(Absent {
                        operation: kind.to_string(),
                        by: by.to_string(),
                        reason,
                    });
                    continue;
                }
            };
            let mut runs = Runs {
                kind: *kind,
                by,
                operation,
                count_allocations,
                calls_file: env::var_os(COUNTS_VARIABLE).map(PathBuf::from),
            };
            let counted = if arguments.counters {
                Some(runs.count(arguments.times)?)
            } else {
                runs.run(arguments.times)?;
                None
            };
            if !arguments.json {
                writeln!(
                    output,
                    "{kind} by {by} at {size}: {} times",
                    arguments.times
                )?;
                if let Some(counted) = &counted {
                    writeln!(output, "  {}", serde_json::to_string(counted)?)?;
                }
            }
            done.push(OperationRuns {
                operation: kind.to_string(),
                by: by.to_string(),
                size: size.to_string(),
                times: arguments.times,
                counted,
            });
        }
    }
    if arguments.json {
        let device = machine.exporter().name();
        let all = serde_json::json!({ "device": device, "runs": done, "absent": absent });
        writeln!(output, "{all}")?;
    }
    Ok(())
}

/// One side of an operation.
struct Runs {
    kind: OperationKind,
    by: By,
    operation: Box<dyn Operation>,
    count_allocations: fn(&mut dyn FnMut()) -> u64,
    /// Where the layer counts Vulkan calls.
    calls_file: Option<PathBuf>,
}

impl Runs {
    fn mark(&self, what: &str) {
        mark(&format!("/{}/{}/{what}", self.kind, self.by));
    }

    fn run(&mut self, times: usize) -> Result<()> {
        // The first look of all makes the standard library try out the system call.
        self.mark("ready");
        for _ in 0..times {
            self.operation.prepare(1)?;
            self.mark("run-begins");
            self.operation.run()?;
            self.mark("run-ends");
            self.operation.settle()?;
            self.mark("run-settled");
        }
        Ok(())
    }

    fn count(&mut self, times: usize) -> Result<CountedRuns> {
        const ALLOCATIONS: &str = "allocations";
        const BYTES_COPIED: &str = "bytes copied";
        self.run(WARM_UP)?;
        let (mut vulkan, mut others) = (Vec::new(), Vec::new());
        for _ in 0..times {
            self.operation.prepare(1)?;
            let before = self.vulkan_calls()?;
            let mut result = Ok(());
            let allocations = (self.count_allocations)(&mut || result = self.operation.run());
            result?;
            let after = self.vulkan_calls()?;
            let mut other = BTreeMap::from([(ALLOCATIONS.to_owned(), allocations)]);
            if let Some(bytes) = self.operation.bytes_copied() {
                other.insert(BYTES_COPIED.to_owned(), bytes);
            }
            others.push(other);
            if let (Some(before), Some(after)) = (before, after) {
                vulkan.push(after.since(&before).0);
            }
            self.operation.settle()?;
        }
        let counted = !vulkan.is_empty();
        let (vulkan, others) = (Steady::of(&vulkan), Steady::of(&others));
        Ok(CountedRuns {
            allocations: others.calls.get(ALLOCATIONS).copied().unwrap_or(0),
            bytes_copied: others.calls.get(BYTES_COPIED).copied(),
            vulkan_calls: counted.then_some(vulkan.calls),
            differs: others.differs.into_iter().chain(vulkan.differs).collect(),
        })
    }

    fn vulkan_calls(&self) -> Result<Option<Counts>> {
        let read = |file: &PathBuf| {
            Counts::read(file).with_context(|| format!("cannot read {}", file.display()))
        };
        self.calls_file.as_ref().map(read).transpose()
    }
}

/// A system call that is easily found in a list of them.
fn mark(path: &str) {
    let _ = Path::new(path).exists();
}
