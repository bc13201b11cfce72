//! Moving a buffer to where a device can use it.

use std::sync::Arc;

use crate::buffer::BufferInner;
use crate::buffer::attachment_core::AttachmentCore;
use crate::buffer::attachment_error::{MapError, PinError};
use crate::buffer::move_error::MoveError;

impl BufferInner {
    /// Moves an evicted buffer back, and moves the buffer to where an attachment can use it.
    pub(crate) fn bring_within_reach(
        self: &Arc<Self>,
        core: &AttachmentCore,
    ) -> Result<(), MapError> {
        if self.is_displaced()
            && let Some(keeper) = self.keeper()
        {
            keeper.bring_back();
        }
        let Some((wanted, importer, reason)) = ({
            let mut state = self.state();
            let backing = state.backing.clone();
            state.entry(core.id()).and_then(|entry| {
                let reason = entry.constraint.objection(&backing)?;
                Some((entry.constraint.clone(), entry.name.to_string(), reason))
            })
        }) else {
            return Ok(());
        };
        match self.move_to(&wanted) {
            Ok(_) => Ok(()),
            Err(MoveError::Static { .. } | MoveError::NoPlacement { .. }) => {
                Err(MapError::Unreachable {
                    buffer: self.name().to_owned(),
                    importer,
                    reason,
                })
            }
            // Another thread is moving it to suitable memory.
            Err(MoveError::Moving { .. }) if wanted.objection(&self.backing()).is_none() => Ok(()),
            Err(error) => Err(MapError::Move {
                source: Box::new(error),
            }),
        }
    }

    /// Moves the buffer to where all attachments can use it.
    pub(crate) fn bring_within_reach_of_all(
        self: &Arc<Self>,
        core: &AttachmentCore,
    ) -> Result<(), PinError> {
        let unreachable = |importer: String, reason: String| PinError::Unreachable {
            buffer: self.name().to_owned(),
            importer,
            reason,
        };
        let (importer, wanted, is_fitting) = {
            let mut state = self.state();
            let backing = state.backing.clone();
            let Some(entry) = state.entry(core.id()) else {
                return Ok(());
            };
            let importer = entry.name.to_string();
            let own = entry.constraint.clone();
            let is_fitting = own.objection(&backing).is_none();
            let mut others = state.entries.iter();
            let all = others.try_fold(own, |all, entry| all.intersect(&entry.constraint));
            (importer, all, is_fitting)
        };
        let Some(wanted) = wanted else {
            let reason = "no memory suits all attachments".to_owned();
            return Err(unreachable(importer, reason));
        };
        if is_fitting && wanted.objection(&self.backing()).is_none() {
            return Ok(());
        }
        match self.move_to(&wanted) {
            Ok(_) => Ok(()),
            Err(error @ (MoveError::Static { .. } | MoveError::NoPlacement { .. })) => {
                Err(unreachable(importer, error.to_string()))
            }
            Err(MoveError::Moving { buffer }) => Err(PinError::Moving { buffer }),
            Err(MoveError::Revoked { buffer }) => Err(PinError::Revoked { buffer }),
            Err(error) => Err(PinError::Move {
                source: Box::new(error),
            }),
        }
    }
}
