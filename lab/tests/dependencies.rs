//! Which way the packages depend on each other, and under what licences the rest comes. Works
//! offline: it reads `cargo metadata` only. `deny.toml` has the same rules for `cargo deny`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

fn metadata() -> Value {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            // Offline, cargo knows only the packages that it has downloaded to build here.
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
            "--manifest-path",
            manifest,
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// For each package of this workspace, the packages that it links (not those of its tests).
fn links(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (text(node, "id"), node))
        .collect();
    let direct = |id: &str| -> Vec<&str> {
        let is_normal = |dep: &&Value| {
            dep["dep_kinds"]
                .as_array()
                .unwrap()
                .iter()
                .any(|kind| kind["kind"].is_null())
        };
        nodes[id]["deps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(is_normal)
            .map(|dep| text(dep, "pkg"))
            .collect()
    };
    let mut result = BTreeMap::new();
    for member in metadata["workspace_members"].as_array().unwrap() {
        let member = member.as_str().unwrap();
        let mut seen = BTreeSet::new();
        let mut todo = direct(member);
        while let Some(id) = todo.pop() {
            if seen.insert(names[id].to_owned()) {
                todo.extend(direct(id));
            }
        }
        result.insert(names[member].to_owned(), seen);
    }
    result
}

#[test]
fn dependencies_point_one_way() {
    let links = links(&metadata());
    let forbidden: &[(&str, &[&str])] = &[
        (
            "dmashare",
            &[
                "ash",
                "drm",
                "drm-ffi",
                "gpu-allocator",
                "anyhow",
                "dmashare-vk",
                "dmashare-drm",
            ],
        ),
        ("dmashare-vk", &["drm", "drm-ffi", "anyhow", "dmashare-drm"]),
        (
            "dmashare-drm",
            &["ash", "gpu-allocator", "anyhow", "dmashare-vk"],
        ),
        (
            "dmashare-lab",
            &["dmashare", "dmashare-vk", "dmashare-drm", "ash", "drm"],
        ),
        (
            "dmashare-lab-probe",
            &["dmashare", "dmashare-vk", "dmashare-drm", "anyhow"],
        ),
        (
            "dmashare-v4l2",
            &[
                "ash",
                "drm",
                "drm-ffi",
                "anyhow",
                "dmashare-vk",
                "dmashare-drm",
            ],
        ),
        // It counts what the others do, and so has no part in it.
        (
            "dmashare-vulkan-calls",
            &["dmashare", "dmashare-vk", "dmashare-drm", "anyhow"],
        ),
    ];
    for package in ["dmashare", "dmashare-vk", "dmashare-drm", "dmashare-v4l2"] {
        assert!(
            !links[package].contains("dmashare-lab-probe"),
            "{package} links the probe outside its tests"
        );
    }
    for (package, never) in forbidden {
        for other in *never {
            assert!(
                !links[*package].contains(*other),
                "{package} must not link {other}"
            );
        }
    }
    for package in ["dmashare-vk", "dmashare-drm", "dmashare-v4l2"] {
        assert!(
            links[package].contains("dmashare"),
            "{package} must build on dmashare"
        );
    }
    for (package, links) in &links {
        assert!(
            !links.contains("dmashare-samples") && !links.contains("dmashare-bench"),
            "{package} links a leaf"
        );
    }
}

#[test]
fn every_licence_may_be_linked() {
    const ALLOWED: &[&str] = &[
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "Unicode-3.0",
        "Unlicense",
        "Zlib",
    ];
    // Licence expressions here are "A OR B", "A AND B", "(A OR B) AND C", "A/B".
    let allowed = |expression: &str| {
        expression
            .replace(['(', ')'], "")
            .split(" AND ")
            .all(|all| {
                all.replace('/', " OR ")
                    .split(" OR ")
                    .any(|one| ALLOWED.contains(&one.trim()))
            })
    };
    for package in metadata()["packages"].as_array().unwrap() {
        let licence = text(package, "license");
        assert!(
            allowed(licence),
            "{} is under {licence:?}",
            text(package, "name")
        );
    }
}

#[test]
fn no_dependency_needs_a_newer_compiler_than_we_promise() {
    // 1.88 and 1.88.0 are the same.
    fn version(text: &str) -> [u32; 3] {
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        std::array::from_fn(|_| parts.next().unwrap_or(0))
    }
    assert!(version("1.88.0") <= version("1.88") && version("1.88.1") > version("1.88"));
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages
        .iter()
        .find(|package| text(package, "name") == "dmashare")
        .unwrap();
    let promised = version(text(ours, "rust_version"));
    for package in packages {
        let needed = text(package, "rust_version");
        assert!(
            version(needed) <= promised,
            "{} needs Rust {needed}",
            text(package, "name")
        );
    }
}
