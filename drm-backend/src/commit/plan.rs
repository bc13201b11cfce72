//! Translation of a commit request into the card's next configuration. All checks are made here,
//! before the driver sees the commit.

use std::sync::Arc;

use dmashare::Rectangle;
use dmashare::{Extent, Mapping};
use smallvec::SmallVec;

use crate::card::configuration::{CrtcConfiguration, FramebufferKind, PlaneConfiguration};
use crate::card::state::State;
use crate::card::{Card, CardInner};
use crate::commit::{Commit, OutputCommit, PlaneCommit, damage_blob};
use crate::error::CommitError;
use crate::framebuffer::Framebuffer;
use crate::kms::output::Output;

/// One output of a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutputPlan<'a> {
    pub(crate) commit: &'a OutputCommit,
    /// Index of the CRTC; `None` if the output is off and stays off.
    pub(crate) crtc: Option<usize>,
}

/// One plane of a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanePlan<'a> {
    pub(crate) commit: &'a PlaneCommit,
    pub(crate) plane: usize,
    pub(crate) crtc: usize,
    pub(crate) output: &'a Output,
}

/// A resolved commit. The resulting configuration is in [`State::next`].
#[derive(Debug, Default)]
pub(crate) struct Plan<'a> {
    pub(crate) outputs: SmallVec<[OutputPlan<'a>; 2]>,
    /// In the order of [`Commit::planes`].
    pub(crate) planes: SmallVec<[PlanePlan<'a>; 8]>,
    /// The commit enables or disables a CRTC, or changes its mode or connectors.
    pub(crate) modeset: bool,
}

fn kind(framebuffer: &Framebuffer) -> FramebufferKind {
    FramebufferKind {
        format: framebuffer.format(),
        modifier: framebuffer.modifier(),
        extent: framebuffer.extent(),
    }
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        inner: &Arc<CardInner>,
        state: &mut State,
        commit: &'a Commit,
    ) -> Result<Self, CommitError> {
        let mut plan = Self::default();
        state.next.clone_from(&state.current);
        state.next.without_captures();
        for output in &commit.outputs {
            plan.add_output(inner, state, output)?;
        }
        plan.modeset = !state.foreign.is_empty()
            || state
                .current
                .crtcs
                .iter()
                .zip(&state.next.crtcs)
                .any(|(current, next)| is_modeset(current.as_ref(), next.as_ref()));
        Ok(plan)
    }

    fn add_output(
        &mut self,
        inner: &Arc<CardInner>,
        state: &mut State,
        output: &'a OutputCommit,
    ) -> Result<(), CommitError> {
        let name = || output.output.name().to_owned();
        let connector = output.output.connector();
        let known = state
            .connectors
            .iter()
            .find(|known| Arc::ptr_eq(&known.connector, connector))
            .ok_or_else(|| CommitError::Foreign {
                what: format!("output {}", output.output.name()),
                card: inner.device.name().to_owned(),
            })?;
        let twice =
            |other: &OutputPlan<'_>| Arc::ptr_eq(other.commit.output.connector(), connector);
        if self.outputs.iter().any(twice) {
            return Err(CommitError::Twice { what: name() });
        }
        let (connected, crtc) = (known.connected, known.crtc);
        let current = crtc
            .and_then(|crtc| state.current.crtcs[crtc])
            .filter(|current| current.connector == connector.id);
        let Some(crtc) = crtc.filter(|_| output.active || current.is_some()) else {
            if output.active {
                return Err(if connected {
                    CommitError::NoCrtc { output: name() }
                } else {
                    CommitError::Disconnected { output: name() }
                });
            }
            self.outputs.push(OutputPlan {
                commit: output,
                crtc: None,
            });
            return Ok(());
        };
        for plane in &mut state.next.planes {
            if plane.is_some_and(|plane| plane.crtc == crtc) {
                *plane = None;
            }
        }
        self.outputs.push(OutputPlan {
            commit: output,
            crtc: Some(crtc),
        });
        if !output.active {
            state.next.crtcs[crtc] = None;
            return Ok(());
        }
        let mode = output
            .mode
            .or(current.map(|current| current.mode))
            .or_else(|| output.output.preferred_mode())
            .ok_or_else(|| CommitError::NoMode { output: name() })?;
        let kept = current.filter(|current| current.mode == mode);
        if kept.is_none() && !connected {
            return Err(CommitError::Disconnected { output: name() });
        }
        let capture = match &output.writeback {
            Some(target) => Some(capture(inner, crtc, mode.extent(), output, target)?),
            None => None,
        };
        state.next.crtcs[crtc] = Some(CrtcConfiguration {
            connector: connector.id,
            mode,
            writeback_attached: capture.is_some()
                || kept.is_some_and(|kept| kept.writeback_attached),
            capture,
        });
        for plane in &output.planes {
            self.add_plane(inner, state, output, plane, crtc, mode.extent())?;
        }
        Ok(())
    }

    fn add_plane(
        &mut self,
        inner: &Arc<CardInner>,
        state: &mut State,
        output: &'a OutputCommit,
        commit: &'a PlaneCommit,
        crtc: usize,
        screen: Extent,
    ) -> Result<(), CommitError> {
        let no_plane = |plane, reason| CommitError::NoPlane {
            plane,
            output: output.output.name().to_owned(),
            reason,
        };
        check_card(inner, &commit.mapping)?;
        let index = match &commit.plane {
            Some(plane) => plane.inner.index,
            None => inner.resources.crtcs[crtc]
                .primary
                .ok_or_else(|| no_plane(0, "the output has no primary plane"))?,
        };
        let plane = inner.resources.planes.get(index);
        let Some(plane) = plane.filter(|plane| {
            let chosen = commit.plane.as_ref();
            chosen.is_none_or(|chosen| Arc::ptr_eq(&chosen.inner, &plane.inner))
        }) else {
            return Err(CommitError::Foreign {
                what: "a plane".to_owned(),
                card: inner.device.name().to_owned(),
            });
        };
        if !plane.fits_crtc(crtc) {
            return Err(no_plane(plane.id(), "the hardware does not support it"));
        }
        if self.planes.iter().any(|other| other.plane == index) {
            return Err(CommitError::Twice {
                what: format!("plane {}", plane.id()),
            });
        }
        // The plane's timeline releases buffers with the flips of one CRTC, so the plane must first be
        // disabled there.
        let elsewhere = |plane: &Option<PlaneConfiguration>| {
            plane.as_ref().is_some_and(|plane| plane.crtc != crtc)
        };
        if elsewhere(&state.current.planes[index]) || elsewhere(&state.next.planes[index]) {
            return Err(no_plane(plane.id(), "another output uses it"));
        }
        let framebuffer = commit.mapping.object();
        if !plane
            .formats()
            .contains(framebuffer.format(), framebuffer.modifier())
        {
            return Err(CommitError::PlaneFormat {
                plane: plane.id(),
                format: framebuffer.format(),
                modifier: framebuffer.modifier(),
            });
        }
        let source = source(commit, framebuffer.extent(), screen)?;
        let (width, height) = if commit.appearance.rotation.swaps_axes() {
            (source.height, source.width)
        } else {
            (source.width, source.height)
        };
        let destination = Rectangle::new(0, 0, width, height);
        damage_blob::check(&commit.damage, framebuffer.extent())?;
        let optional = &plane.inner.properties.optional;
        state.next.planes[index] = Some(PlaneConfiguration {
            crtc,
            source,
            destination: commit.destination.unwrap_or(destination),
            framebuffer: kind(framebuffer),
            values: optional.values(&commit.appearance, framebuffer.meaning())?,
        });
        self.planes.push(PlanePlan {
            commit,
            plane: index,
            crtc,
            output: &output.output,
        });
        Ok(())
    }
}

/// The source rectangle: the requested one, or by default as much of the buffer as fits the screen.
fn source(commit: &PlaneCommit, extent: Extent, screen: Extent) -> Result<Rectangle, CommitError> {
    let (width, height) = if commit.appearance.rotation.swaps_axes() {
        (screen.height, screen.width)
    } else {
        (screen.width, screen.height)
    };
    let source = commit.source.unwrap_or(Rectangle::new(
        0,
        0,
        extent.width.min(width),
        extent.height.min(height),
    ));
    if source.is_inside(extent)
        // SRC_* are 16.16 fixed point.
        && extent.width < 1 << 16
        && extent.height < 1 << 16
    {
        return Ok(source);
    }
    Err(CommitError::Source {
        x: source.x,
        y: source.y,
        width: source.width,
        height: source.height,
        extent,
    })
}

fn capture(
    inner: &Arc<CardInner>,
    crtc: usize,
    screen: Extent,
    output: &OutputCommit,
    target: &Mapping<Card>,
) -> Result<FramebufferKind, CommitError> {
    let refused = |reason: String| CommitError::NoWriteback {
        output: output.output.name().to_owned(),
        buffer: target.buffer_name().to_owned(),
        reason,
    };
    check_card(inner, target)?;
    let writeback = inner.resources.crtcs[crtc]
        .writeback
        .as_ref()
        .and_then(|connector| connector.writeback.as_ref())
        .ok_or_else(|| refused("the output has no writeback connector".to_owned()))?;
    let framebuffer = target.object();
    if !writeback.formats.contains(&framebuffer.format()) {
        return Err(refused(format!(
            "its writeback connector supports {:?}, not {}",
            writeback.formats,
            framebuffer.format()
        )));
    }
    if framebuffer.extent() != screen {
        return Err(refused(format!(
            "the mode is {screen}, the buffer is {}",
            framebuffer.extent()
        )));
    }
    Ok(kind(framebuffer))
}

fn check_card(inner: &Arc<CardInner>, mapping: &Mapping<Card>) -> Result<(), CommitError> {
    if mapping.importer().is(inner) {
        return Ok(());
    }
    Err(CommitError::Foreign {
        what: format!("the mapping of '{}'", mapping.buffer_name()),
        card: inner.device.name().to_owned(),
    })
}

/// Whether the change of a CRTC requires `ALLOW_MODESET`.
pub(crate) fn is_modeset(
    current: Option<&CrtcConfiguration>,
    next: Option<&CrtcConfiguration>,
) -> bool {
    let lasting = |crtc: &CrtcConfiguration| (crtc.connector, crtc.mode, crtc.writeback_attached);
    current.map(lasting) != next.map(lasting)
}
