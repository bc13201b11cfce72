//! DRM master: the right to change the KMS state of a card, which one open file has at a time.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::device::DrmDevice;
use crate::error::{Holder, NoMaster};
use crate::sys::{retry, retry_idempotent};

/// Whether this file is master. `AUTH_MAGIC` is restricted to the master, and no client has magic 0, so
/// it returns `EINVAL` to the master and `EACCES` to others (the method of libdrm's `drmIsMaster`).
pub(crate) fn is_master(device: &DrmDevice) -> bool {
    match retry_idempotent(|| drm_ffi::auth::auth_magic_token(device.as_fd(), 0)) {
        Ok(_) => true,
        Err(error) => error.raw_os_error() == Some(nix::libc::EINVAL),
    }
}

/// Guard for newly acquired master. Dropping it drops master, unless [`keep`](Self::keep) was
/// called.
#[derive(Debug)]
pub(crate) struct Acquired<'a> {
    device: &'a DrmDevice,
    /// The file was not master before `acquire`.
    newly: bool,
}

impl Acquired<'_> {
    /// Keeps master.
    pub(crate) fn keep(mut self) {
        self.newly = false;
    }
}

impl Drop for Acquired<'_> {
    fn drop(&mut self) {
        // A card that was created in the meantime may have dropped master itself.
        if self.newly
            && is_master(self.device)
            && let Err(error) = release(self.device)
        {
            tracing::error!(%error, "DROP_MASTER failed");
        }
    }
}

/// Becomes master, unless the file already is: the kernel makes the first opener of a primary node its
/// master. A program that only lists cards can therefore be master for a moment, so this retries on
/// `EBUSY`.
pub(crate) fn acquire(device: &DrmDevice) -> Result<Acquired<'_>, NoMaster> {
    let acquired = |newly| Acquired { device, newly };
    if is_master(device) {
        return Ok(acquired(false));
    }
    let mut tries = 5;
    loop {
        tries -= 1;
        match retry(|| drm_ffi::auth::acquire_master(device.as_fd())) {
            Ok(()) => return Ok(acquired(true)),
            Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) && tries > 0 => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(source) => return Err(no_master(device, source)),
        }
    }
}

/// Drops master, so that another process can become master.
pub(crate) fn release(device: &DrmDevice) -> io::Result<()> {
    retry(|| drm_ffi::auth::release_master(device.as_fd()))
}

/// Creates an error that names the processes that hold the card.
pub(crate) fn no_master(device: &DrmDevice, source: io::Error) -> NoMaster {
    let mut holders = master_by_debugfs(device.number().1);
    if holders.is_empty() {
        holders = open_by_proc(device.number());
    }
    NoMaster {
        card: device.name().to_owned(),
        holders,
        source,
    }
}

/// The master according to `debugfs/dri/MINOR/clients`, which only root can read.
fn master_by_debugfs(minor: u64) -> Vec<Holder> {
    fs::read_to_string(format!("/sys/kernel/debug/dri/{minor}/clients"))
        .map(|text| masters_in(&text))
        .unwrap_or_default()
}

/// Parses lines of `drm_clients_info`: command, tgid, dev, master, a(uthenticated), uid, magic, ... The
/// command may contain spaces, so columns are counted relative to the master column. The kernel lists an
/// inherited or passed file under the process that uses it.
fn masters_in(clients: &str) -> Vec<Holder> {
    let mut lines = clients.lines();
    let Some(header) = lines.next() else {
        return Vec::new();
    };
    let columns: Vec<&str> = header.split_whitespace().collect();
    let Some(master) = columns.iter().position(|column| *column == "master") else {
        return Vec::new();
    };
    let from_end = columns.len() - master;
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let master = fields.len().checked_sub(from_end)?;
            let pid = master.checked_sub(2)?;
            (fields[master] == "y").then_some(())?;
            Some(Holder {
                pid: fields[pid].parse().ok()?,
                command: fields[..pid].join(" "),
            })
        })
        .collect()
}

/// Every process that has the device open, as far as this process can read `/proc`.
fn open_by_proc(number: (u64, u64)) -> Vec<Holder> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let opened = fs::read_dir(entry.path().join("fd"))
                .ok()?
                .filter_map(Result::ok)
                .filter_map(|fd| fs::metadata(fd.path()).ok())
                .filter(|file| {
                    (
                        nix::sys::stat::major(file.rdev()),
                        nix::sys::stat::minor(file.rdev()),
                    ) == number
                })
                .count();
            // This process itself has the device open once, through the `DrmDevice` of the caller.
            let ours = usize::from(pid == std::process::id());
            (opened > ours).then_some(())?;
            let command = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            Some(Holder {
                pid,
                command: command.trim_end().to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_is_found_by_its_column() {
        let text = "             command  tgid dev master a   uid      magic                             name        id
             scanout   112   1   y    y     0          0                          <unset>         3
         my display   113   1   n    y     0          0                          <unset>         4
";
        let found = masters_in(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].pid, found[0].command.as_str()), (112, "scanout"));
    }

    #[test]
    fn a_command_may_have_spaces() {
        let text = "command tgid dev master a uid magic\nmy display 113 1 y y 0 0\n";
        assert_eq!(
            masters_in(text),
            [Holder {
                pid: 113,
                command: "my display".to_owned()
            }]
        );
        assert!(masters_in("").is_empty());
        assert!(masters_in("nothing known\nx y\n").is_empty());
    }

    #[test]
    fn who_has_a_file_open_is_found_in_proc() {
        let null = fs::File::open("/dev/null").unwrap();
        let second = fs::File::open("/dev/null").unwrap();
        let number = null.metadata().unwrap().rdev();
        let holders = open_by_proc((nix::sys::stat::major(number), nix::sys::stat::minor(number)));
        assert!(
            holders
                .iter()
                .any(|holder| holder.pid == std::process::id())
        );
        drop(second);
    }
}
