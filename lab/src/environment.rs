//! The environment of a command in the guest: what of the caller's is passed on, and what the
//! guest needs.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::workspace;

/// Variables passed on by their whole name.
const NAMES: &[&str] = &[
    "CI",
    "COLORTERM",
    "LANG",
    "NO_COLOR",
    "RUST_BACKTRACE",
    "TERM",
];

/// Variables passed on by the beginning of their name.
const PREFIXES: &[&str] = &[
    "CARGO_",
    "CLICOLOR",
    "CRITERION_",
    "DMASHARE_",
    "INSTA_",
    "LC_",
    "LP_",
    "MESA_",
    "PROPTEST_",
    "RUSTDOC_",
    "RUST_",
    "VK_",
];

/// The environment for a command; `package` says whether the caller is cargo running something of
/// one package (then the variables that describe it are passed on).
pub(crate) fn for_command(
    caller: impl IntoIterator<Item = (OsString, OsString)>,
    package: bool,
) -> BTreeMap<String, OsString> {
    let fixed = [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOME", "/root"),
        ("USER", "root"),
        ("SHELL", "/bin/bash"),
        // Tests that need the lab's kernel ask for this.
        ("DMASHARE_LAB", "1"),
        // The other drivers of Mesa find no device here and only cost time.
        ("VK_DRIVER_FILES", "/usr/share/vulkan/icd.d/lvp_icd.json"),
        ("VK_LOADER_LAYERS_DISABLE", "~implicit~"),
        ("LANG", "C.UTF-8"),
    ];
    let mut environment: BTreeMap<String, OsString> = fixed
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    for (name, value) in caller {
        let Some(name) = name.to_str() else { continue };
        let wanted =
            NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if wanted && (package || !workspace::describes_one_package(name)) {
            environment.insert(name.to_owned(), value);
        }
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(names: &[&str], package: bool) -> BTreeMap<String, OsString> {
        let caller = names.iter().map(|name| ((*name).into(), "value".into()));
        for_command(caller, package)
    }

    #[test]
    fn only_what_concerns_the_guest_is_passed_on() {
        let environment = pass(&["RUST_LOG", "VK_X", "CI", "PATH", "SSH_AUTH_SOCK"], false);
        assert_eq!(environment["RUST_LOG"], "value");
        assert_eq!(environment["VK_X"], "value");
        assert_eq!(environment["CI"], "value");
        assert_ne!(environment["PATH"], "value");
        assert!(!environment.contains_key("SSH_AUTH_SOCK"));
        assert_eq!(environment["DMASHARE_LAB"], "1");
    }

    #[test]
    fn the_lab_is_not_mistaken_for_the_package_that_runs() {
        let names = ["CARGO_MANIFEST_DIR"];
        assert!(!pass(&names, false).contains_key("CARGO_MANIFEST_DIR"));
        assert!(pass(&names, true).contains_key("CARGO_MANIFEST_DIR"));
    }
}
