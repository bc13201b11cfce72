//! `cargo lab test` in a small workspace: what it runs, shows and fails, and how it is interrupted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab_program::{expect_status, lab, processes_naming, stdout};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// A workspace of one package with these integration tests.
struct Tree {
    folder: TempDir,
}

impl Tree {
    fn new(tests: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = Self { folder };
        let write = |path: &str, text: &str| {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "Cargo.toml",
            "[package]\nname = \"small\"\nedition = \"2024\"\n",
        );
        write(
            "src/lib.rs",
            "//! ```\n//! assert_eq!(1 + 1, 2);\n//! ```\n",
        );
        for (name, text) in tests {
            write(&format!("tests/{name}.rs"), text);
        }
        fs::create_dir(tree.state()).unwrap();
        tree
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// Where the runs keep their state.
    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// `cargo lab test` in it.
    fn test(&self, arguments: &[&str]) -> Command {
        let mut command = lab(&["test", "--jobs", "2", "--no-validate"]);
        command
            .args(arguments)
            .current_dir(self.path())
            .env("TMPDIR", self.state())
            .env("CARGO_TARGET_DIR", self.path().join("target"));
        command
    }

    #[track_caller]
    fn expect_no_state(&self) {
        let left: Vec<_> = self.state().read_dir().unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_failure_is_shown_and_the_others_run() {
    let tree = Tree::new(&[
        (
            "fails",
            "#[test]\nfn it_fails() { panic!(\"here is why\"); }\n",
        ),
        ("passes", "#[test]\nfn it_passes() {}\n"),
        (
            "sweep",
            "#[test]\n#[ignore = \"long: all of them\"]\nfn it_is_long() {}\n",
        ),
    ]);
    let output = tree.test(&[]).output().unwrap();
    expect_status(&output, 1);
    let said = stdout(&output);
    for part in [
        "here is why",
        "test it_passes ... ok",
        "test it_is_long ... ignored, long: all of them",
        "tests/fails.rs  FAILED (exit status 101)",
        "tests/passes.rs  ok",
        "documentation  ok",
        "  tests/sweep.rs it_is_long (long: all of them)",
    ] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    assert!(
        said.ends_with("lab: FAILED: the tests in the lab\n"),
        "{said}"
    );
    tree.expect_no_state();

    // Without the one that fails, all is well; the long one runs when it is asked for.
    let output = tree
        .test(&["--long", "--json", "--test", "passes", "--test", "sweep"])
        .output()
        .unwrap();
    expect_status(&output, 0);
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["passed"], true, "{json}");
    assert_eq!(json["tier"], "long", "{json}");
    let executables = json["executables"].as_array().unwrap();
    assert_eq!(executables.len(), 2, "{json}");
    for executable in executables {
        assert_eq!(executable["left_out"], serde_json::json!([]), "{json}");
        // A guest does not start for nothing.
        assert!(
            executable["processor_seconds"].as_f64().unwrap() > 0.05,
            "{json}"
        );
    }
}

#[test]
fn what_does_not_compile_fails_the_run() {
    let tree = Tree::new(&[("broken", "#[test]\nfn it_is_broken() { nothing(); }\n")]);
    let output = tree.test(&[]).output().unwrap();
    expect_status(&output, 1);
    let said = stdout(&output);
    assert!(
        said.ends_with("lab: FAILED: the tests in the lab\n"),
        "{said}"
    );
    let output = tree.test(&["--test", "none"]).output().unwrap();
    expect_status(&output, 125);
}

#[test]
fn an_interrupt_ends_both_guests_and_leaves_nothing() {
    let hang = |name: &str| {
        format!(
            "#[test]\nfn it_hangs() {{\n    std::fs::write(\"{name}.begun\", \"\").unwrap();\n    \
             std::thread::sleep(std::time::Duration::from_secs(1000));\n}}\n"
        )
    };
    let tree = Tree::new(&[("one", &hang("one")), ("two", &hang("two"))]);
    let mut child = tree
        .test(&["--test", "one", "--test", "two"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = |name: &str| tree.path().join(name).exists();
    let started = Instant::now();
    while !(begun("one.begun") && begun("two.begun")) {
        assert!(started.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let left = |folder: &Path| processes_naming(folder);
    assert!(
        left(tree.folder.path()).is_empty(),
        "{:?}",
        left(tree.folder.path())
    );
    tree.expect_no_state();
}
