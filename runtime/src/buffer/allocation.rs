//! Allocation of memory for a new or moving buffer: one loop over the placements that it may have.

use std::sync::Arc;

use crate::buffer::keeper::{Force, Keeper};
use crate::image::buffer_desc::BufferDesc;
use crate::memory::backing::Allocation;
use crate::memory::constraint::AccessConstraint;
use crate::memory::dynamic_exporter::DynamicExporter;
use crate::memory::export_error::ExportError;
use crate::memory::ledger::Charge;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::placement::{Placement, Placements};

/// Why there is no memory for a buffer. If several placements fail, this is the error of the first,
/// which suits best.
pub(crate) enum NoMemory {
    /// The exporter refused.
    Exporter(ExportError),
    /// The keeper could not make room.
    NoRoom(ResidencyError),
    /// The exporter has none of the placements that would do.
    NoPlacement { offered: Placements },
}

/// Allocates memory that fits `wanted`, in the first placement of [`Placement::ALL`] that works. The
/// keeper makes room for `bytes` first, and for the rest if the exporter has added padding.
pub(crate) fn allocate(
    exporter: &Arc<dyn DynamicExporter>,
    desc: &BufferDesc,
    wanted: &AccessConstraint,
    bytes: u64,
    keeper: Option<(&dyn Keeper, Force)>,
) -> Result<(Allocation, Option<Charge>), NoMemory> {
    let offered = exporter.placements(desc).map_err(NoMemory::Exporter)?;
    let mut refused = None;
    for place in Placement::ALL {
        if !(offered & wanted.placements).has(place) {
            continue;
        }
        let here = AccessConstraint {
            placements: place.into(),
            ..wanted.clone()
        };
        match allocate_in(exporter, desc, place, &here, bytes, keeper) {
            Ok(allocated) => return Ok(allocated),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or(NoMemory::NoPlacement { offered }))
}

/// Checks that an exporter has made the memory that it was asked for, and sets the memory's name.
/// `objection` is any further reason to refuse it.
pub(crate) fn accept(
    exporter: &str,
    desc: &BufferDesc,
    made: &Allocation,
    objection: Option<String>,
) -> Result<(), ExportError> {
    let is_other = (made.dmabuf.format(), made.dmabuf.extent()) != (desc.format, desc.extent);
    let wrong = is_other.then(|| {
        format!(
            "it is {} of {}, but was to be {} of {}",
            made.dmabuf.format(),
            made.dmabuf.extent(),
            desc.format,
            desc.extent
        )
    });
    if let Some(reason) = wrong.or(objection) {
        return Err(ExportError::WrongMemory {
            exporter: exporter.to_owned(),
            name: desc.name.clone(),
            reason,
        });
    }
    made.dmabuf.set_name(&desc.name)?;
    Ok(())
}

fn allocate_in(
    exporter: &Arc<dyn DynamicExporter>,
    desc: &BufferDesc,
    place: Placement,
    here: &AccessConstraint,
    bytes: u64,
    keeper: Option<(&dyn Keeper, Force)>,
) -> Result<(Allocation, Option<Charge>), NoMemory> {
    let make_room = |bytes| {
        let room = keeper.map(|(keeper, force)| keeper.make_room(place, bytes, force));
        room.transpose().map_err(NoMemory::NoRoom)
    };
    let charge = make_room(bytes)?;
    let allocation = exporter
        .allocate_in(desc, here)
        .map_err(NoMemory::Exporter)?;
    let charge = charge.map(|charge| charge.resized(allocation.bytes()));
    let objection = here.objection_to(&allocation);
    let taken = accept(exporter.name(), desc, &allocation, objection);
    let taken = taken.map_err(NoMemory::Exporter);
    let is_padded = allocation.bytes() > bytes;
    let fits = taken.and_then(|()| match is_padded {
        // The charge includes the padding now, which may be more than there is room for.
        true => make_room(0).map(drop),
        false => Ok(()),
    });
    if let Err(error) = fits {
        let after = allocation.usable_after.iter().cloned().collect();
        exporter.recycle(desc, allocation, after);
        return Err(error);
    }
    Ok((allocation, charge))
}
