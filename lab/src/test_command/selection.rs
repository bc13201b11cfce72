//! Which packages' tests are built, with which features, and what fails when they fail.

use std::fmt;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::workspace::{LAB, Workspace};

/// The package that is compared with others, and the feature with which it links them.
const BENCHES: &str = "dmashare-bench";
const PEERS: &str = "dmashare-bench/peers";
/// The package whose locks a model checker can replace, and the test and feature with which it does.
const RUNTIME: &str = "dmashare";
const SHUTTLE: &str = "shuttle";

/// A part of the tests that is built by one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// Those that run in guests.
    InTheLab,
    /// The runtime's tests of threads in every order, with features of their own.
    EveryOrder,
    /// The lab's own, which start guests.
    OfTheLab,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InTheLab => "the tests in the lab",
            Self::EveryOrder => "the tests of threads in every order",
            Self::OfTheLab => "the lab's own tests",
        })
    }
}

/// One call of `cargo test --no-run`.
#[derive(Debug)]
pub(crate) struct Build {
    /// What it builds.
    pub(crate) part: Part,
    /// The arguments that select it.
    pub(crate) arguments: Vec<String>,
}

/// What is built and run.
#[derive(Debug)]
pub(crate) struct Selection {
    builds: Vec<Build>,
    documentation: Option<Vec<String>>,
}

impl Selection {
    /// The tests named `tests` of `packages`; all of either if none is named. `filtered` says that
    /// only tests of some names are run: building the runtime a second time is not part of that.
    ///
    /// # Errors
    /// When there is no such package or test.
    pub(crate) fn new(
        workspace: &Workspace,
        packages: &[String],
        tests: &[String],
        filtered: bool,
    ) -> Result<Self> {
        for package in packages {
            if !workspace.has_package(package) {
                bail!("this workspace has no package {package}");
            }
        }
        let names = workspace.package_names();
        let chosen: Vec<&str> = names
            .filter(|name| packages.is_empty() || packages.iter().any(|chosen| chosen == name))
            .collect();
        for test in tests {
            if !chosen
                .iter()
                .any(|package| workspace.has_test(package, test))
            {
                bail!("no selected package has a test {test}");
            }
        }
        // Of the tests that are named, those that a package has.
        let named = |package: &str| -> Vec<&str> {
            let named = tests.iter().map(String::as_str);
            named
                .filter(|test| workspace.has_test(package, test))
                .collect()
        };
        let mut builds = Vec::new();
        let mut add = |part, packages: &[&str], features: &[&str], tests: &[&str]| {
            let arguments = arguments(packages, features, tests);
            builds.push(Build { part, arguments });
        };

        let mut inside: Vec<&str> = chosen.iter().copied().filter(|name| *name != LAB).collect();
        let mut inside_tests = Vec::new();
        if !tests.is_empty() {
            inside.retain(|package| named(package).iter().any(|test| *test != SHUTTLE));
            inside_tests = inside.iter().flat_map(|package| named(package)).collect();
            inside_tests.retain(|test| *test != SHUTTLE);
            inside_tests.sort_unstable();
            inside_tests.dedup();
        }
        let features: &[&str] = if inside.contains(&BENCHES) {
            &[PEERS]
        } else {
            &[]
        };
        if !inside.is_empty() {
            add(Part::InTheLab, &inside, features, &inside_tests);
        }
        let every_order = chosen.contains(&RUNTIME) && workspace.has_test(RUNTIME, SHUTTLE);
        let wanted = if tests.is_empty() {
            !filtered
        } else {
            named(RUNTIME).contains(&SHUTTLE)
        };
        if every_order && wanted {
            add(Part::EveryOrder, &[RUNTIME], &[SHUTTLE], &[SHUTTLE]);
        }
        if chosen.contains(&LAB) && (tests.is_empty() || !named(LAB).is_empty()) {
            add(Part::OfTheLab, &[LAB], &[], &named(LAB));
        }

        let documented: Vec<&str> = inside
            .iter()
            .copied()
            .filter(|package| workspace.has_documentation_tests(package))
            .collect();
        let documentation = (tests.is_empty() && !documented.is_empty())
            .then(|| arguments(&documented, features, &[]));
        Ok(Self {
            builds,
            documentation,
        })
    }

    /// What is built before anything runs.
    pub(crate) fn builds(&self) -> &[Build] {
        &self.builds
    }

    /// The arguments that select the documentation tests, if there are any.
    pub(crate) fn documentation(&self) -> Option<&[String]> {
        self.documentation.as_deref()
    }
}

fn arguments(packages: &[&str], features: &[&str], tests: &[&str]) -> Vec<String> {
    let mut arguments = Vec::new();
    for (option, values) in [
        ("--package", packages),
        ("--features", features),
        ("--test", tests),
    ] {
        for value in values {
            arguments.extend([option.to_owned(), (*value).to_owned()]);
        }
    }
    arguments
}
