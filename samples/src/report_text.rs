//! A report for people, line by line.

use std::fmt::{Display, Write as _};

use crate::capture::Comparison;

/// Lines that begin with a name.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

impl Text {
    /// The lines, without what is blank at their end.
    pub(crate) fn into_string(mut self) -> String {
        self.0.truncate(self.0.trim_end().len());
        self.0
    }

    pub(crate) fn line(&mut self, name: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name:<14} {value}");
    }

    /// The line, if there is a value.
    pub(crate) fn maybe(&mut self, name: &str, value: &Option<impl Display>) {
        if let Some(value) = value {
            self.line(name, value);
        }
    }

    /// The lines of what was `captured` and compared.
    pub(crate) fn comparison(&mut self, captured: impl Display, comparison: &Comparison) {
        let (pixels, wrong) = (comparison.pixels_checked, comparison.pixel_errors);
        self.line(
            "checked",
            format_args!("{captured}, {pixels} pixels, {wrong} wrong"),
        );
        self.maybe("first error", &comparison.first_pixel_error);
    }
}
