//! Translation of a plan into the objects and properties of an atomic request.

use smallvec::SmallVec;

use crate::card::CardInner;
use crate::card::configuration::CrtcConfiguration;
use crate::card::state::State;
use crate::commit::attempt::Attempt;
use crate::commit::damage_blob;
use crate::commit::plan::{OutputPlan, PlanePlan, is_modeset};
use crate::commit::plane_request::{PlaneOn, plane_off, plane_on};
use crate::error::DeviceError;
use crate::kms::blob::PropertyBlob;
use crate::kms::request::Request;
use crate::kms::resources::Crtc;
use crate::kms::snapshot::ForeignCrtc;
use crate::plane_property::PlaneProperty;

/// Index of the slot that receives the writeback fence of a commit's `output`-th output.
pub(crate) fn capture_slot(output: usize) -> usize {
    output * 2
}

/// Index of the slot that receives the out-fence of a commit's `output`-th output.
pub(crate) fn out_fence_slot(output: usize) -> usize {
    output * 2 + 1
}

/// Blobs of the modes and damage clips that a request references.
pub(crate) type Blobs = SmallVec<[PropertyBlob; 4]>;

impl Attempt<'_> {
    /// Fills the request with the difference between the current and the next configuration, and with
    /// the framebuffers, fences and damage of the plan. Returns the blobs that the request references;
    /// they must live until the commit.
    pub(crate) fn build_request(&mut self, out_fences: bool) -> Result<Blobs, DeviceError> {
        let (inner, plan, fences) = (self.inner, &self.plan, self.fences);
        let state = &mut *self.state;
        let mut blobs = Blobs::new();
        state.request.clear();
        state.slots.reset(plan.outputs.len() * 2);
        for (index, output) in plan.outputs.iter().enumerate() {
            let Some(crtc) = output.crtc else { continue };
            let current = state.current.crtcs[crtc];
            match state.next.crtcs[crtc] {
                Some(next) => {
                    let changes = is_modeset(current.as_ref(), Some(&next));
                    let blob = if changes {
                        let blob = PropertyBlob::mode(&inner.device, next.mode)?;
                        let value = blob.value();
                        blobs.push(blob);
                        Some(value)
                    } else {
                        None
                    };
                    crtc_on(inner, state, output, (index, crtc), &next, blob, out_fences);
                }
                None => crtc_off(
                    &mut state.request,
                    &inner.resources.crtcs[crtc],
                    output,
                    current.as_ref(),
                ),
            }
        }
        for (flat, plane) in plan.planes.iter().enumerate() {
            let objects = &inner.resources.planes[plane.plane];
            let damage = damage_blob(inner, plane, &mut blobs)?;
            let on = PlaneOn {
                plane: objects.id(),
                crtc: inner.resources.crtcs[plane.crtc].id,
                framebuffer: plane.commit.mapping.object().id(),
                fence: fences.fd(flat),
                damage,
            };
            let current = state.current.planes[plane.plane].as_ref();
            if let Some(next) = &state.next.planes[plane.plane] {
                let properties = &objects.inner.properties;
                plane_on(&mut state.request, properties, on, current, next);
            }
        }
        for (index, plane) in inner.resources.planes.iter().enumerate() {
            let ours = state.current.planes[index].is_some();
            let mut foreign = state.foreign.planes.iter();
            let on = ours || foreign.any(|foreign| foreign.id == plane.id());
            if on && state.next.planes[index].is_none() {
                plane_off(&mut state.request, plane.id(), &plane.inner.properties);
            }
        }
        switch_foreign_off(inner, state);
        Ok(blobs)
    }

    /// Fills the request to disable the inactive CRTCs that another program set up, with their planes
    /// and connectors. This is a separate commit: the kernel sends no flip event for a CRTC that is
    /// off and stays off, and rejects a commit that requests events and includes such a CRTC
    /// (`drm_atomic_crtc_check`).
    pub(crate) fn build_request_for_sleeping(&mut self) {
        let (inner, state) = (self.inner, &mut *self.state);
        let request = &mut state.request;
        request.clear();
        for foreign in state.foreign.crtcs.iter().filter(|crtc| crtc.sleeps) {
            crtc_unset(request, foreign);
        }
        for foreign in state.foreign.planes.iter().filter(|plane| plane.sleeps) {
            let mut planes = inner.resources.planes.iter();
            if let Some(plane) = planes.find(|plane| plane.id() == foreign.id) {
                plane_off(request, plane.id(), &plane.inner.properties);
            }
        }
        let connectors = state.foreign.connectors.iter();
        for foreign in connectors.filter(|connector| connector.sleeps) {
            request.object(foreign.id);
            request.set(foreign.crtc_id, 0);
        }
    }
}

/// Creates the blob of a plane's damage clips. Returns `None` without clips or if the plane does not
/// support them.
fn damage_blob(
    inner: &CardInner,
    plan: &PlanePlan<'_>,
    blobs: &mut Blobs,
) -> Result<Option<u64>, DeviceError> {
    let plane = &inner.resources.planes[plan.plane];
    let clips = &plan.commit.damage;
    if clips.is_empty() || !plane.has(PlaneProperty::FbDamageClips) {
        return Ok(None);
    }
    let blob = PropertyBlob::new(&inner.device, &mut damage_blob::blob(clips))?;
    let value = blob.value();
    blobs.push(blob);
    Ok(Some(value))
}

/// Whether the request must name a CRTC that stays on. Otherwise the kernel adds the CRTC because of
/// the planes in the request, which are all planes that the commit lists.
fn names_crtc(
    current: Option<&CrtcConfiguration>,
    next: &CrtcConfiguration,
    planes: usize,
    out_fences: bool,
) -> bool {
    let captured = next.capture.is_some();
    planes == 0 || out_fences || captured || is_modeset(current, Some(next))
}

fn crtc_on(
    inner: &CardInner,
    state: &mut State,
    output: &OutputPlan<'_>,
    (index, crtc): (usize, usize),
    next: &CrtcConfiguration,
    blob: Option<u64>,
    out_fences: bool,
) {
    let objects = &inner.resources.crtcs[crtc];
    let current = state.current.crtcs[crtc];
    let planes = output.commit.planes.len();
    if !names_crtc(current.as_ref(), next, planes, out_fences) {
        return;
    }
    state.request.object(objects.id);
    state.request.set(objects.active, 1);
    if let Some(blob) = blob {
        state.request.set(objects.mode_id, blob);
    }
    if let Some(property) = objects.out_fence_ptr.filter(|_| out_fences) {
        let address = state.slots.address(out_fence_slot(index));
        state.request.set(property, address);
    }
    if blob.is_some() {
        let connector = output.commit.output.connector();
        state.request.object(connector.id);
        state.request.set(connector.crtc_id, objects.id.into());
        if let Some(previous) = current.filter(|previous| previous.connector != connector.id)
            && let Some(known) = state
                .connectors
                .iter()
                .find(|known| known.connector.id == previous.connector)
        {
            state.request.object(known.connector.id);
            state.request.set(known.connector.crtc_id, 0);
        }
    }
    let attached = current.is_some_and(|current| current.writeback_attached);
    if (attached != next.writeback_attached || next.capture.is_some())
        && let Some(connector) = &objects.writeback
    {
        state.request.object(connector.id);
        if attached != next.writeback_attached || blob.is_some() {
            let crtc = if next.writeback_attached {
                objects.id
            } else {
                0
            };
            state.request.set(connector.crtc_id, crtc.into());
        }
        let target = output.commit.writeback.as_ref();
        if let (Some(writeback), Some(target)) = (&connector.writeback, target) {
            let address = state.slots.address(capture_slot(index));
            let framebuffer = target.object().id();
            state.request.set(writeback.fb_id, framebuffer.into());
            state.request.set(writeback.out_fence_ptr, address);
        }
    }
}

fn crtc_off(
    request: &mut Request,
    objects: &Crtc,
    output: &OutputPlan<'_>,
    current: Option<&CrtcConfiguration>,
) {
    request.object(objects.id);
    request.set(objects.active, 0);
    request.set(objects.mode_id, 0);
    let connector = output.commit.output.connector();
    request.object(connector.id);
    request.set(connector.crtc_id, 0);
    if let Some(writeback) = &objects.writeback
        && current.is_some_and(|current| current.writeback_attached)
    {
        request.object(writeback.id);
        request.set(writeback.crtc_id, 0);
    }
}

/// Disables a CRTC that another program set up.
fn crtc_unset(request: &mut Request, foreign: &ForeignCrtc) {
    request.object(foreign.id);
    request.set(foreign.active, 0);
    request.set(foreign.mode_id, 0);
}

/// Disables the CRTCs and connectors that others set up, such as the kernel console or a program that
/// has exited, and that this commit does not use.
fn switch_foreign_off(inner: &CardInner, state: &mut State) {
    for foreign in &state.foreign.crtcs {
        let ours = inner
            .resources
            .crtcs
            .iter()
            .position(|crtc| crtc.id == foreign.id)
            .is_some_and(|index| state.next.crtcs[index].is_some());
        if !ours {
            crtc_unset(&mut state.request, foreign);
        }
    }
    for foreign in &state.foreign.connectors {
        let drives = |crtc: &CrtcConfiguration| crtc.connector == foreign.id;
        let attached = |(index, crtc): (usize, &Option<CrtcConfiguration>)| {
            let writeback = inner.resources.crtcs[index].writeback.as_ref();
            crtc.is_some_and(|crtc| crtc.writeback_attached)
                && writeback.is_some_and(|connector| connector.id == foreign.id)
        };
        let mut crtcs = state.next.crtcs.iter().enumerate();
        let ours = state.next.crtcs.iter().flatten().any(drives) || crtcs.any(attached);
        if !ours {
            state.request.object(foreign.id);
            state.request.set(foreign.crtc_id, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::mode::Mode;

    fn on() -> CrtcConfiguration {
        CrtcConfiguration {
            connector: 5,
            mode: Mode::from_drm(drm_ffi::drm_mode_modeinfo::default().into()),
            writeback_attached: false,
            capture: None,
        }
    }

    #[test]
    fn a_crtc_is_named_only_when_something_of_it_is_asked_for() {
        let same = on();
        assert!(!names_crtc(Some(&same), &same, 1, false), "a steady flip");
        assert!(names_crtc(None, &same, 1, false), "it goes on");
        assert!(
            names_crtc(Some(&same), &same, 0, false),
            "no plane brings it"
        );
        assert!(names_crtc(Some(&same), &same, 1, true), "an out-fence");
        let attached = CrtcConfiguration {
            writeback_attached: true,
            ..same
        };
        assert!(names_crtc(Some(&same), &attached, 1, false), "a connector");
    }
}
