//! Every program with few file descriptors: it works, or says what failed. It never panics, and no
//! dma-buf is left over.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{Said, program};

/// The programs, and what they are asked for.
const PROGRAMS: [(&str, &[&str]); 6] = [
    ("share", &["--frames", "1", "--extent", "64x64"]),
    (
        "share",
        &["--frames", "1", "--extent", "64x64", "--process"],
    ),
    ("scanout", &["--frames", "2"]),
    ("evict", &["--frames", "2"]),
    ("camera", &["--frames", "2"]),
    ("info", &[]),
];

/// Runs a program with room for `descriptors`, its standard streams among them.
fn run_with(descriptors: usize, name: &str, arguments: &[&str]) -> Said {
    let script = format!(r#"ulimit -n {descriptors} && exec "$0" "$@""#);
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .arg(program(name).get_program());
    Said::of(command.args(arguments).output().unwrap())
}

fn try_each(descriptors: impl Iterator<Item = usize> + Clone) {
    let (mut worked, mut failed) = (0, 0);
    for (name, arguments) in PROGRAMS {
        for descriptors in descriptors.clone() {
            let said = run_with(descriptors, name, arguments);
            let what = format!("{name} with {descriptors} descriptors: {said:?}");
            assert!(!said.stderr.contains("panicked"), "{what}");
            match said.status {
                Some(0) => worked += 1,
                Some(1 | 2) => {
                    assert!(said.stderr.contains(&format!("{name}: ")), "{what}");
                    failed += 1;
                }
                // The loader of shared libraries.
                Some(127) => failed += 1,
                _ => panic!("{what}"),
            }
        }
    }
    assert!(worked > 0 && failed > 0, "{worked} worked, {failed} failed");
}

#[test]
fn programs_with_few_descriptors_say_what_failed() {
    try_each([5, 12, 18, 23, 32, 64].into_iter());
}

#[test]
#[ignore = "long: every number of descriptors"]
fn programs_with_any_number_of_descriptors_say_what_failed() {
    try_each(3..72);
}
