//! The exporters of dma-bufs on this machine.

use std::sync::Arc;
use std::{fs, io};

use dmashare::host::{DmaHeap, HostMemory, Udmabuf};
use dmashare::route::{CpuRows, Detour, Routes};
use dmashare::{Allocation, BufferDesc, ExportError, Exporter, Modifier, Usage};
use dmashare_drm::DumbBuffers;
use dmashare_vk::{Device, PhysicalDevice};

use crate::info::drm::NodeReport;
use crate::info::error_chain::chain;
use crate::info::unusable::Unusable;
use crate::info::vulkan;

/// Where the kernel has its dma-heaps.
const HEAPS: &str = "/dev/dma_heap";

/// An exporter of dma-bufs, under the name that the report uses.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: String,
    exporter: Arc<dyn Exporter>,
    /// The Vulkan device that it is, if it is one.
    device: Option<Device>,
}

impl Source {
    /// Every exporter, and those that can't be used, with the reason.
    pub(super) fn all(
        devices: &[(PhysicalDevice, String)],
        nodes: &[NodeReport],
    ) -> (Vec<Self>, Vec<Unusable>) {
        let mut sources = Vec::new();
        let mut unusable = Vec::new();
        let mut add = |name, opened: Result<(Arc<dyn Exporter>, _), (String, bool)>| match opened {
            Ok((exporter, device)) => sources.push(Self {
                name,
                exporter,
                device,
            }),
            Err((reason, failed)) => unusable.push(Unusable {
                name,
                reason,
                failed,
            }),
        };
        for (physical, name) in devices {
            let opened = match Device::open(physical) {
                Ok(device) => Ok((Arc::new(device.clone()) as _, Some(device))),
                Err(error) => Err((vulkan::is_failure(&error), error)),
            };
            add(
                name.clone(),
                opened.map_err(|(failed, error)| (chain(error), failed)),
            );
        }
        for node in nodes.iter().filter(|node| node.kind == "primary") {
            let name = format!("{} {} dumb buffers", node.path.display(), node.driver);
            let opened = DumbBuffers::open(&node.path).map(|dumb| (Arc::new(dumb) as _, None));
            add(name, opened.map_err(|error| (chain(error), true)));
        }
        let mut heaps: Vec<String> = fs::read_dir(HEAPS)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect();
        heaps.sort();
        for heap in heaps {
            let opened = DmaHeap::open(&heap).map(|heap| (Arc::new(heap) as _, None));
            let opened = opened.map_err(|error| (chain(error), true));
            add(format!("dma-heap {heap}"), opened);
        }
        let opened = Udmabuf::open().map(|udmabuf| (Arc::new(udmabuf) as _, None));
        let refused = |error: io::Error| {
            // A kernel without udmabuf.
            let absent = error.kind() == io::ErrorKind::NotFound;
            (chain(error), !absent)
        };
        add("udmabuf".to_owned(), opened.map_err(refused));
        (sources, unusable)
    }

    /// The usage to ask for so that it can write the pixels.
    pub(super) fn usage(&self, is_yuv: bool) -> Usage {
        match self.device {
            Some(_) if is_yuv => Usage::TRANSFER_DESTINATION | Usage::TRANSFER_SOURCE,
            Some(_) => Usage::RENDER | Usage::TRANSFER_SOURCE,
            None => Usage::CPU_WRITE,
        }
    }

    /// The Vulkan device, whose `dispatch` has to be called.
    pub(super) fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// The detours for importers that do not take its memory: copies in host memory, by its own queue if
    /// it has one.
    pub(super) fn routes(&self) -> Routes {
        let memory = HostMemory::open().unwrap_or_else(|_| HostMemory::new(None, None));
        let routes = match self.device() {
            Some(device) => Routes::new().with_detour(Detour::moving(&memory, device.clone())),
            None => Routes::new(),
        };
        routes.with_detour(Detour::moving(&memory, CpuRows::default()))
    }
}

impl Exporter for Source {
    fn name(&self) -> &str {
        &self.name
    }

    fn modifiers(&self, desc: &BufferDesc) -> Result<Vec<Modifier>, ExportError> {
        self.exporter.modifiers(desc)
    }

    fn allocate(
        &self,
        desc: &BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Allocation, ExportError> {
        self.exporter.allocate(desc, modifiers)
    }
}
