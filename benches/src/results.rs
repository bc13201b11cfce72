//! What is measured beside criterion's own figures, in files next to them.
//!
//! Below criterion's output folder lies `dmashare`, with one JSON file for each thing that was found:
//! `pairs/OPERATION.BY.SIZE.json` ([`PairedSamples`]) `absent/OPERATION.BY.json` ([`Absence`]),
//! `machine.json` ([`MachineFacts`](crate::MachineFacts)), and `threads.json`
//! ([`ThreadsRanOn`](crate::report::ThreadsRanOn)).

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One side of an operation at one size, measured in turns with another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedSamples {
    /// What was done.
    pub operation: String,
    /// By whom.
    pub by: String,
    /// In turns with whom.
    pub beside: String,
    /// At which size.
    pub size: String,
    /// Nanoseconds that a run took, and that a run of the other took at the same time.
    pub samples: Vec<(f64, f64)>,
}

/// Someone cannot do an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// What.
    pub operation: String,
    /// Who.
    pub by: String,
    /// Why, as a sentence without a full stop.
    pub reason: String,
}

/// The folder of the files.
#[derive(Debug, Clone)]
pub struct Results(PathBuf);

impl Results {
    /// Next to criterion's results in `criterion`.
    pub fn beside(criterion: &Path) -> Self {
        Self(criterion.join("dmashare"))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Keeps paired samples, in place of earlier ones.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_pairs(&self, pairs: &PairedSamples) -> Result<()> {
        let PairedSamples {
            operation,
            by,
            size,
            ..
        } = pairs;
        self.keep(&format!("pairs/{operation}.{by}.{size}.json"), pairs)
    }

    /// Forgets that someone could not do something.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget_absence(&self, operation: &str, by: &str) -> Result<()> {
        let path = self.0.join(format!("absent/{operation}.{by}.json"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Keeps that someone cannot do something.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_absence(&self, absence: &Absence) -> Result<()> {
        let Absence { operation, by, .. } = absence;
        self.keep(&format!("absent/{operation}.{by}.json"), absence)
    }

    /// Writes one file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, name: &str, content: &impl Serialize) -> Result<()> {
        let path = self.0.join(name);
        let folder = path.parent().context("a file is in a folder")?;
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, serde_json::to_vec_pretty(content)?))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let results = Results::beside(folder.path());
        let pairs = PairedSamples {
            operation: "import".to_owned(),
            by: "dmashare".to_owned(),
            beside: "floor".to_owned(),
            size: "256x256".to_owned(),
            samples: vec![(1.5, 1.0)],
        };
        results.keep_pairs(&pairs).unwrap();
        let text = fs::read(results.folder().join("pairs/import.dmashare.256x256.json"));
        let read: PairedSamples = serde_json::from_slice(&text.unwrap()).unwrap();
        assert_eq!(read, pairs);
    }
}
