//! Packages of Debian trixie and its backports, fetched by mmdebstrap, which finds a mirror itself
//! and leaves the host's own sources alone.

use std::path::Path;
use std::process::Command;

/// The suite; its backports are added to it.
const SUITE: &str = "trixie";

/// The variant of a root file system.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Variant {
    /// Nothing but package lists.
    Custom,
    /// The essential packages.
    MinBase,
}

/// mmdebstrap's arguments without the target: all that the root's content depends on, besides what
/// the mirror has today.
pub(crate) fn arguments(variant: Variant, options: &[String]) -> Vec<String> {
    let variant = match variant {
        Variant::Custom => "--variant=custom",
        Variant::MinBase => "--variant=minbase",
    };
    // The script itself, not its path: without root, mmdebstrap runs hooks as a subordinate user,
    // who cannot look into a private home folder.
    let add_backports = include_str!("../debian/add-backports.sh");
    let mut arguments = vec![
        "--verbose".to_owned(),
        "--format=tar".to_owned(),
        variant.to_owned(),
        format!("--setup-hook={add_backports}"),
    ];
    arguments.extend_from_slice(options);
    arguments.push(SUITE.to_owned());
    arguments
}

/// mmdebstrap with these [`arguments`], for a root that is written to the tar file `target`.
pub(crate) fn mmdebstrap(arguments: &[String], target: &Path) -> Command {
    let mut command = Command::new("mmdebstrap");
    command
        .args(arguments)
        .arg(target)
        // Its own messages are read by us.
        .env("LC_ALL", "C.UTF-8");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_need_no_file_that_another_user_must_read() {
        let arguments = arguments(Variant::MinBase, &["--include=x".to_owned()]);
        let hook = arguments
            .iter()
            .find_map(|argument| argument.strip_prefix("--setup-hook="))
            .unwrap();
        assert!(hook.contains("backports.list"), "{hook}");
        assert_eq!(arguments.last().unwrap(), SUITE);
    }
}
