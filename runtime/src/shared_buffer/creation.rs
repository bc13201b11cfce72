//! Creates a buffer with a static or a dynamic exporter, or around a dma-buf from elsewhere.

use std::sync::Arc;

use crate::buffer::BufferInner;
use crate::buffer::allocation::{NoMemory, accept, allocate};
use crate::buffer::keeper::{Force, Keeper};
use crate::dmabuf::DmaBuf;
use crate::fence::held_reservations;
use crate::fence::reservation::Reservation;
use crate::fence::usage::FenceUsage;
use crate::image::buffer_desc::BufferDesc;
use crate::image::layout_error::LayoutError;
use crate::image::modifier::Modifier;
use crate::memory::backing::{Allocation, Backing, Generation};
use crate::memory::constraint::AccessConstraint;
use crate::memory::dynamic_exporter::DynamicExporter;
use crate::memory::export_error::ExportError;
use crate::memory::exporter::Exporter;
use crate::memory::ledger::Charge;
use crate::memory::placement::Placement;
use crate::shared_buffer::SharedBuffer;

impl SharedBuffer {
    /// Creates a buffer in memory of `exporter` with one of `modifiers`, and sets its dma-bufs' name
    /// (`DMA_BUF_SET_NAME`). Memory of another format, extent or modifier is refused.
    ///
    /// # Errors
    /// [`ExportError`] by cause; nothing is left allocated.
    pub fn new<E: Exporter + Clone + 'static>(
        exporter: &E,
        desc: BufferDesc,
        modifiers: &[Modifier],
    ) -> Result<Self, ExportError> {
        may_allocate(&desc)?;
        check(&desc)?;
        let allocation = exporter.allocate(&desc, modifiers)?;
        let modifier = allocation.dmabuf.layout().modifier();
        let objection = (!modifiers.contains(&modifier))
            .then(|| format!("its modifier is {modifier}, but must be one of {modifiers:?}"));
        accept(exporter.name(), &desc, &allocation, objection)?;
        Ok(Self::from_allocation(
            desc,
            Some(Arc::new(exporter.clone())),
            None,
            allocation,
            None,
            None,
        ))
    }

    /// Wraps a dma-buf that came from elsewhere: another process, a camera, an API without a backend
    /// here. It never moves. Its format and extent must be those of `desc`.
    ///
    /// The dma-buf may carry implicit fences, and its producer may expect yours there. By default the
    /// library neither reads nor adds any. Set one of the buffer's attachments to
    /// [`SyncMode::Implicit`](crate::SyncMode::Implicit), and every use does both. To do it by hand,
    /// read the current fences with [`DmaBuf::fences`], and make later uses wait for them with
    /// [`SharedBuffer::add_fence`].
    ///
    /// # Errors
    /// [`ExportError::Layout`] if the description is invalid or does not match the dma-buf.
    pub fn from_dmabuf(desc: BufferDesc, dmabuf: DmaBuf) -> Result<Self, ExportError> {
        check(&desc)?;
        if desc.format != dmabuf.format() || desc.extent != dmabuf.extent() {
            return Err(LayoutError::DescMismatch {
                asked: (desc.format, desc.extent),
                given: (dmabuf.format(), dmabuf.extent()),
            }
            .into());
        }
        let allocation = Allocation::new(dmabuf, Placement::Unknown, Arc::new(()));
        Ok(Self::from_allocation(
            desc, None, None, allocation, None, None,
        ))
    }

    /// Creates a buffer that can move, in memory of `exporter` that fits `wanted`
    /// ([`AccessConstraint::default`] for the exporter's own choice), and sets its dma-bufs' name
    /// (`DMA_BUF_SET_NAME`). [`Residency::create`](crate::Residency::create) does the same within a
    /// budget.
    ///
    /// # Errors
    /// [`ExportError`] by cause; nothing is left allocated.
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
        keeper: Option<Arc<dyn Keeper>>,
    ) -> Result<Self, ExportError> {
        may_allocate(&desc)?;
        check(&desc)?;
        let firmly = keeper.as_deref().map(|keeper| (keeper, Force::Firmly));
        // The size is known only after the allocation, so room is made for the rows without padding
        // first.
        let allocated = allocate(exporter, &desc, wanted, desc.least_bytes(), firmly);
        let (allocation, charge) = allocated.map_err(|refused| match refused {
            NoMemory::Exporter(error) => error,
            NoMemory::NoRoom(error) => ExportError::NoSpace {
                name: desc.name.clone(),
                source: Box::new(error),
            },
            NoMemory::NoPlacement { offered } => ExportError::NoPlacement {
                exporter: exporter.name().to_owned(),
                wanted: wanted.placements,
                offered,
            },
        })?;
        Ok(Self::from_allocation(
            desc,
            Some(exporter.clone()),
            Some(exporter.clone()),
            allocation,
            charge,
            keeper,
        ))
    }

    fn from_allocation(
        desc: BufferDesc,
        exporter: Option<Arc<dyn Exporter>>,
        dynamic: Option<Arc<dyn DynamicExporter>>,
        mut allocation: Allocation,
        charge: Option<Charge>,
        keeper: Option<Arc<dyn Keeper>>,
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
            inner: BufferInner::new(desc, exporter, dynamic, reservation, backing, keeper),
        }
    }
}

/// Refuses to allocate while this thread holds a reservation (I16).
fn may_allocate(desc: &BufferDesc) -> Result<(), ExportError> {
    if held_reservations::any() {
        return Err(ExportError::WouldDeadlock {
            name: desc.name.clone(),
        });
    }
    Ok(())
}

/// Refuses descriptions that no exporter supports.
fn check(desc: &BufferDesc) -> Result<(), ExportError> {
    desc.validate()?;
    if desc.protected {
        return Err(ExportError::ProtectedMemory {
            name: desc.name.clone(),
        });
    }
    Ok(())
}
