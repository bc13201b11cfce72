//! What a program has left behind: descriptors of its own, and dma-bufs that outlive it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use dmashare_lab_probe::read_bufinfo;

use crate::report_text::Text;

/// How long the kernel may take to let go of what was closed.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// The descriptors of this process that are open on devices, dma-bufs, sync_files, sockets, memfds
/// and the like, with what each is open on. Files with a path outside of `/dev` are left out: Vulkan's
/// layers and drivers keep logs and caches open for as long as the process lives.
///
/// # Errors
/// `/proc` is not mounted, or the process has no descriptor left to read it with.
pub fn open_files() -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // A thread of the driver may have closed it meanwhile.
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        // "/memfd:NAME" and "/dmabuf:NAME" look like paths and are none.
        if target.starts_with("/dev/") || !(target.starts_with('/') && Path::new(&target).exists())
        {
            files.insert(entry.file_name().to_string_lossy().into_owned(), target);
        }
    }
    Ok(files)
}

/// What must be the same at the end as it was at the beginning.
#[derive(Clone, Debug)]
pub struct Baseline {
    files: BTreeMap<String, String>,
    /// dma-bufs of drivers that this program uses, by inode. The kernel does not give a number twice.
    inodes: Vec<u64>,
    /// What the names of this program's own begin with.
    names: Vec<String>,
    /// What another process has left open.
    left_elsewhere: Vec<String>,
}

/// What is not as it was. Every report has these fields as keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Leaks {
    /// Descriptors that are open and were not before.
    pub fds_leaked: u64,
    /// What they are open on.
    pub files_left: Vec<String>,
    /// dma-bufs of this program that still exist. `None` where the kernel's list can't be read
    /// (see [`read_bufinfo`]); the JSON object does not have the key then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmabufs_leaked: Option<u64>,
}

impl Leaks {
    /// The counts, in words.
    pub(crate) fn errors(&self) -> [(u64, String); 2] {
        let (files, dmabufs) = (self.fds_leaked, self.dmabufs_leaked.unwrap_or(0));
        [
            (files, format!("{files} descriptors are left over")),
            (dmabufs, format!("{dmabufs} dma-bufs are left over")),
        ]
    }

    pub(crate) fn write_text(&self, text: &mut Text) {
        let dmabufs = self.dmabufs_leaked.map(|count| count.to_string());
        let dmabufs = dmabufs.as_deref().unwrap_or("unknown");
        let files = self.fds_leaked;
        text.line(
            "left over",
            format_args!("{files} descriptors, dma-bufs: {dmabufs}"),
        );
        for file in &self.files_left {
            text.line("", file);
        }
    }
}

impl Baseline {
    /// Notes what is open now, before the program opens devices.
    ///
    /// # Errors
    /// As [`open_files`].
    pub fn take() -> io::Result<Self> {
        Ok(Self {
            files: open_files()?,
            inodes: Vec::new(),
            names: Vec::new(),
            left_elsewhere: Vec::new(),
        })
    }

    /// Adds files that another process of this program has left open.
    pub(crate) fn left_elsewhere(&mut self, files: Vec<String>) {
        self.left_elsewhere.extend(files);
    }

    /// Notes a dma-buf without a name that must be gone at the end.
    pub fn made(&mut self, inode: u64) {
        self.inodes.push(inode);
    }

    /// Notes that all dma-bufs whose names begin so must be gone at the end.
    pub fn made_named(&mut self, beginning: &str) {
        self.names.push(beginning.to_owned());
    }

    /// Compares, after everything was closed. The kernel finishes some of that in its own time (the
    /// last commit of a display holds its framebuffers until its worker has run), so dma-bufs that
    /// are still there are looked at again for up to two seconds.
    ///
    /// # Errors
    /// As [`open_files`].
    pub fn compare(&self) -> io::Result<Leaks> {
        let new = |(fd, target): &(String, String)| self.files.get(fd) != Some(target);
        let mut files = self.left_elsewhere.clone();
        let left = open_files()?.into_iter().filter(new);
        files.extend(left.map(|(_, target)| target));
        let begun = Instant::now();
        let mut left = self.dmabufs_left();
        while left.is_some_and(|count| count > 0) && begun.elapsed() < AFTERWARDS {
            thread::sleep(Duration::from_millis(10));
            left = self.dmabufs_left();
        }
        Ok(Leaks {
            fds_leaked: files.len() as u64,
            files_left: files,
            dmabufs_leaked: left,
        })
    }

    /// How many of the noted dma-bufs exist; `None` where the kernel's list can't be read.
    fn dmabufs_left(&self) -> Option<u64> {
        let list = read_bufinfo().ok()?;
        let ours = list.iter().filter(|entry| {
            let mut names = self.names.iter();
            self.inodes.contains(&entry.inode) || names.any(|name| entry.name.starts_with(name))
        });
        Some(ours.count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn a_file_that_stays_open_is_a_leak() {
        // Other tests of this executable open files meanwhile, so only ours is looked for.
        let baseline = Baseline::take().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let name = fs::read_link(format!("/proc/self/fd/{}", reader.as_raw_fd())).unwrap();
        let name = name.display().to_string();
        let leaks = baseline.compare().unwrap();
        let left = leaks.files_left.iter();
        let ends = left.filter(|file| **file == name).count();
        assert_eq!(ends, 2, "{leaks:?}");
        assert_eq!(leaks.fds_leaked, leaks.files_left.len() as u64);
        drop((reader, writer));
        let leaks = baseline.compare().unwrap();
        assert!(!leaks.files_left.contains(&name), "{leaks:?}");
    }

    #[test]
    fn files_with_a_path_are_left_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display().to_string();
        assert!(!open_files().unwrap().values().any(|target| *target == path));
    }
}
