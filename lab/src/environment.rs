//! The environment of a command in the guest: what of the caller's is passed on, and what the
//! guest needs.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::workspace;

/// Variables passed on by their whole name.
const NAMES: &[&str] = &["CI", "COLORTERM", "NO_COLOR", "RUST_BACKTRACE", "TERM"];

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

/// Variables of the Vulkan loader and Mesa that choose among the host's files and devices, which the
/// guest does not have.
const OF_THE_HOST: &[&str] = &[
    "MESA_LOADER_DRIVER_OVERRIDE",
    "MESA_VK_DEVICE_SELECT",
    "VK_ADD_DRIVER_FILES",
    "VK_ADD_LAYER_PATH",
    "VK_ICD_FILENAMES",
    "VK_LAYER_PATH",
    "VK_LOADER_DEVICE_SELECT",
    "VK_LOADER_DRIVERS_DISABLE",
    "VK_LOADER_DRIVERS_SELECT",
];

/// The environment for a command; `package` says whether the caller is cargo running something of
/// one package (then the variables that describe it are passed on). What the guest needs wins over
/// the caller's.
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
        // Mesa writes its shader cache from a thread of its own, and tests that count open files would
        // see those files come and go. In a guest the cache serves one run anyway.
        ("MESA_SHADER_CACHE_DISABLE", "true"),
        // A page that is touched for the first time costs tens of microseconds here: memory that was
        // freed is kept for the next allocation.
        (
            "GLIBC_TUNABLES",
            "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=1073741824",
        ),
    ];
    let mut environment = BTreeMap::new();
    for (name, value) in caller {
        let Some(name) = name.to_str() else { continue };
        let wanted =
            NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let usable = !OF_THE_HOST.contains(&name);
        if wanted && usable && (package || !workspace::describes_one_package(name)) {
            environment.insert(name.to_owned(), value);
        }
    }
    let fixed = fixed.map(|(name, value)| (name.to_owned(), value.into()));
    environment.extend(fixed);
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
    fn a_host_with_a_driver_of_its_own_does_not_hide_the_guests() {
        let names = [
            "VK_DRIVER_FILES",
            "VK_ICD_FILENAMES",
            "LANG",
            "DMASHARE_LAB",
        ];
        let environment = pass(&names, true);
        let driver = environment["VK_DRIVER_FILES"].to_str().unwrap();
        assert!(driver.ends_with("lvp_icd.json"), "{driver}");
        assert!(!environment.contains_key("VK_ICD_FILENAMES"));
        assert_eq!(environment["LANG"], "C.UTF-8");
        assert_eq!(environment["DMASHARE_LAB"], "1");
    }

    #[test]
    fn the_lab_is_not_mistaken_for_the_package_that_runs() {
        let names = ["CARGO_MANIFEST_DIR"];
        assert!(!pass(&names, false).contains_key("CARGO_MANIFEST_DIR"));
        assert!(pass(&names, true).contains_key("CARGO_MANIFEST_DIR"));
    }
}
