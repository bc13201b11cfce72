//! `cargo lab soak`: the sample `evict` for a long time, undisturbed and disturbed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::run_command::{self, Caller, GuestOptions};
use crate::setup;
use crate::workspace::Workspace;

/// Arguments of `cargo lab soak`.
#[derive(Debug, Args)]
pub(crate) struct SoakArguments {
    /// Frames of each run
    #[arg(long, value_name = "N", default_value = "2000")]
    frames: u32,
    /// Seed of what is random; each run prints how to repeat it
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Time limit of each run
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    timeout: u32,
}

/// Runs `evict` with more and more interference; returns the exit status.
///
/// # Errors
/// When set-up fails, or a guest cannot be started.
pub(crate) fn run(arguments: &SoakArguments) -> Result<i32> {
    setup::ensure()?;
    let workspace = Workspace::find()?;
    let evict = workspace.build("evict", true)?;
    let evict = evict.context("this workspace has no program evict")?;
    // Where threads interfere, they do so at the same time.
    let runs: [(&str, &[&str], u32); 3] = [
        ("by itself", &[], 1),
        ("disturbed", &["--disturb"], 2),
        (
            "disturbed, one in twenty allocations and copies failing",
            &["--disturb", "--faults", "50"],
            2,
        ),
    ];
    let mut failed = Vec::new();
    for (what, options, cpus) in runs {
        let mut command = vec![evict.clone().into_os_string()];
        let frames = arguments.frames.to_string();
        let seed = arguments.seed.to_string();
        command.extend(["--frames", &frames, "--seed", &seed].map(Into::into));
        command.extend(options.iter().map(Into::into));
        let words: Vec<_> = command[1..]
            .iter()
            .map(|word| word.display().to_string())
            .collect();
        println!("lab: soak: {what}: evict {}", words.join(" "));
        let started = Instant::now();
        let guest = GuestOptions {
            timeout: Some(Duration::from_secs(arguments.timeout.into())),
            env: vec![("DMASHARE_PROGRESS".to_owned(), "lines".to_owned())],
            validate: true,
            cpus,
            ..GuestOptions::default()
        };
        let status = run_command::run_in_guest(
            &workspace,
            guest,
            command,
            Caller::Person,
            std::io::stdout(),
            std::io::stderr(),
        )?;
        println!(
            "lab: soak: {what}: {} after {:.0} s\n",
            if status == 0 { "ok" } else { "FAILED" },
            started.elapsed().as_secs_f64()
        );
        if status != 0 {
            failed.push(what);
        }
    }
    if !failed.is_empty() {
        bail!("soak failed: {}", failed.join("; "));
    }
    Ok(0)
}
