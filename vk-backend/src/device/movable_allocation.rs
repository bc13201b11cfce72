//! Allocating memory for images that move: on the device, or in host memory that it imports.

use dmashare::{
    AccessConstraint, Allocation, BufferDesc, DynamicExporter, ExportError, ImportError, Modifier,
    Placement, host::HostMemory,
};

use crate::device::Device;
use crate::error::StrideMisaligned;
use crate::image::export::{Exported, Where};
use crate::physical_device::PhysicalDevice;
use crate::physical_device::modifier_support::ModifierSupport;

/// The operation named in an error that means no layout fits, as opposed to a failure.
const LAYING_OUT: &str = "laying out an image";

/// Whether the error means that no layout fits here: another placement may have one.
pub(crate) fn is_misfit(error: &ExportError) -> bool {
    match error {
        ExportError::UnsupportedModifier { .. } | ExportError::NoPlacement { .. } => true,
        ExportError::Device { operation, .. } => *operation == LAYING_OUT,
        _ => false,
    }
}

/// Makes an image in the device's own memory that fits `wanted`. The work that releases it may
/// still be in flight: [`Allocation::usable_after`].
pub(crate) fn on_the_device(
    device: &Device,
    desc: &BufferDesc,
    wanted: &AccessConstraint,
) -> Result<Allocation, ExportError> {
    let core = device.core();
    let (plan, supports) = device.core().exportable(desc)?;
    let all = || PhysicalDevice::modifier_values(&supports);
    let mut modifiers: Vec<Modifier> = wanted.modifiers.clone().unwrap_or_else(all);
    let exported = loop {
        let exported = device
            .core()
            .create_exported(&plan, &supports, &modifiers, Where::Local)?;
        let Some(stride) = crooked_stride(&exported, wanted) else {
            break exported;
        };
        // The driver chose this modifier; with another, the stride may fit.
        let chosen = exported.dmabuf.layout().modifier();
        modifiers.retain(|modifier| *modifier != chosen);
        let is_left = |support: &ModifierSupport| modifiers.contains(&support.modifier);
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
    // Release the image now, so that the copy that follows does not have to. Do not wait for it:
    // the queue may be busy for long, and a buffer that is moving would block its users.
    let released = device.release_first(&exported.image)?;
    tracing::debug!(
        device = core.name,
        buffer = desc.name,
        inode = exported.dmabuf.id().inode(),
        modifier = %exported.dmabuf.layout().modifier(),
        "image exported, to be moved"
    );
    let mut allocation = Allocation::new(exported.dmabuf, exported.placement, exported.image);
    allocation.usable_after = released;
    Ok(allocation)
}

/// The first stride that does not fit `wanted`.
fn crooked_stride(exported: &Exported, wanted: &AccessConstraint) -> Option<u32> {
    let planes = exported.dmabuf.layout().planes().iter();
    planes
        .map(|plane| plane.stride)
        .find(|stride| !wanted.takes_stride(*stride))
}

/// Makes a linear image in host memory that fits `wanted`, and imports it into the device.
pub(crate) fn in_host_memory(
    device: &Device,
    host: &HostMemory,
    desc: &BufferDesc,
    wanted: &AccessConstraint,
) -> Result<Allocation, ExportError> {
    let mut allocation = host.allocate_in(desc, wanted)?;
    let imported = device
        .core()
        .import_dmabuf(desc, &allocation.dmabuf, allocation.placement);
    allocation.origin = imported.map_err(|error| export_error(&device.core().name, error))?;
    Ok(allocation)
}

/// Converts the error of importing memory that was allocated for this device.
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
