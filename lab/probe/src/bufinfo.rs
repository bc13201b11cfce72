//! `/sys/kernel/debug/dma_buf/bufinfo`: every dma-buf of the system.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::{fs, io};

use nix::sys::stat::{major, minor};

/// Path of the kernel's list (needs `CONFIG_DMABUF_DEBUG` and debugfs; readable by root).
pub const BUFINFO: &str = "/sys/kernel/debug/dma_buf/bufinfo";

/// One dma-buf, as `dma_buf_debug_show` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BufInfo {
    /// Size in bytes.
    pub size: u64,
    /// Name of the exporter: "udmabuf", "system", "vkms".
    pub exporter: String,
    /// Inode of the dma-buf, the same as in fstat(2) and fdinfo.
    pub inode: u64,
    /// Name set by `DMA_BUF_SET_NAME`; empty if there is none.
    pub name: String,
    /// Names of the attached devices, as in `/sys/devices`.
    pub attached: Vec<String>,
    /// Lines about its fences, unparsed.
    pub fences: Vec<String>,
}

/// Reads the list of all dma-bufs, for tests.
///
/// # Panics
/// If the list can't be read; see [`read_bufinfo`].
pub fn bufinfo() -> Vec<BufInfo> {
    match read_bufinfo() {
        Ok(list) => list,
        Err(error) => crate::missing(BUFINFO, &error),
    }
}

/// Reads the list of all dma-bufs, for programs that can work without it.
///
/// # Errors
/// Those of open(2): `EACCES` if the caller is not root, `ENOENT` without debugfs or
/// `CONFIG_DMABUF_DEBUG`.
pub fn read_bufinfo() -> io::Result<Vec<BufInfo>> {
    Ok(parse_bufinfo(&fs::read_to_string(BUFINFO)?))
}

/// Parses the text of the list. It skips lines that it does not understand.
pub fn parse_bufinfo(text: &str) -> Vec<BufInfo> {
    let mut buffers: Vec<BufInfo> = Vec::new();
    let mut in_attachments = false;
    for line in text.lines() {
        if let Some(buffer) = entry(line) {
            buffers.push(buffer);
            in_attachments = false;
            continue;
        }
        let Some(buffer) = buffers.last_mut() else {
            continue;
        };
        match line.trim() {
            "Attached Devices:" => in_attachments = true,
            // Lines that belong to a dma-buf are indented.
            "" => in_attachments = false,
            _ if !line.starts_with('\t') => in_attachments = false,
            trimmed if in_attachments => buffer.attached.push(trimmed.to_owned()),
            trimmed if trimmed.contains("fence:") => buffer.fences.push(trimmed.to_owned()),
            _ => {}
        }
    }
    buffers
}

/// Parses `size flags mode count exporter inode name`, separated by tabs; the name may have blanks.
fn entry(line: &str) -> Option<BufInfo> {
    if !line.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let mut columns = line.splitn(7, '\t').map(str::trim);
    let size = columns.next()?.parse().ok()?;
    let exporter = columns.nth(3)?.to_owned();
    let inode = columns.next()?.parse().ok()?;
    let name = match columns.next() {
        None | Some("<none>") => String::new(),
        Some(name) => name.to_owned(),
    };
    Some(BufInfo {
        size,
        exporter,
        inode,
        name,
        ..BufInfo::default()
    })
}

/// The name of a DRM node's device in the list of attached devices: "display0",
/// "0000:01:00.0".
///
/// # Errors
/// The node cannot be examined, or sysfs is not mounted.
pub fn attached_name(node: &Path) -> io::Result<String> {
    let number = fs::metadata(node)?.rdev();
    let number = format!("{}:{}", major(number), minor(number));
    let device = fs::canonicalize(format!("/sys/dev/char/{number}/device"))?;
    let name = device.file_name().unwrap_or_default();
    Ok(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_with_blanks_fences_and_attachments() {
        let text = "\nDma-buf Objects:\n\
            size    \tflags   \tmode    \tcount   \texp_name\tino     \tname\n\
            03145728\t00000002\t00080007\t00000004\tudmabuf\t00000042\tscanout 17 frame 0\n\
            \twrite fence:sw_sync tl seq 1 unsignalled\n\
            \tAttached Devices:\n\
            \tdisplay0\n\
            \tvgem\n\
            Total 2 devices attached\n\n\
            00004096\t00000002\t00080007\t00000001\tsystem\t00000043\t<none>\n\
            \tAttached Devices:\n\
            Total 0 devices attached\n\n\n\
            Total 2 objects, 3149824 bytes\n";
        let first = BufInfo {
            size: 3_145_728,
            exporter: "udmabuf".to_owned(),
            inode: 42,
            name: "scanout 17 frame 0".to_owned(),
            attached: vec!["display0".to_owned(), "vgem".to_owned()],
            fences: vec!["write fence:sw_sync tl seq 1 unsignalled".to_owned()],
        };
        let second = BufInfo {
            size: 4096,
            exporter: "system".to_owned(),
            inode: 43,
            ..BufInfo::default()
        };
        assert_eq!(parse_bufinfo(text), [first, second]);
    }

    #[test]
    fn an_empty_or_strange_list_has_no_entries() {
        assert_eq!(parse_bufinfo(""), []);
        assert_eq!(parse_bufinfo("1\t2\n12x\ta\tb\tc\td\te\tf\n\tvkms\n"), []);
    }
}
