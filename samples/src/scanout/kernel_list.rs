//! What the kernel's own list of dma-bufs says about the frame buffers.

use std::path::Path;

use dmashare_lab_probe::{BUFINFO, BufInfo, attached_name, read_bufinfo};

use crate::drawn_buffer::DrawnBuffer;

/// One frame buffer in the report.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct BufferReport {
    /// The inode of the dma-buf that Vulkan exported.
    pub(super) inode: u64,
    /// Its name.
    pub(super) name: String,
    /// Its bytes.
    pub(super) size: u64,
    /// Who made it, by the kernel's name; `None` where the list can't be read.
    pub(super) exporter: Option<String>,
    /// The devices that are attached to it; `None` where the list can't be read.
    pub(super) attached: Option<Vec<String>>,
}

/// The frame buffers as the kernel lists them, and what is wrong with that.
#[derive(Clone, Debug, Default)]
pub(super) struct KernelList {
    pub(super) buffers: Vec<BufferReport>,
    /// Where the list is not as it has to be when nothing is copied.
    pub(super) errors: Vec<String>,
    /// Why the list can't be read.
    pub(super) unreadable: Option<String>,
}

impl KernelList {
    /// Reads the list while the buffers are in use. There has to be one dma-buf for each buffer: the
    /// one that Vulkan exported, with the display's device attached.
    pub(super) fn read(buffers: &[DrawnBuffer], card: Option<&Path>) -> Self {
        let mut this = Self::default();
        let list = match read_bufinfo() {
            Ok(list) => Some(list),
            Err(error) => {
                this.unreadable = Some(format!("{BUFINFO}: {error}"));
                None
            }
        };
        let display = card.and_then(|path| attached_name(path).ok());
        for buffer in buffers {
            let inode = buffer.shared.backing().dmabuf().id().inode();
            let name = buffer.shared.desc().name.clone();
            let listed = list.as_deref().map(|list| {
                this.errors
                    .extend(mistakes(list, inode, &name, display.as_deref()));
                list.iter().find(|entry| entry.inode == inode)
            });
            let memories = buffer.shared.backing().dmabuf().memories().to_vec();
            this.buffers.push(BufferReport {
                inode,
                name,
                size: memories.iter().map(|memory| memory.size()).sum(),
                exporter: listed.map(|e| e.map(|e| e.exporter.clone()).unwrap_or_default()),
                attached: listed.map(|e| e.map(|e| e.attached.clone()).unwrap_or_default()),
            });
        }
        this
    }
}

/// What is wrong with the entries of one buffer.
fn mistakes(list: &[BufInfo], inode: u64, name: &str, display: Option<&str>) -> Vec<String> {
    let mut mistakes = Vec::new();
    let named = list.iter().filter(|entry| entry.name == name).count();
    if named != 1 {
        mistakes.push(format!("{named} dma-bufs are named '{name}', not one"));
    }
    let Some(entry) = list.iter().find(|entry| entry.inode == inode) else {
        mistakes.push(format!("'{name}', inode {inode}, is not in the list"));
        return mistakes;
    };
    let shows = display.is_none_or(|display| entry.attached.iter().any(|name| name == display));
    if !shows {
        mistakes.push(format!(
            "the display {} is not attached to '{name}', inode {inode}; attached: {:?}",
            display.unwrap_or_default(),
            entry.attached
        ));
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(inode: u64, name: &str, attached: &[&str]) -> BufInfo {
        BufInfo {
            inode,
            name: name.to_owned(),
            attached: attached.iter().map(ToString::to_string).collect(),
            ..BufInfo::default()
        }
    }

    #[test]
    fn one_dmabuf_with_the_display_attached_is_right() {
        let list = [entry(7, "a", &["display0"]), entry(8, "b", &[])];
        assert!(mistakes(&list, 7, "a", Some("display0")).is_empty());
    }

    #[test]
    fn a_copy_a_stranger_and_a_missing_display_are_found() {
        let copied = [entry(7, "a", &[]), entry(9, "a", &["display0"])];
        let found = mistakes(&copied, 7, "a", Some("display0"));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("2 dma-bufs are named 'a'"));
        assert!(found[1].contains("display0 is not attached"));
        let found = mistakes(&[], 7, "a", None);
        assert!(
            found[1].contains("inode 7, is not in the list"),
            "{found:?}"
        );
    }
}
