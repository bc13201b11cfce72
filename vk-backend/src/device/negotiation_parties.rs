//! The device as a party of a negotiation.

use dmashare::negotiation::{
    DisjointPlanes, FormatSupport, LayoutControl, LayoutDemands, MemoryKinds,
};
use dmashare::{Fourcc, Modifier, Party, Placements, Usage};

use crate::device::Device;
use crate::error::DeviceError;
use crate::image::probe_memory_planes;
use crate::physical_device::format::fourccs;
use crate::physical_device::host_pointer_support::PLACEMENTS;
use crate::physical_device::image_plan::ImagePlan;
use crate::physical_device::modifier_support::ModifierSupport;

/// llvmpipe draws whole blocks of this many pixels in both directions.
const BLOCK: u32 = 4;

impl Device {
    /// The device as the exporter of the memory, which also uses it for `usage`, in a
    /// [`Negotiation`](dmashare::Negotiation): the formats and modifiers it can export for these
    /// uses, up to their maximum extent. Its driver chooses the layout and makes no promise about
    /// strides.
    ///
    /// `formats` are the formats of interest, in order; an empty slice means all that have a Vulkan
    /// format. The driver is asked only once about each.
    ///
    /// # Errors
    /// [`DeviceError::Vulkan`]: the driver cannot answer.
    pub fn exporter_party(&self, formats: &[Fourcc], usage: Usage) -> Result<Party, DeviceError> {
        let mut supports = self.format_supports(formats, usage, |support| support.exportable)?;
        for support in &mut supports {
            // The memory of an exported image is one dma-buf.
            support.disjoint = DisjointPlanes::Refused;
        }
        Ok(Party::exporter(&self.core().name, usage)
            .with_formats(supports)
            .with_layout_control(LayoutControl::Exporter)
            .with_memory(MemoryKinds::scattered(Placements::DEVICE)))
    }

    /// The device as an importer of the memory for `usage`: the formats and modifiers it can
    /// import, and any further needs its driver is known to have. Which memory it can reach shows
    /// only at import.
    ///
    /// `formats` is as for [`exporter_party`](Self::exporter_party).
    ///
    /// # Errors
    /// [`DeviceError::Vulkan`]: the driver cannot answer.
    pub fn importer_party(&self, formats: &[Fourcc], usage: Usage) -> Result<Party, DeviceError> {
        let mut supports = self.format_supports(formats, usage, |support| support.importable)?;
        let core = self.core();
        if !probe_memory_planes::are_told_apart(core)
            .map_err(|failure| failure.device(&core.name))?
        {
            for support in &mut supports {
                support.disjoint = DisjointPlanes::Refused;
            }
        }
        let mut layout = LayoutDemands::default();
        if usage.contains(Usage::RENDER) && self.physical_device().driver_name() == "llvmpipe" {
            // It writes past the right and lower edges; see `check_room_for_blocks`.
            let pixels = supports.iter().filter_map(|support| {
                let planes = support.format.info()?.planes;
                Some(u32::from(planes.first()?.bytes_per_sample))
            });
            layout.stride_alignment = BLOCK * pixels.max().unwrap_or(1);
            layout.height_alignment = BLOCK;
        }
        let party = Party::importer(&self.core().name, usage)
            .with_formats(supports)
            .with_layout(layout);
        Ok(match self.core().functions.memory_host {
            // The driver's stride depends on the width, so only the import checks it.
            Some(_) => party.with_memory(MemoryKinds::any(PLACEMENTS)),
            None => party,
        })
    }

    fn format_supports(
        &self,
        formats: &[Fourcc],
        usage: Usage,
        wanted: impl Fn(&ModifierSupport) -> bool,
    ) -> Result<Vec<FormatSupport>, DeviceError> {
        let all: Vec<Fourcc>;
        let formats = match formats {
            [] => {
                all = fourccs().collect();
                &all
            }
            some => some,
        };
        let mut supports = Vec::new();
        for format in formats {
            for support in self.physical_device().modifiers(*format, usage)? {
                if support.modifier != Modifier::INVALID && wanted(&support) {
                    supports.push(format_support(*format, usage, &support));
                }
            }
        }
        Ok(supports)
    }
}

fn format_support(format: Fourcc, usage: Usage, support: &ModifierSupport) -> FormatSupport {
    let mut entry = FormatSupport::new(format, support.modifier, usage)
        .with_maximum_extent(support.max_extent)
        .with_extent_alignment(ImagePlan::whole_samples(format));
    // No format has more than four memory planes, so the exact number above that does not matter.
    if support.disjoint {
        entry.disjoint = DisjointPlanes::Allowed;
    }
    entry.memory_planes = Some(u8::try_from(support.plane_count).unwrap_or(u8::MAX));
    entry
}
