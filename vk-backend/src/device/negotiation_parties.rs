//! What a device takes and makes, for a negotiation.

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

/// llvmpipe draws whole blocks of so many pixels in both directions.
const BLOCK: u32 = 4;

impl Device {
    /// The device as the one that makes the memory, and uses it for `usage`, in a
    /// [`Negotiation`](dmashare::Negotiation): the formats and modifiers with which it exports images
    /// for these uses, up to their maximum extent. Its driver lays them out, and promises nothing about
    /// strides.
    ///
    /// `formats` are those that are of interest, in order; none of them stands for all that Vulkan has
    /// names for. What the driver has answered once it is not asked again.
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

    /// The device as one that imports the memory for `usage`: the formats and modifiers with which it
    /// can, and what its driver is known to need besides. Where it reaches memory, only an import
    /// tells.
    ///
    /// `formats` and errors as with [`exporter_party`](Self::exporter_party).
    ///
    /// # Errors
    /// [`DeviceError::Vulkan`].
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
            // It writes past the right and the lower edge; see `check_room_for_blocks`.
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
            // The stride that its driver wants depends on the width: only the import looks at it.
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
    // More than four planes fit nothing: any such number says so.
    if support.disjoint {
        entry.disjoint = DisjointPlanes::Allowed;
    }
    entry.memory_planes = Some(u8::try_from(support.plane_count).unwrap_or(u8::MAX));
    entry
}
