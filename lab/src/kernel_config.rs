//! The kernel options that the lab asks for, and whether a built configuration has them.

/// The options asked for: `kernel.config` of this package.
pub(crate) const ASKED: &str = include_str!("../kernel.config");

/// Every option of `asked` that `built` does not have as asked. The kernel's own configuration
/// step drops an option that lacks a dependency without a word.
pub(crate) fn not_as_asked(asked: &str, built: &str) -> Vec<String> {
    let built: Vec<&str> = built.lines().map(str::trim_end).collect();
    asked
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("CONFIG_"))
        .filter(|line| match line.strip_suffix("=n") {
            Some(option) => {
                let set = format!("{option}=");
                built.iter().any(|line| line.starts_with(&set))
            }
            None => !built.contains(line),
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: &str = "CONFIG_DRM=y\n# CONFIG_MODULES is not set\nCONFIG_NR_CPUS=8\n";

    #[test]
    fn options_as_asked_are_not_listed() {
        let asked = "# why\nCONFIG_DRM=y\nCONFIG_MODULES=n\nCONFIG_SSL=n\nCONFIG_NR_CPUS=8\n";
        assert_eq!(not_as_asked(asked, BUILT), Vec::<String>::new());
    }

    #[test]
    fn dropped_changed_and_unwanted_options_are_listed() {
        let asked = "CONFIG_DRM=n\nCONFIG_DRM_VKMS=y\nCONFIG_NR_CPUS=2\nCONFIG_DR=n\n";
        assert_eq!(
            not_as_asked(asked, BUILT),
            ["CONFIG_DRM=n", "CONFIG_DRM_VKMS=y", "CONFIG_NR_CPUS=2"]
        );
    }

    #[test]
    fn what_the_lab_is_for_is_asked_for() {
        for option in ["DRM_VKMS", "DRM_VGEM", "UDMABUF", "SW_SYNC", "FAILSLAB"] {
            assert!(ASKED.contains(&format!("CONFIG_{option}=y\n")), "{option}");
        }
    }
}
