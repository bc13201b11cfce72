//! Making the memory of images that move: on the device, or in host memory that it imports.

use std::sync::Arc;

use dmashare::{
    AccessConstraint, Allocation, BufferDesc, DynamicExporter, ExportError, ImportError, Modifier,
    Placement, host::HostMemory,
};

use crate::commands::CommandCache;
use crate::error::StrideMisaligned;
use crate::export::{Exported, Where, record_first_release};
use crate::retire::{InFlight, Retired};
use crate::{Device, PhysicalDevice};

/// What has been found to fit nothing that was wanted, as opposed to what failed.
const LAYING_OUT: &str = "laying out an image";

/// Whether it is the layout that could not be had: another place may have it.
pub(crate) fn is_misfit(error: &ExportError) -> bool {
    match error {
        ExportError::UnsupportedModifier { .. } | ExportError::NoPlacement { .. } => true,
        ExportError::Device { operation, .. } => *operation == LAYING_OUT,
        _ => false,
    }
}

/// An image in the device's own memory that fits `wanted`. It is released to everyone by work that
/// is in flight: [`Allocation::usable_after`].
pub(crate) fn on_the_device(
    device: &Device,
    cache: &Arc<CommandCache>,
    desc: &BufferDesc,
    wanted: &AccessConstraint,
) -> Result<Allocation, ExportError> {
    let core = device.core();
    let (plan, supports) = device.exportable(desc)?;
    let all = || PhysicalDevice::modifier_values(&supports);
    let mut modifiers: Vec<Modifier> = wanted.modifiers.clone().unwrap_or_else(all);
    let exported = loop {
        let exported = device.create_exported(&plan, &supports, &modifiers, Where::Local)?;
        let Some(stride) = crooked_stride(&exported, wanted) else {
            break exported;
        };
        // The driver chose this modifier; it may lay the others out differently.
        let chosen = exported.dmabuf.layout().modifier();
        modifiers.retain(|modifier| *modifier != chosen);
        let is_left = |support: &crate::ModifierSupport| modifiers.contains(&support.modifier);
        if !supports.iter().any(is_left) {
            return Err(ExportError::Device {
                exporter: core.name.clone(),
                operation: LAYING_OUT,
                source: StrideMisaligned {
                    stride,
                    alignment: wanted.stride.unwrap_or(wanted.stride_alignment.max(1)),
                    is_exact: wanted.stride.is_some(),
                }
                .into(),
            });
        }
    };
    if exported.placement != Placement::Device {
        return Err(ExportError::NoPlacement {
            exporter: core.name.clone(),
            wanted: Placement::Device.into(),
            offered: exported.placement.into(),
        });
    }
    release(device, cache, desc, exported)
}

/// The first stride that is not wanted.
fn crooked_stride(exported: &Exported, wanted: &AccessConstraint) -> Option<u32> {
    let planes = exported.dmabuf.layout().planes().iter();
    planes
        .map(|plane| plane.stride)
        .find(|stride| !wanted.takes_stride(*stride))
}

/// Takes the new image out of layout `UNDEFINED`, without waiting: the queue may be busy for long,
/// and a buffer that moves would hold its users up. The work keeps the image.
fn release(
    device: &Device,
    cache: &Arc<CommandCache>,
    desc: &BufferDesc,
    exported: Exported,
) -> Result<Allocation, ExportError> {
    let core = device.core();
    let commands = cache
        .begin()
        .map_err(|failure| failure.export(&core.name))?;
    record_first_release(core, &exported.image, &commands)
        .map_err(|failure| failure.export(&core.name))?;
    let flight = InFlight::new(commands, cache, [exported.image.clone()]);
    let buffers: Vec<_> = flight.commands().into_iter().collect();
    let timeline = device.timeline();
    let point = match timeline.submit(&buffers) {
        Ok(point) => point,
        Err(failure) => {
            device.retire_object(Retired::InFlight(flight), Default::default());
            return Err(failure.export(&core.name));
        }
    };
    let fence = timeline.fence(point);
    let over = [fence.clone()].into_iter().collect();
    device.retire_object(Retired::InFlight(flight), over);
    tracing::debug!(
        device = core.name,
        buffer = desc.name,
        inode = exported.dmabuf.id().inode(),
        modifier = %exported.dmabuf.layout().modifier(),
        "image exported, to be moved"
    );
    let allocation = Allocation::new(exported.dmabuf, exported.placement, exported.image);
    Ok(allocation.usable_after(fence))
}

/// A linear image in host memory that fits `wanted`, imported into the device.
pub(crate) fn in_host_memory(
    device: &Device,
    host: &HostMemory,
    desc: &BufferDesc,
    wanted: &AccessConstraint,
) -> Result<Allocation, ExportError> {
    let mut allocation = host.allocate_in(desc, wanted)?;
    let imported = device.import_dmabuf(desc, &allocation.dmabuf, allocation.placement);
    allocation.origin = imported.map_err(|error| export_error(&device.core().name, error))?;
    Ok(allocation)
}

/// The device cannot use memory that was made for it.
fn export_error(exporter: &str, error: ImportError) -> ExportError {
    match error {
        ImportError::Device {
            operation, source, ..
        }
        | ImportError::Refused {
            operation, source, ..
        } => ExportError::Device {
            exporter: exporter.to_owned(),
            operation,
            source,
        },
        ImportError::DmaBuf(error) => error.into(),
        other => ExportError::Device {
            exporter: exporter.to_owned(),
            operation: "importing host memory",
            source: other.into(),
        },
    }
}
