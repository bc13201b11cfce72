//! `/sys/kernel/debug/dma_buf/bufinfo`: the kernel's own list of every dma-buf and of the devices
//! that are attached to it. It is how the samples prove that a display reads the very memory that
//! Vulkan exported, and that nothing is left over.

use std::path::Path;
use std::{fs, io};

/// Where the kernel has the list (`CONFIG_DMABUF_DEBUG` and debugfs, readable by root).
pub const PATH: &str = "/sys/kernel/debug/dma_buf/bufinfo";

/// One dma-buf, as the kernel's `dma_buf_debug_show` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Bytes.
    pub size: u64,
    /// The exporter's name: "udmabuf", "system", "drm".
    pub exporter: String,
    /// Its inode, the same as that of its descriptors.
    pub inode: u64,
    /// The name given by `DMA_BUF_SET_NAME`, empty if none.
    pub name: String,
    /// Names of the devices that are attached, as in `/sys/devices`.
    pub attached: Vec<String>,
}

/// Every dma-buf there is now.
///
/// # Errors
/// That of open(2): `EACCES` for anyone but root, `ENOENT` without debugfs or
/// `CONFIG_DMABUF_DEBUG`.
pub fn read() -> io::Result<Vec<Entry>> {
    Ok(parse(&fs::read_to_string(PATH)?))
}

/// Reads the list's text. Lines that are not understood are passed over.
pub fn parse(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut in_attachments = false;
    for line in text.lines() {
        if let Some(entry) = parse_entry(line) {
            entries.push(entry);
            in_attachments = false;
        } else if line.trim() == "Attached Devices:" {
            in_attachments = true;
        } else if !line.starts_with('\t') || line.trim().is_empty() {
            in_attachments = false;
        } else if let (true, Some(entry)) = (in_attachments, entries.last_mut()) {
            entry.attached.push(line.trim().to_owned());
        }
    }
    entries
}

/// `size flags mode count exporter inode name`, separated by tabs; the name may have blanks.
fn parse_entry(line: &str) -> Option<Entry> {
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
    Some(Entry {
        size,
        exporter,
        inode,
        name,
        attached: Vec::new(),
    })
}

/// The name under which the device of a DRM node appears among the attached: "display0",
/// "0000:01:00.0".
///
/// # Errors
/// The node cannot be examined, or sysfs is not mounted.
pub fn device_name(node: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let number = fs::metadata(node)?.rdev();
    let (major, minor) = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
    let device = fs::canonicalize(format!("/sys/dev/char/{major}:{minor}/device"))?;
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
        let first = Entry {
            size: 3_145_728,
            exporter: "udmabuf".to_owned(),
            inode: 42,
            name: "scanout 17 frame 0".to_owned(),
            attached: vec!["display0".to_owned(), "vgem".to_owned()],
        };
        let second = Entry {
            size: 4096,
            exporter: "system".to_owned(),
            inode: 43,
            ..Entry::default()
        };
        assert_eq!(parse(text), [first, second]);
    }

    #[test]
    fn an_empty_or_strange_list_has_no_entries() {
        assert_eq!(parse(""), []);
        assert_eq!(parse("1\t2\n12x\ta\tb\tc\td\te\tf\n\tvkms\n"), []);
    }
}
