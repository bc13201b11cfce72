//! From a plan to the objects and properties of an atomic request.

use std::os::fd::AsFd;
use std::sync::Arc;

use drm::control::Device as _;
use smallvec::SmallVec;

use crate::card::CardInner;
use crate::configuration::{CrtcConfiguration, PlaneConfiguration};
use crate::device::DrmDevice;
use crate::in_fences::InFences;
use crate::plan::{OutputPlan, Plan, PlanePlan, is_modeset};
use crate::request::Request;
use crate::resources::Crtc;
use crate::state::State;
use crate::{DeviceError, Mode, Rectangle, sys};

/// The slot into which the kernel writes the writeback fence of a commit's `output`-th output.
pub(crate) fn capture_slot(output: usize) -> usize {
    output * 2
}

/// The slot for its out-fence.
pub(crate) fn out_fence_slot(output: usize) -> usize {
    output * 2 + 1
}

/// A kernel copy of a mode. The CRTC that uses it keeps it; this is for the time until then.
#[derive(Debug)]
pub(crate) struct ModeBlob {
    device: Arc<DrmDevice>,
    id: u64,
}

impl ModeBlob {
    fn new(device: &Arc<DrmDevice>, mode: Mode) -> Result<Self, DeviceError> {
        let blob = device.call("MODE_CREATEPROPBLOB", || {
            device.create_property_blob(&mode.as_drm())
        })?;
        Ok(Self {
            device: device.clone(),
            id: blob.into(),
        })
    }
}

impl Drop for ModeBlob {
    fn drop(&mut self) {
        if let Err(error) = sys::retry_idempotent(|| {
            let id = u32::try_from(self.id).unwrap_or(0);
            drm_ffi::mode::destroy_property_blob(self.device.as_fd(), id)
        }) {
            tracing::error!(%error, "DESTROYPROPBLOB failed");
        }
    }
}

/// Puts the difference between the present and the next configuration into the request, and the
/// framebuffers and fences of the plan. Gives the modes' blobs: they must live until the commit.
pub(crate) fn fill(
    inner: &CardInner,
    state: &mut State,
    plan: &Plan<'_>,
    fences: &InFences,
    out_fences: bool,
) -> Result<SmallVec<[ModeBlob; 2]>, DeviceError> {
    let mut blobs = SmallVec::new();
    state.request.clear();
    state.slots.reset(plan.outputs.len() * 2);
    for (index, output) in plan.outputs.iter().enumerate() {
        let Some(crtc) = output.crtc else { continue };
        let current = state.current.crtcs[crtc];
        match state.next.crtcs[crtc] {
            Some(next) => {
                let changes = is_modeset(current.as_ref(), Some(&next));
                let blob = if changes {
                    let blob = ModeBlob::new(&inner.device, next.mode)?;
                    let id = blob.id;
                    blobs.push(blob);
                    Some(id)
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
    for index in 0..state.next.planes.len() {
        let properties = &inner.resources.planes[index];
        match (state.current.planes[index], state.next.planes[index]) {
            (_, Some(next)) => {
                let planned = plan.planes.iter().enumerate();
                if let Some((flat, plane)) = planned.clone().find(|(_, p)| p.plane == index) {
                    plane_on(inner, &mut state.request, plane, &next, fences.fd(flat));
                }
            }
            (Some(_), None) => plane_off(&mut state.request, properties),
            (None, None) => {
                if state.foreign.planes.contains(&properties.id()) {
                    plane_off(&mut state.request, properties);
                }
            }
        }
    }
    switch_foreign_off(inner, state);
    Ok(blobs)
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
    // The CRTC is always named: an event comes for CRTCs in the request only.
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

fn plane_on(
    inner: &CardInner,
    request: &mut Request,
    plan: &PlanePlan<'_>,
    next: &PlaneConfiguration,
    fence: Option<i32>,
) {
    let plane = &inner.resources.planes[plan.plane];
    let properties = &plane.inner.properties;
    request.object(plane.id());
    request.set(properties.fb_id, plan.commit.mapping.object().id().into());
    request.set(
        properties.crtc_id,
        inner.resources.crtcs[plan.crtc].id.into(),
    );
    for (property, value) in properties.source.iter().zip(fixed_point(next.source)) {
        request.set(*property, value);
    }
    for (property, value) in properties.destination.iter().zip(pixels(next.destination)) {
        request.set(*property, value);
    }
    if let Some(colour) = next.colour {
        let encoding = properties.colour_encoding(colour.matrix);
        let range = properties.colour_range(colour.range);
        for (property, value) in [encoding, range].into_iter().flatten() {
            request.set(property, value);
        }
    }
    if let (Some(property), Some(fd)) = (properties.in_fence_fd, fence) {
        request.set(property, i64::from(fd).cast_unsigned());
    }
}

fn plane_off(request: &mut Request, plane: &crate::Plane) {
    let properties = &plane.inner.properties;
    request.object(plane.id());
    request.set(properties.fb_id, 0);
    request.set(properties.crtc_id, 0);
}

/// What others had on and this commit does not use: a kernel console, a program that has gone.
fn switch_foreign_off(inner: &CardInner, state: &mut State) {
    for (id, active, mode_id) in &state.foreign.crtcs {
        let ours = inner
            .resources
            .crtcs
            .iter()
            .position(|crtc| crtc.id == *id)
            .is_some_and(|index| state.next.crtcs[index].is_some());
        if !ours {
            state.request.object(*id);
            state.request.set(*active, 0);
            state.request.set(*mode_id, 0);
        }
    }
    for (id, crtc_id) in &state.foreign.connectors {
        let drives = |crtc: &CrtcConfiguration| crtc.connector == *id;
        let attached = |(index, crtc): (usize, &Option<CrtcConfiguration>)| {
            let writeback = inner.resources.crtcs[index].writeback.as_ref();
            crtc.is_some_and(|crtc| crtc.writeback_attached)
                && writeback.is_some_and(|connector| connector.id == *id)
        };
        let mut crtcs = state.next.crtcs.iter().enumerate();
        let ours = state.next.crtcs.iter().flatten().any(drives) || crtcs.any(attached);
        if !ours {
            state.request.object(*id);
            state.request.set(*crtc_id, 0);
        }
    }
}

/// `SRC_*`: 16.16 fixed point; the plan has checked that nothing is negative or too large.
fn fixed_point(source: Rectangle) -> [u64; 4] {
    let start = |pixels: i32| u64::try_from(pixels).unwrap_or(0) << 16;
    [
        start(source.x),
        start(source.y),
        u64::from(source.width) << 16,
        u64::from(source.height) << 16,
    ]
}

/// `CRTC_*`: signed positions (as the kernel casts them from 64 bits), sizes in pixels.
fn pixels(destination: Rectangle) -> [u64; 4] {
    [
        i64::from(destination.x).cast_unsigned(),
        i64::from(destination.y).cast_unsigned(),
        destination.width.into(),
        destination.height.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_become_property_values() {
        let rectangle = Rectangle::new(3, 4, 1024, 768);
        assert_eq!(
            fixed_point(rectangle),
            [3 << 16, 4 << 16, 1024 << 16, 768 << 16]
        );
        let negative = Rectangle::new(-1, -2, 5, 6);
        assert_eq!(pixels(negative), [u64::MAX, u64::MAX - 1, 5, 6]);
    }
}
