//! The user ids that a user may give to processes in a namespace of his own: without root,
//! mmdebstrap makes a root file system with them.

use std::fs;

use anyhow::{Result, bail};
use nix::unistd::{User, geteuid};

/// How many ids of a kind mmdebstrap needs.
const NEEDED: u64 = 65536;

/// Where ids of users and of groups are given to users.
const FILES: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

/// The files that give the current user too few ids; none for root, who needs none.
pub(crate) fn lacking_files() -> Vec<&'static str> {
    if geteuid().is_root() {
        return Vec::new();
    }
    let name = user_name();
    FILES
        .into_iter()
        .filter(|file| {
            let text = fs::read_to_string(file).unwrap_or_default();
            !gives_enough(&text, &name)
        })
        .collect()
}

/// The current user's name, or the number where there is no name.
fn user_name() -> String {
    let user = geteuid();
    match User::from_uid(user) {
        Ok(Some(found)) => found.name,
        _ => user.to_string(),
    }
}

/// Whether `text`, lines of `user:first:count`, gives `name` enough ids. Users may be
/// numbers there, too, but mmdebstrap looks for names.
fn gives_enough(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let mut fields = line.trim().split(':');
        fields.next().is_some_and(|user| user == name)
            && fields
                .nth(1)
                .and_then(|count| count.parse::<u64>().ok())
                .is_some_and(|count| count >= NEEDED)
    })
}

/// What to do when ids are lacking.
pub(crate) fn advice() -> String {
    format!(
        "choose a range that no line of these files has and run: sudo usermod --add-subuids \
         100000-165535 --add-subgids 100000-165535 {}",
        user_name()
    )
}

/// Fails when the current user has too few ids.
///
/// # Errors
/// Names the files, and what to do.
pub(crate) fn check() -> Result<()> {
    let lacking = lacking_files();
    if !lacking.is_empty() {
        bail!(
            "without root, set-up needs a line for you with {NEEDED} ids in {}: {}",
            lacking.join(" and "),
            advice()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_of_the_user_with_enough_ids_will_do() {
        for text in ["me:100000:65536", "you:1:2\nme:100000:1000000\n"] {
            assert!(gives_enough(text, "me"), "{text}");
        }
        for text in [
            "",
            "you:100000:65536",
            "me:100000:100",
            "me:100000",
            "me:x:y",
        ] {
            assert!(!gives_enough(text, "me"), "{text}");
        }
    }

    #[test]
    fn the_advice_names_the_user() {
        assert!(advice().ends_with(&user_name()));
    }
}
