//! The files that this process has open.

use std::fs;

/// One entry of `/proc/self/fd`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenFile {
    /// Number of the descriptor.
    pub fd: i32,
    /// The file that it refers to, by the link's target: `/dev/dri/card0`, `anon_inode:sync_file`.
    pub target: String,
}

/// Lists the files that this process has open, by descriptor. Tests compare it before and after.
///
/// # Panics
/// If `/proc` is not mounted.
pub fn open_files() -> Vec<OpenFile> {
    let directory = match fs::read_dir("/proc/self/fd") {
        Ok(directory) => directory,
        Err(error) => crate::missing("/proc/self/fd", &error),
    };
    let mut files: Vec<OpenFile> = directory
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let fd = entry.file_name().to_str()?.parse().ok()?;
            let target = fs::read_link(entry.path())
                .ok()?
                .to_string_lossy()
                .into_owned();
            // Skip the probe's own files: this list, and that of the fault injection.
            let ours = target.starts_with("/proc/")
                && (target.ends_with("/fd") || target.ends_with("/fail-nth"));
            (!ours).then_some(OpenFile { fd, target })
        })
        .collect();
    files.sort();
    files
}
