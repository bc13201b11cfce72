//! Making a buffer: by an exporter that moves memory or does not, or around a dma-buf from elsewhere.

use std::sync::Arc;

use crate::buffer::BufferInner;
use crate::buffer::keeper::Force;
use crate::dmabuf::DmaBuf;
use crate::fence::held_reservations;
use crate::fence::reservation::Reservation;
use crate::fence::usage::FenceUsage;
use crate::image::buffer_desc::BufferDesc;
use crate::image::modifier::Modifier;
use crate::memory::backing::{Allocation, Backing, Generation};
use crate::memory::constraint::AccessConstraint;
use crate::memory::dynamic_exporter::DynamicExporter;
use crate::memory::export_error::ExportError;
use crate::memory::exporter::Exporter;
use crate::memory::ledger::Charge;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::placement::Placement;
use crate::residency::{Priority, Shared};
use crate::shared_buffer::SharedBuffer;

impl SharedBuffer {
    /// Has `exporter` make a buffer with one of `modifiers`, and names it in the kernel's lists.
    ///
    /// # Errors
    /// [`ExportError`] by cause; nothing is left behind.
    pub fn new<E: Exporter + Clone + 'static>(
        exporter: &E,
        desc: BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Self, ExportError> {
        may_allocate(&desc)?;
        check(&desc)?;
        let allocation = exporter.allocate(&desc, modifiers)?;
        allocation.dmabuf.set_name(&desc.name)?;
        Ok(Self::from_allocation(
            desc,
            Some(Arc::new(exporter.clone())),
            None,
            allocation,
            None,
        ))
    }

    /// Wraps a dma-buf that came from elsewhere: another process, a camera, an API without a
    /// backend here. It never moves. Its format and extent must be those of `desc`.
    ///
    /// The dma-buf may carry fences of its own (implicit ones), and whoever made it may look for yours
    /// there. The library does neither by itself. Set one of the buffer's attachments to
    /// [`SyncMode::Implicit`](crate::SyncMode::Implicit), and every use does both; or do it by hand:
    /// [`DmaBuf::fences`] gives the fences that are there now, and [`SharedBuffer::add_fence`] has later
    /// uses wait for them.
    ///
    /// # Errors
    /// [`ExportError::Layout`] if the description is not valid or not that of the dma-buf.
    pub fn from_dmabuf(desc: BufferDesc, dmabuf: DmaBuf) -> Result<Self, ExportError> {
        check(&desc)?;
        if desc.format != dmabuf.format() || desc.extent != dmabuf.extent() {
            return Err(crate::image::layout_error::LayoutError::DescMismatch {
                asked: (desc.format, desc.extent),
                given: (dmabuf.format(), dmabuf.extent()),
            }
            .into());
        }
        let allocation = Allocation::new(dmabuf, Placement::Unknown, Arc::new(()));
        Ok(Self::from_allocation(desc, None, None, allocation, None))
    }

    /// Has `exporter` make a buffer that can move, in memory that fits `wanted`
    /// ([`AccessConstraint::default`] for the exporter's own choice), and names it in the kernel's
    /// lists. [`Residency::create`](crate::Residency::create) does the same within a budget.
    ///
    /// # Errors
    /// [`ExportError`] by cause; nothing is left behind.
    pub fn new_dynamic<E: DynamicExporter + Clone + 'static>(
        exporter: &E,
        desc: BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<Self, ExportError> {
        let exporter: Arc<dyn DynamicExporter> = Arc::new(exporter.clone());
        Self::make_dynamic(&exporter, desc, wanted, None)
    }

    pub(crate) fn make_dynamic(
        exporter: &Arc<dyn DynamicExporter>,
        desc: BufferDesc,
        wanted: &AccessConstraint,
        residency: Option<(&Arc<Shared>, Priority)>,
    ) -> Result<Self, ExportError> {
        may_allocate(&desc)?;
        check(&desc)?;
        let offered = exporter.placements(&desc)?;
        let mut refused = None;
        for place in Placement::ALL {
            if !(offered & wanted.placements).has(place) {
                continue;
            }
            let here = AccessConstraint {
                placements: place.into(),
                ..wanted.clone()
            };
            match allocate(
                exporter,
                &desc,
                place,
                &here,
                residency.map(|(shared, _)| shared),
            ) {
                Ok((allocation, charge)) => {
                    let this = Self::from_allocation(
                        desc,
                        Some(exporter.clone()),
                        Some(exporter.clone()),
                        allocation,
                        charge,
                    );
                    if let Some((shared, priority)) = residency {
                        shared.add(&this.inner, priority);
                    }
                    return Ok(this);
                }
                // The next place may do; the first refusal tells most.
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(|| ExportError::NoPlacement {
            exporter: exporter.name().to_owned(),
            wanted: wanted.placements,
            offered,
        }))
    }

    fn from_allocation(
        desc: BufferDesc,
        exporter: Option<Arc<dyn Exporter>>,
        dynamic: Option<Arc<dyn DynamicExporter>>,
        mut allocation: Allocation,
        charge: Option<Charge>,
    ) -> Self {
        let reservation = Reservation::default();
        if let Some(fence) = allocation.usable_after.take() {
            drop(reservation.add(FenceUsage::Move, fence, None));
        }
        let backing = Backing::new(allocation, Generation::FIRST, charge);
        tracing::debug!(
            buffer = desc.name,
            inode = backing.dmabuf().id().inode(),
            modifier = %backing.dmabuf().layout().modifier(),
            placement = %backing.placement(),
            "buffer created"
        );
        Self {
            inner: BufferInner::new(desc, exporter, dynamic, reservation, backing),
        }
    }
}

/// Memory is not made while a reservation is held (I16).
fn may_allocate(desc: &BufferDesc) -> Result<(), ExportError> {
    if held_reservations::any() {
        return Err(ExportError::WouldDeadlock {
            name: desc.name.clone(),
        });
    }
    Ok(())
}

/// What no exporter needs to be asked for.
fn check(desc: &BufferDesc) -> Result<(), ExportError> {
    desc.validate()?;
    if desc.protected {
        return Err(ExportError::ProtectedMemory {
            name: desc.name.clone(),
        });
    }
    Ok(())
}

/// Makes memory for a new buffer in one place, within the budget of that place.
fn allocate(
    exporter: &Arc<dyn DynamicExporter>,
    desc: &BufferDesc,
    place: Placement,
    here: &AccessConstraint,
    residency: Option<&Arc<Shared>>,
) -> Result<(Allocation, Option<Charge>), ExportError> {
    let no_space = |error: ResidencyError| ExportError::NoSpace {
        name: desc.name.clone(),
        source: Box::new(error),
    };
    // How much it takes is known when it is made; room for that is made before by what the rows
    // take without padding, and the books are corrected.
    let charge = residency
        .map(|shared| shared.make_room(place, desc.least_bytes(), None, Force::Firmly))
        .transpose()
        .map_err(no_space)?;
    let allocation = exporter.allocate_in(desc, here)?;
    let recycle = |allocation: Allocation| {
        let after = allocation.usable_after.iter().cloned().collect();
        exporter.recycle(desc, allocation, after);
    };
    if let Err(error) = allocation.dmabuf.set_name(&desc.name) {
        recycle(allocation);
        return Err(error.into());
    }
    let charge = charge.map(|charge| charge.resized(allocation.bytes()));
    if let Some(shared) = residency.filter(|shared| shared.is_over(place)) {
        // The padding was too much.
        if let Err(error) = shared.make_room(place, 0, None, Force::Firmly) {
            recycle(allocation);
            return Err(no_space(error));
        }
    }
    Ok((allocation, charge))
}
