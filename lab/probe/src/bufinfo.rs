//! `/sys/kernel/debug/dma_buf/bufinfo`: every dma-buf of the system.

use std::fs;

/// One dma-buf, as `dma_buf_debug_show` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BufInfo {
    /// Bytes.
    pub size: u64,
    /// The exporter's name: "udmabuf", "system", "vkms".
    pub exporter: String,
    /// Its inode, the same as in fstat(2) and fdinfo.
    pub inode: u64,
    /// The name given by `DMA_BUF_SET_NAME`, empty if none.
    pub name: String,
    /// Names of the devices that are attached.
    pub attached: Vec<String>,
    /// Lines about its fences, as they are.
    pub fences: Vec<String>,
}

/// Every dma-buf there is now.
///
/// # Panics
/// If debugfs is not mounted, or the kernel has no such file (`CONFIG_DMABUF_DEBUG`).
pub fn bufinfo() -> Vec<BufInfo> {
    match fs::read_to_string("/sys/kernel/debug/dma_buf/bufinfo") {
        Ok(text) => parse_bufinfo(&text),
        Err(error) => crate::missing("/sys/kernel/debug/dma_buf/bufinfo", &error),
    }
}

/// Reads the file's text. Lines that are not understood are passed over.
pub fn parse_bufinfo(text: &str) -> Vec<BufInfo> {
    let mut buffers: Vec<BufInfo> = Vec::new();
    let mut in_attachments = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(buffer) = entry(line, &words) {
            buffers.push(buffer);
            in_attachments = false;
            continue;
        }
        let Some(buffer) = buffers.last_mut() else {
            continue;
        };
        match line.trim() {
            "Attached Devices:" => in_attachments = true,
            trimmed if trimmed.contains("fence:") => buffer.fences.push(trimmed.to_owned()),
            trimmed if trimmed.starts_with("Total ") || trimmed.is_empty() => {
                in_attachments = false
            }
            trimmed if in_attachments => buffer.attached.push(trimmed.to_owned()),
            _ => {}
        }
    }
    buffers
}

/// `size flags mode count exp_name ino name`, the numbers in decimal, hexadecimal and octal.
fn entry(line: &str, words: &[&str]) -> Option<BufInfo> {
    if !line.starts_with(|first: char| first.is_ascii_digit()) || words.len() < 6 {
        return None;
    }
    let name = words.get(6).copied().unwrap_or_default();
    Some(BufInfo {
        size: words[0].parse().ok()?,
        exporter: words[4].to_owned(),
        inode: words[5].parse().ok()?,
        name: if name == "<none>" {
            String::new()
        } else {
            name.to_owned()
        },
        ..BufInfo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_buffers_fences_and_attachments() {
        let text = "\nDma-buf Objects:\n\
            size    \tflags   \tmode    \tcount   \texp_name\tino     \tname\n\
            03145728\t00000002\t00080007\t00000004\tudmabuf\t00000042\tscanout-0\n\
            \twrite fence:sw_sync tl seq 1 unsignalled\n\
            \tAttached Devices:\n\
            \tvkms\n\
            \tvgem\n\
            Total 2 devices attached\n\n\
            00004096\t00000002\t00080007\t00000001\tsystem\t00000043\t<none>\n\
            \tAttached Devices:\n\
            Total 0 devices attached\n\n\n\
            Total 2 objects, 3149824 bytes\n";
        let buffers = parse_bufinfo(text);
        assert_eq!(buffers.len(), 2);
        assert_eq!((buffers[0].size, buffers[0].inode), (3_145_728, 42));
        assert_eq!(buffers[0].name, "scanout-0");
        assert_eq!(buffers[0].attached, ["vkms", "vgem"]);
        assert_eq!(buffers[0].fences.len(), 1);
        assert_eq!(
            (buffers[1].exporter.as_str(), buffers[1].name.as_str()),
            ("system", "")
        );
        assert!(buffers[1].attached.is_empty());
    }
}
