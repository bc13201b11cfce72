//! The test executables that cargo builds.

use std::io::Read as _;
use std::io::Seek as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::inherited_child;
use crate::test_command::selection::{Build, Part};
use crate::workspace::{self, Workspace};

/// One executable with tests in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestExecutable {
    /// The executable.
    pub(crate) path: PathBuf,
    /// Its package.
    pub(crate) package: String,
    /// Its main source file, as the workspace's folder sees it.
    pub(crate) name: String,
    /// What fails when it fails.
    pub(crate) part: Part,
}

/// Builds what `build` selects, and returns the executables; `None` if that failed, which cargo has
/// said on our standard error.
///
/// # Errors
/// When cargo cannot be run or a signal interrupts us.
pub(crate) fn build(workspace: &Workspace, build: &Build) -> Result<Option<Vec<TestExecutable>>> {
    let mut messages = tempfile::tempfile().context("cannot make a file for cargo's messages")?;
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["test", "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .args(&build.arguments)
        .stdout(messages.try_clone().context("cannot duplicate a file")?);
    if !inherited_child::run(&mut cargo)?.success() {
        return Ok(None);
    }
    let mut text = String::new();
    messages
        .rewind()
        .and_then(|()| messages.read_to_string(&mut text))
        .context("cannot read cargo's messages")?;
    let executables = text
        .lines()
        .filter_map(|line| named_by(workspace, line, build.part));
    Ok(Some(executables.collect()))
}

/// The test executable that this message of cargo's is about.
fn named_by(workspace: &Workspace, message: &str, part: Part) -> Option<TestExecutable> {
    #[derive(Deserialize)]
    struct Artifact {
        manifest_path: PathBuf,
        target: Target,
        profile: Profile,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        src_path: PathBuf,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    let path = artifact.executable.filter(|_| artifact.profile.test)?;
    let source = &artifact.target.src_path;
    let name = source.strip_prefix(&workspace.root).unwrap_or(source);
    Some(TestExecutable {
        path,
        package: workspace.package_at(&artifact.manifest_path)?.to_owned(),
        name: name.display().to_string(),
        part,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_executables_are_told_from_programs_and_libraries() {
        let workspace = Workspace::sample();
        let message = r#"{"reason":"compiler-artifact","manifest_path":"/w/p/Cargo.toml",
            "target":{"name":"races","kind":["test"],"src_path":"/w/p/tests/races.rs"},
            "profile":{"test":true},"executable":"/t/races-0123"}"#;
        let named = |message: &str| named_by(&workspace, message, Part::InTheLab);
        let expected = TestExecutable {
            path: "/t/races-0123".into(),
            package: "p".to_owned(),
            name: "p/tests/races.rs".to_owned(),
            part: Part::InTheLab,
        };
        assert_eq!(named(message), Some(expected));
        assert_eq!(
            named(&message.replace("\"test\":true", "\"test\":false")),
            None
        );
        assert_eq!(named(&message.replace("\"/t/races-0123\"", "null")), None);
        assert_eq!(named(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
