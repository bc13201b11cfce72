//! Where set-up keeps what it built: outside the tree, each thing under a hash of its inputs.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::interrupt;

/// The cache's folder.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$DMASHARE_LAB_CACHE`, or `dmashare-lab` in `$XDG_CACHE_HOME` or in `~/.cache`; made if it
    /// is not there.
    ///
    /// # Errors
    /// When no home folder is known, the folder cannot be made, or its path holds a character
    /// that a kernel command line cannot carry.
    pub(crate) fn open() -> Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let root = if let Some(folder) = variable("DMASHARE_LAB_CACHE") {
            PathBuf::from(folder)
        } else if let Some(folder) = variable("XDG_CACHE_HOME") {
            Path::new(&folder).join("dmashare-lab")
        } else if let Some(home) = variable("HOME") {
            Path::new(&home).join(".cache/dmashare-lab")
        } else {
            bail!("no folder for the lab's cache: set DMASHARE_LAB_CACHE, XDG_CACHE_HOME or HOME");
        };
        fs::create_dir_all(&root)
            .with_context(|| format!("cannot make the cache folder {}", root.display()))?;
        let root = root.canonicalize()?;
        crate::mountable::check(&root)
            .context("the lab's cache cannot be there; set DMASHARE_LAB_CACHE to another folder")?;
        Ok(Self { root })
    }

    /// The cache's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the finished entry `kind` with `key` is, or will be.
    pub(crate) fn entry(&self, kind: &str, key: &str) -> PathBuf {
        self.root.join(format!("{kind}-{key}"))
    }

    /// The finished entry `kind` with `key`; built first by `build` if it is not there.
    ///
    /// `build` fills a folder that keeps its content over an interruption and becomes the entry
    /// when `build` has succeeded. Two set-ups at once wait for each other.
    ///
    /// # Errors
    /// Those of `build`; a file system's; an interrupt.
    pub(crate) fn build_once(
        &self,
        kind: &str,
        key: &str,
        build: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let entry = self.entry(kind, key);
        if entry.is_dir() {
            return Ok(entry);
        }
        let _lock = self.lock(kind)?;
        if entry.is_dir() {
            return Ok(entry);
        }
        let partial = self.root.join(format!("{kind}-{key}.partial"));
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot make {}", partial.display()))?;
        build(&partial)?;
        fs::rename(&partial, &entry)
            .with_context(|| format!("cannot rename {} when complete", partial.display()))?;
        Ok(entry)
    }

    /// Locks `name` until the guard is dropped; waits for another set-up that holds it.
    ///
    /// # Errors
    /// A file system's; an interrupt while waiting.
    pub(crate) fn lock(&self, name: &str) -> Result<Flock<File>> {
        let path = self.root.join(format!("{name}.lock"));
        let mut file = File::create(&path)
            .with_context(|| format!("cannot make the lock {}", path.display()))?;
        let mut told = false;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((back, Errno::EWOULDBLOCK)) => file = back,
                Err((_, errno)) => {
                    return Err(errno).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
            if !told {
                told = true;
                let _ = writeln!(
                    std::io::stderr(),
                    "lab: another set-up is at work on the {name}; waiting for it"
                );
            }
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A short name for a set of inputs: equal inputs, equal name.
pub(crate) fn key<'a>(inputs: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        // The length keeps ["ab", "c"] and ["a", "bc"] apart.
        hash.update(input.len().to_le_bytes());
        hash.update(input);
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        (folder, Cache { root })
    }

    #[test]
    fn key_depends_on_every_input_and_on_its_borders() {
        let one = key([b"ab".as_slice(), b"c"]);
        assert_eq!(one, key([b"ab".as_slice(), b"c"]));
        assert_ne!(one, key([b"a".as_slice(), b"bc"]));
        assert_ne!(one, key([b"ab".as_slice(), b"d"]));
    }

    #[test]
    fn an_interrupted_build_is_no_entry_and_goes_on_where_it_was() {
        let (_folder, cache) = cache();
        let failed = cache.build_once("kernel", "k", |partial| {
            fs::write(partial.join("half"), "1")?;
            bail!("interrupted")
        });
        assert!(failed.is_err());
        assert!(!cache.entry("kernel", "k").exists());
        let entry = cache
            .build_once("kernel", "k", |partial| {
                assert!(partial.join("half").exists());
                Ok(())
            })
            .unwrap();
        assert!(entry.join("half").exists());
        // Complete: never built again.
        cache
            .build_once("kernel", "k", |_| bail!("built twice"))
            .unwrap();
    }

    #[test]
    fn two_builds_at_once_build_once() {
        let (_folder, cache) = cache();
        let built = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    cache
                        .build_once("root", "r", |_| {
                            built.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            std::thread::sleep(Duration::from_millis(50));
                            Ok(())
                        })
                        .unwrap();
                });
            }
        });
        assert_eq!(built.into_inner(), 1);
    }
}
