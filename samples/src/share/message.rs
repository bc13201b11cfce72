//! What the two processes of `share --process` tell each other.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result};
use dmashare::{DmaBuf, Extent, Fourcc, Modifier, PlaneFd};
use serde::{Deserialize, Serialize};

use crate::capture::Comparison;

/// A message; descriptors travel beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// Here is the memory: one descriptor for each dma-buf.
    Share(Shared),
    /// The memory is attached to the other device, which has this name.
    Attached { device: String },
    /// A frame was drawn; with it comes a sync_file, unless it is complete already. From the
    /// exporter it asks for the frame to be checked, from the importer it is the answer to `Draw`.
    Drawn { frame: u32 },
    /// Every pixel was compared.
    Checked(Comparison),
    /// The importer is to draw.
    Draw { frame: u32 },
    /// The importer is to let go of everything.
    Close,
    /// It has.
    Closed {
        /// Bytes that its library copied to share.
        bytes_copied: u64,
        /// Bytes that it read back to check them.
        bytes_read_back: u64,
        /// What its descriptors that are left over are open on.
        files_left: Vec<String>,
    },
    /// It could not do what it was asked for, and why.
    Failed { error: String },
}

/// An image in dma-bufs, as it is described to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shared {
    /// The buffer's name.
    pub(super) name: String,
    format: u32,
    width: u32,
    height: u32,
    modifier: u64,
    planes: Vec<Plane>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Plane {
    /// Which of the descriptors.
    memory: usize,
    offset: u64,
    stride: u32,
}

impl Shared {
    /// Describes an image; the descriptors of its memories go with it.
    pub(super) fn describe<'a>(name: &str, dmabuf: &'a DmaBuf) -> (Self, Vec<BorrowedFd<'a>>) {
        let planes = dmabuf.layout().planes().iter().map(|plane| Plane {
            memory: plane.memory,
            offset: plane.offset,
            stride: plane.stride,
        });
        let shared = Self {
            name: name.to_owned(),
            format: dmabuf.format().as_raw(),
            width: dmabuf.extent().width,
            height: dmabuf.extent().height,
            modifier: dmabuf.layout().modifier().as_raw(),
            planes: planes.collect(),
        };
        let fds = dmabuf.memories().iter().map(|memory| memory.as_fd());
        (shared, fds.collect())
    }

    /// The image that a message describes. Nothing in it is trusted: `DmaBuf` checks that the
    /// descriptors are dma-bufs and that the planes lie inside of them.
    pub(super) fn open(&self, fds: &[OwnedFd]) -> Result<DmaBuf> {
        let planes = self.planes.iter().map(|plane| {
            let fd = fds
                .get(plane.memory)
                .context("a plane lies in memory that did not come with the message")?;
            Ok(PlaneFd {
                fd: fd.try_clone().context("no descriptor is left")?,
                offset: plane.offset,
                stride: plane.stride,
            })
        });
        DmaBuf::new(
            Fourcc::new(self.format),
            Extent::new(self.width, self.height),
            Modifier::new(self.modifier),
            planes.collect::<Result<Vec<_>>>()?,
        )
        .context("the memory that came from the other process cannot be used")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_dmabuf_is_refused() {
        let shared = |planes| Shared {
            name: "test".to_owned(),
            format: Fourcc::XRGB8888.as_raw(),
            width: 4,
            height: 4,
            modifier: 0,
            planes,
        };
        let plane = Plane {
            memory: 0,
            offset: 0,
            stride: 16,
        };
        let fds = [OwnedFd::from(tempfile::tempfile().unwrap())];
        let file = shared(vec![plane.clone()]).open(&fds).unwrap_err();
        assert!(format!("{file:#}").contains("not a dma-buf"), "{file:#}");
        let missing = shared(vec![plane]).open(&[]).unwrap_err();
        assert!(
            format!("{missing:#}").contains("did not come"),
            "{missing:#}"
        );
        let none = shared(Vec::new()).open(&fds).unwrap_err();
        assert!(format!("{none:#}").contains("0 were given"), "{none:#}");
    }
}
