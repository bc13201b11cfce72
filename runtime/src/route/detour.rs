//! How shadows are made.

use std::fmt;
use std::sync::Arc;

use crate::image::buffer_desc::BufferDesc;
use crate::memory::constraint::AccessConstraint;
use crate::memory::dynamic_exporter::DynamicExporter;
use crate::memory::export_error::ExportError;
use crate::memory::exporter::Exporter;
use crate::residency::Residency;
use crate::residency::member::Priority;
use crate::route::copy_engine::CopyEngine;
use crate::route::error::CopyError;
use crate::shared_buffer::SharedBuffer;

/// Makes the memory of a shadow.
type Make =
    dyn Fn(BufferDesc, &AccessConstraint) -> Result<SharedBuffer, ExportError> + Send + Sync;

/// How to make shadows: an exporter for their memory, and an engine that copies into it.
#[derive(Clone)]
pub struct Detour {
    exporter: Arc<str>,
    make: Arc<Make>,
    engine: Arc<dyn CopyEngine>,
}

impl Detour {
    /// Shadows in memory that the exporter cannot move, such as a display's dumb buffers. Their
    /// modifier is one that the exporter offers and the device's constraint allows.
    pub fn fixed<E, C>(exporter: &E, engine: C) -> Self
    where
        E: Exporter + Clone + 'static,
        C: CopyEngine + 'static,
    {
        let (name, exporter) = (exporter.name().into(), exporter.clone());
        let make = move |desc: BufferDesc, wanted: &AccessConstraint| {
            let mut modifiers = exporter.modifiers(&desc)?;
            if let Some(taken) = &wanted.modifiers {
                modifiers.retain(|modifier| taken.contains(modifier));
            }
            SharedBuffer::new(&exporter, desc, &modifiers)
        };
        Self::new(name, Arc::new(make), engine)
    }

    /// Shadows in memory that can move, in a place and with strides that meet the device's constraint.
    pub fn moving<E, C>(exporter: &E, engine: C) -> Self
    where
        E: DynamicExporter + Clone + 'static,
        C: CopyEngine + 'static,
    {
        let (name, exporter) = (exporter.name().into(), exporter.clone());
        let make = move |desc: BufferDesc, wanted: &AccessConstraint| {
            SharedBuffer::new_dynamic(&exporter, desc, wanted)
        };
        Self::new(name, Arc::new(make), engine)
    }

    /// Like [`moving`](Self::moving), within a budget: the residency counts the shadows, and moves them
    /// out like other buffers.
    pub fn within<E, C>(residency: &Residency, priority: Priority, exporter: &E, engine: C) -> Self
    where
        E: DynamicExporter + Clone + 'static,
        C: CopyEngine + 'static,
    {
        let (name, exporter) = (exporter.name().into(), exporter.clone());
        let residency = residency.clone();
        let make = move |desc: BufferDesc, wanted: &AccessConstraint| {
            residency.create(&exporter, desc, wanted, priority)
        };
        Self::new(name, Arc::new(make), engine)
    }

    fn new(exporter: Arc<str>, make: Arc<Make>, engine: impl CopyEngine + 'static) -> Self {
        Self {
            exporter,
            make,
            engine: Arc::new(engine),
        }
    }

    pub(super) fn exporter(&self) -> &str {
        &self.exporter
    }

    pub(super) fn engine(&self) -> &Arc<dyn CopyEngine> {
        &self.engine
    }

    /// Makes a shadow that meets `wanted`.
    pub(super) fn make(
        &self,
        desc: BufferDesc,
        wanted: &AccessConstraint,
    ) -> Result<SharedBuffer, CopyError> {
        let buffer = (self.make)(desc, wanted)?;
        // An exporter that does not move memory ignores most of the constraint.
        match wanted.objection(&buffer.backing()) {
            Some(reason) => Err(CopyError::Unfit { reason }),
            None => Ok(buffer),
        }
    }
}

impl fmt::Display for Detour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} copied by {}", self.exporter, self.engine.name())
    }
}

impl fmt::Debug for Detour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detour")
            .field("exporter", &self.exporter)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}
