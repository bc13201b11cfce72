//! `cargo lab doctor`: what is there, what is missing, what to do.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use nix::sys::statvfs::statvfs;
use serde::Serialize;

use crate::cache::Cache;
use crate::guest::{Guest, GuestEnd};
use crate::guest_memory::MemorySize;
use crate::request::{CommandEnd, Request};
use crate::setup::Built;
use crate::workspace::Workspace;
use crate::{
    environment, guest_memory, host_packages, kernel, kernel_config, kernel_log, kernel_patches,
    root_file_system, subordinate_ids,
};

/// Room for kernel and root file system once they are built, with the kernel's source.
const CACHE_BYTES: u64 = 1 << 30;
/// Room in the cache that compiling the kernel needs besides, until it is done.
const BUILD_BYTES: u64 = 3 << 30;
/// Room in the target folder for what cargo builds for all subcommands.
const TARGET_BYTES: u64 = 5 << 30;

/// The guest's C library; a binary built against a newer one does not run there.
const GUEST_GLIBC: (u32, u32) = (2, 41);

/// Arguments of `cargo lab doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    /// Whether the lab can work with it.
    ok: bool,
    found: String,
    /// What to do, if anything.
    advice: Option<String>,
}

#[derive(Debug, Serialize)]
struct Diagnosis {
    findings: Vec<Finding>,
    doctor_errors: usize,
}

fn finding(what: &'static str, ok: bool, found: impl Into<String>, advice: &str) -> Finding {
    let advice = (!ok || !advice.is_empty()).then(|| advice.to_owned());
    Finding {
        what,
        ok,
        found: found.into(),
        advice,
    }
}

/// Looks at everything; returns 0 if the lab can work or can set itself up, else 1.
///
/// # Errors
/// When the result cannot be printed.
pub(crate) fn run(arguments: &DoctorArguments) -> Result<i32> {
    let findings = examine();
    let doctor_errors = findings.iter().filter(|finding| !finding.ok).count();
    let diagnosis = Diagnosis {
        findings,
        doctor_errors,
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&diagnosis)?);
    } else {
        for finding in &diagnosis.findings {
            let mark = if finding.ok { "ok     " } else { "MISSING" };
            println!("{mark}  {:16}  {}", finding.what, finding.found);
            if let Some(advice) = &finding.advice {
                println!("         {:16}  -> {advice}", "");
            }
        }
    }
    Ok(i32::from(doctor_errors > 0))
}

fn examine() -> Vec<Finding> {
    let mut findings = vec![architecture(), packages(), c_library(), memory()];
    findings.extend(user_ids());
    if let Ok(workspace) = Workspace::find() {
        findings.push(target_folder(&workspace));
    }
    match Cache::open() {
        Ok(cache) => {
            let built = Built {
                kernel: cache.entry("kernel", &kernel::key()),
                root: cache.entry("root", &root_file_system::key()).join("root"),
            };
            findings.push(cache_folder(&cache, &built));
            findings.push(kernel_built(&built.kernel));
            findings.push(root_built(&built.root));
            if built.kernel.is_dir() && built.root.is_dir() {
                findings.push(guest_starts(&built));
            }
        }
        Err(error) => findings.push(finding(
            "cache",
            false,
            format!("{error:#}"),
            "set DMASHARE_LAB_CACHE to a folder that you may write",
        )),
    }
    findings
}

fn architecture() -> Finding {
    let found = std::env::consts::ARCH;
    finding(
        "processor",
        found == "x86_64",
        found,
        if found == "x86_64" {
            ""
        } else {
            "user-mode Linux runs on x86_64 only"
        },
    )
}

fn packages() -> Finding {
    let missing = host_packages::missing();
    if missing.is_empty() {
        return finding("host programs", true, "all there", "");
    }
    let names: Vec<&str> = missing.iter().map(|needed| needed.what).collect();
    let found = format!("missing: {}", names.join(", "));
    let command = host_packages::install_command(&missing);
    let root = nix::unistd::geteuid().is_root();
    let advice = if root {
        format!("cargo lab setup installs them ({command})")
    } else {
        format!("sudo sh -c '{command}'")
    };
    finding("host programs", root, found, &advice)
}

/// Without root, the ids that mmdebstrap works with.
fn user_ids() -> Option<Finding> {
    if nix::unistd::geteuid().is_root() {
        return None;
    }
    let lacking = subordinate_ids::lacking_files();
    Some(if lacking.is_empty() {
        finding("subordinate ids", true, "enough", "")
    } else {
        let found = format!("too few for you in {}", lacking.join(" and "));
        finding("subordinate ids", false, found, &subordinate_ids::advice())
    })
}

fn c_library() -> Finding {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let text = output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    let version = text
        .strip_prefix("glibc ")
        .and_then(|version| version.split_once('.'))
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    match version {
        Some(version) if version <= GUEST_GLIBC => finding("C library", true, text, ""),
        Some(_) => finding(
            "C library",
            false,
            text,
            "binaries built here do not run in the guest, whose glibc is 2.41: build on a system \
             that is not newer",
        ),
        None => finding(
            "C library",
            false,
            "not glibc",
            "the guest runs glibc binaries: build with a -gnu target",
        ),
    }
}

fn memory() -> Finding {
    match guest_memory::folder(MemorySize::DEFAULT) {
        Ok(folder) => finding(
            "guest memory",
            true,
            format!("4 GiB in {}", folder.display()),
            "",
        ),
        Err(error) => finding(
            "guest memory",
            false,
            format!("{error:#}"),
            "make room, or run with --mem 1G",
        ),
    }
}

/// Starts a guest that does nothing: shows that this host lets user-mode Linux run.
fn guest_starts(built: &Built) -> Finding {
    let started = Instant::now();
    let guest = Guest {
        request: Request {
            command: vec!["true".into()],
            folder: "/".into(),
            environment: environment::for_command([], false),
            terminal: None,
            validate: false,
            displays: 1,
        },
        mounts: Vec::new(),
        memory: MemorySize::DEFAULT,
        cpus: 1,
        time_limit: Some(Duration::from_secs(30)),
        kernel_log: None,
    };
    let advice = "the host must allow seccomp filters and executable memory; cargo lab run -- true \
                  shows the kernel log";
    match guest.run(built, std::io::sink(), std::io::sink()) {
        Ok(report) => match report.end {
            GuestEnd::Command(CommandEnd::Exited(0)) => {
                let complaints = kernel_log::complaints(&report.kernel_log);
                if let Some(first) = complaints.first() {
                    let found = format!("the kernel complains: {first}");
                    return finding("guest", false, found, advice);
                }
                let seconds = started.elapsed().as_secs_f64();
                finding(
                    "guest",
                    true,
                    format!("starts and ends in {seconds:.1} s"),
                    "",
                )
            }
            end => finding("guest", false, format!("{end:?}"), advice),
        },
        Err(error) => finding("guest", false, format!("{error:#}"), advice),
    }
}

/// Free bytes in `folder`.
fn free_bytes(folder: &Path) -> u64 {
    statvfs(folder).map_or(0, |stat| stat.blocks_available() * stat.fragment_size())
}

fn cache_folder(cache: &Cache, built: &Built) -> Finding {
    let folder = cache.root();
    let free = free_bytes(folder);
    let needed = if built.kernel.is_dir() {
        0
    } else {
        CACHE_BYTES + BUILD_BYTES
    };
    let found = format!("{}, {} GiB free", folder.display(), free >> 30);
    if free >= needed {
        return finding("cache", true, found, "");
    }
    let advice = format!(
        "set-up needs {} GiB there while it compiles the kernel and {} GiB afterwards: make room, or \
         set DMASHARE_LAB_CACHE",
        needed >> 30,
        CACHE_BYTES >> 30
    );
    finding("cache", false, found, &advice)
}

/// What cargo builds may be there already, so little room is no error.
fn target_folder(workspace: &Workspace) -> Finding {
    let free = free_bytes(&workspace.target);
    let found = format!("{}, {} GiB free", workspace.target.display(), free >> 30);
    let advice = if free >= TARGET_BYTES {
        String::new()
    } else {
        format!(
            "all that cargo builds here takes about {} GiB",
            TARGET_BYTES >> 30
        )
    };
    finding("target folder", true, found, &advice)
}

fn kernel_built(kernel: &Path) -> Finding {
    if !kernel.is_dir() {
        let advice = "cargo lab setup builds it (about 5 minutes on 2 cores that do nothing else)";
        return finding("kernel", true, "not built yet", advice);
    }
    let read = |name| fs::read_to_string(kernel.join(name)).unwrap_or_default();
    let missing = kernel_config::not_as_asked(kernel_config::ASKED, &read("config"));
    if missing.is_empty() {
        let found = format!("{}, every option as asked", read("version").trim());
        let patches = kernel_patches::not_applied(kernel);
        if patches.is_empty() {
            return finding("kernel", true, found, "");
        }
        let found = format!("{found}; patches not applied: {}", patches.join(", "));
        let advice = "the kernel's source has changed since this version of the lab";
        finding("kernel", true, found, advice)
    } else {
        finding(
            "kernel",
            false,
            format!("not as asked: {}", missing.join(", ")),
            &format!("remove {} and run cargo lab setup", kernel.display()),
        )
    }
}

fn root_built(root: &Path) -> Finding {
    if !root.is_dir() {
        let advice = "cargo lab setup builds it (about 1 minute)";
        return finding("root", true, "not built yet", advice);
    }
    let driver = root.join("usr/share/vulkan/icd.d/lvp_icd.json");
    let ok = driver.exists();
    finding(
        "root",
        ok,
        root.display().to_string(),
        &if ok {
            String::new()
        } else {
            format!(
                "no Vulkan driver: remove {} and run cargo lab setup",
                root.display()
            )
        },
    )
}
