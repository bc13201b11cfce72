//! How the files of a crate depend on each other: folders are layers, and each imports only layers
//! below it. Reads the sources as text: `use crate::…` and paths that begin with `crate::`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates, each with its layers from the lowest to the highest. A layer is a folder with its
/// module file, or a single file at the root.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "runtime",
        &[
            // Ground: numbers, locks, the kernel.
            "access",
            "box_error",
            "caught_panic",
            "sys",
            "clock",
            "ids",
            "locks",
            "sync_mode",
            // What an image is; when it is ready; what it lies in; where that is.
            "image",
            "fence",
            "dmabuf",
            "memory",
            "negotiation",
            // Exporters of host memory.
            "host",
            "in_memory",
            // The contract.
            "buffer",
            "attachment",
            "submission",
            "shared_buffer",
            "residency",
            "route",
        ],
    ),
    (
        "vk-backend",
        &[
            "error",
            "failure",
            // What drivers say; an opened device; its queue, and images in its memory.
            "physical_device",
            "core",
            "queue",
            "image",
            "device",
        ],
    ),
    (
        "drm-backend",
        &[
            "sys",
            "plane_property",
            "error",
            // An open file, its GEM handles; framebuffers; what the kernel says of its objects.
            "device",
            "framebuffer",
            "kms",
            "card",
            "syncobj",
            "commit",
        ],
    ),
];

/// Files that import each other in a circle, and why they may.
const CIRCLES: &[(&str, &[&str], &str)] = &[(
    "drm-backend",
    &["card", "card/state", "card/held_buffer", "card/capture"],
    "a card's state holds the mappings that are on the screen, and those are mappings by a card",
)];

/// Where the workspace's sources are.
const FOLDERS: [&str; 6] = [
    "runtime",
    "vk-backend",
    "drm-backend",
    "samples",
    "benches",
    "lab",
];
/// The most `mod` lines at the root of the runtime.
const MODULES: usize = 25;
/// The most lines of a file.
const LINES: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Module name ("buffer/moving") and text of each file of a crate but its root.
fn files(package: &str) -> BTreeMap<String, String> {
    let folder = root().join(package).join("src");
    let mut found = Vec::new();
    sources(&folder, &mut found);
    let named = found.into_iter().map(|path| {
        let module = path.strip_prefix(&folder).unwrap().with_extension("");
        let module = module.to_str().unwrap().to_owned();
        (module, fs::read_to_string(path).unwrap())
    });
    named.filter(|(module, _)| module != "lib").collect()
}

/// The code without comments and unit tests.
fn code(text: &str) -> String {
    let tests = text.find("\nmod tests {").unwrap_or(text.len());
    let lines = text[..tests].lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// "a::{b, c::{d, e}}" as "a::b", "a::c::d", "a::c::e".
fn paths(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, inside)) = tree.split_once('{') else {
        return vec![tree.to_owned()];
    };
    let inside = inside.trim_end().strip_suffix('}').unwrap();
    let mut depth = 0;
    let separates = |character: char| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    };
    let parts = inside
        .split(separates)
        .filter(|part| !part.trim().is_empty());
    parts
        .flat_map(paths)
        .map(|path| format!("{before}{path}"))
        .collect()
}

/// Every path of this crate that a file names. Re-exports of a folder's own files do not count: they
/// only give a name to what is there.
fn named(module: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let mut all = Vec::new();
    let mut rest = String::new();
    let mut statement: Option<String> = None;
    for line in code.lines() {
        let trimmed = line.trim_start();
        if statement.is_none() && !trimmed.starts_with("use ") {
            let is_reexport = trimmed.starts_with("pub use ")
                || (trimmed.starts_with("pub(") && trimmed.contains(") use "));
            if !is_reexport {
                rest.push_str(line);
                rest.push('\n');
            }
            continue;
        }
        let mut use_tree = statement.take().unwrap_or_default();
        use_tree.push_str(trimmed);
        match use_tree.strip_suffix(';') {
            Some(tree) => all.extend(paths(tree.trim_start_matches("use "))),
            None => statement = Some(use_tree),
        }
    }
    let mut rest = rest.as_str();
    while let Some(start) = rest.find("crate::") {
        rest = &rest[start..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let (path, after) = rest.split_at(end.unwrap_or(rest.len()));
        all.push(path.to_owned());
        rest = after;
    }
    let parent = module
        .rsplit_once('/')
        .map_or("crate", |(parent, _)| parent);
    let absolute = |path: String| match path.strip_prefix("super::") {
        Some(path) => format!("crate::{}::{path}", parent.replace('/', "::")),
        None => path,
    };
    let crate_paths = all.into_iter().map(absolute);
    crate_paths
        .filter_map(|path| path.strip_prefix("crate::").map(str::to_owned))
        .collect()
}

/// For each file the files that it imports, and the paths that lead to none.
fn imports(package: &str) -> (BTreeMap<String, BTreeSet<String>>, Vec<String>) {
    let files = files(package);
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut through_the_root = Vec::new();
    for (module, text) in &files {
        let of_this = imports.entry(module.clone()).or_default();
        for path in named(module, text) {
            let segments: Vec<&str> = path.split("::").collect();
            let target = (1..=segments.len())
                .rev()
                .map(|length| segments[..length].join("/"))
                .find(|candidate| files.contains_key(candidate));
            match target {
                Some(target) if target == *module => {}
                Some(target) => {
                    of_this.insert(target);
                }
                None => through_the_root.push(format!("{package}: {module} names crate::{path}")),
            }
        }
    }
    (imports, through_the_root)
}

/// The sets of files that reach each other.
fn circles(imports: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<BTreeSet<String>> {
    let reachable = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut todo: Vec<&String> = imports[from].iter().collect();
        while let Some(next) = todo.pop() {
            if seen.insert(next.clone()) {
                todo.extend(&imports[next]);
            }
        }
        seen
    };
    let reach: BTreeMap<&String, BTreeSet<String>> =
        imports.keys().map(|file| (file, reachable(file))).collect();
    let circle = |file: &&String| -> BTreeSet<String> {
        let others = reach[*file].iter();
        others
            .filter(|other| reach[other].contains(*file))
            .cloned()
            .collect()
    };
    imports
        .keys()
        .map(|file| circle(&file))
        .filter(|circle| !circle.is_empty())
        .collect()
}

#[test]
fn no_folder_imports_one_above_it() {
    for (package, layers) in LAYERS {
        let layer = |module: &str| module.split('/').next().unwrap().to_owned();
        let height = |module: &str| {
            let layer = layer(module);
            let height = layers.iter().position(|known| *known == layer);
            height.unwrap_or_else(|| panic!("{package}: '{layer}' is in no list of layers"))
        };
        for (module, imported) in imports(package).0 {
            for other in imported
                .iter()
                .filter(|other| layer(other) != layer(&module))
            {
                assert!(
                    height(other) < height(&module),
                    "{package}: {module} imports {other}, which is above it"
                );
            }
        }
    }
}

#[test]
fn files_import_by_module_and_not_through_the_root() {
    for (package, _) in LAYERS {
        let through_the_root = imports(package).1;
        assert!(through_the_root.is_empty(), "{through_the_root:#?}");
    }
}

#[test]
fn no_files_import_each_other_in_a_circle_but_those_listed() {
    for (package, _) in LAYERS {
        let found = circles(&imports(package).0);
        let allowed = CIRCLES.iter().filter(|(of, ..)| of == package);
        let allowed: BTreeSet<BTreeSet<String>> = allowed
            .map(|(_, files, _)| files.iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(
            found, allowed,
            "{package}: the circles, and those that may be"
        );
    }
}

#[test]
fn the_root_of_the_runtime_is_a_short_table_of_contents() {
    let text = fs::read_to_string(root().join("runtime/src/lib.rs")).unwrap();
    let modules = text.lines().filter(|line| {
        let line = line
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ");
        line.starts_with("mod ")
    });
    let count = modules.count();
    assert!(count <= MODULES, "{count} modules at the root");
}

#[test]
fn file_names_are_unique_within_a_crate() {
    for (package, _) in LAYERS {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for module in files(package).into_keys() {
            let name = module.rsplit('/').next().unwrap().to_owned();
            if name == "error" || module.starts_with("sys/") {
                continue;
            }
            if let Some(other) = seen.insert(name, module.clone()) {
                panic!("{package}: {module} and {other} have the same name");
            }
        }
    }
}

#[test]
fn no_file_is_too_long_to_be_one_concept() {
    let mut found = Vec::new();
    for folder in FOLDERS {
        for part in ["src", "tests", "benches", "probe", "v4l2", "vulkan-calls"] {
            let folder = root().join(folder).join(part);
            if folder.exists() {
                sources(&folder, &mut found);
            }
        }
    }
    assert!(
        found.len() > 300,
        "the sources are not where they should be"
    );
    for path in found {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LINES, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_file_that_design_names_exists() {
    let mut found = Vec::new();
    for folder in FOLDERS {
        sources(&root().join(folder), &mut found);
    }
    let text = fs::read_to_string(root().join("DESIGN.md")).unwrap();
    // What stands between backticks is every second part.
    let quoted = text.split('`').skip(1).step_by(2);
    let named: Vec<&str> = quoted
        .filter(|name| name.ends_with(".rs") && !name.contains('*'))
        .collect();
    assert!(named.len() > 50, "{named:?}");
    for name in named {
        let exists = found.iter().any(|path| path.ends_with(name));
        assert!(exists, "DESIGN.md names {name}, and there is no such file");
    }
}

#[test]
fn paths_of_a_use_are_found() {
    assert_eq!(
        paths("crate::a::{b, c::{d, e}}"),
        ["crate::a::b", "crate::a::c::d", "crate::a::c::e"]
    );
    let text = "use crate::a::B;\npub use c::D;\n// crate::e::F\nlet x = crate::g::h();\nuse super::i::J;\n";
    assert_eq!(named("k/l", text), ["a::B", "k::i::J", "g::h"]);
    let circle =
        |files: &[&str]| -> BTreeSet<String> { files.iter().map(ToString::to_string).collect() };
    let imports = BTreeMap::from([
        ("a".to_owned(), circle(&["b"])),
        ("b".to_owned(), circle(&["c"])),
        ("c".to_owned(), circle(&["b"])),
    ]);
    assert_eq!(circles(&imports), BTreeSet::from([circle(&["b", "c"])]));
}
