//! How large an operation is.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};

use crate::Size;

/// What an operation is measured at: an image's size, or how many things there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// The size of an image.
    Size(Size),
    /// A number of fences.
    Count(u32),
}

impl Parameter {
    /// The size of the images. Operations on a number of things use the smallest one that is measured.
    pub fn size(self) -> Size {
        match self {
            Self::Size(size) => size,
            Self::Count(_) => Size::COMMON[0],
        }
    }

    /// How many; an image is one.
    pub fn count(self) -> u32 {
        match self {
            Self::Size(_) => 1,
            Self::Count(count) => count,
        }
    }
}

impl From<Size> for Parameter {
    fn from(size: Size) -> Self {
        Self::Size(size)
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => size.fmt(f),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl FromStr for Parameter {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.contains('x') {
            return text.parse().map(Self::Size);
        }
        let count = text.parse();
        count
            .map(Self::Count)
            .with_context(|| format!("{text:?} is neither a size such as 1920x1080 nor a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_they_are_shown() {
        for parameter in [Parameter::Size(Size::new(3, 5)), Parameter::Count(32)] {
            assert_eq!(
                parameter.to_string().parse::<Parameter>().unwrap(),
                parameter
            );
        }
        for text in ["", "x", "-1", "3x", "many"] {
            assert!(text.parse::<Parameter>().is_err(), "{text}");
        }
    }
}
