//! The tests that a run leaves out: those marked `#[ignore = "long: ..."]`.

use serde::Serialize;

/// How the reason of a test begins that is left to `--long`.
const LONG: &str = "long: ";

/// A test that was not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct IgnoredTest {
    /// Its name.
    pub(crate) test: String,
    /// Why, as its attribute says.
    pub(crate) reason: String,
}

impl IgnoredTest {
    /// Whether `--long` runs it. There is no other good reason to leave out a test.
    pub(crate) fn is_long(&self) -> bool {
        self.reason.starts_with(LONG)
    }
}

/// The tests that the test harness says it has ignored.
pub(crate) fn listed_in(output: &str) -> Vec<IgnoredTest> {
    output
        .lines()
        .filter_map(|line| {
            let (test, rest) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
            let reason = match rest {
                "" => rest,
                _ => rest.strip_prefix(", ")?,
            };
            Some(IgnoredTest {
                test: test.to_owned(),
                reason: reason.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_tests_are_listed_with_their_reasons() {
        let output = "\nrunning 4 tests\ntest a ... ok\ntest b::c ... ignored, long: 64 buffers\n\
                      test d ... ignored\ntest e ... FAILED\n";
        let listed = listed_in(output);
        let names: Vec<_> = listed
            .iter()
            .map(|one| (one.test.as_str(), one.reason.as_str(), one.is_long()))
            .collect();
        assert_eq!(
            names,
            [("b::c", "long: 64 buffers", true), ("d", "", false)]
        );
    }
}
