//! Detection of a card's outputs and CRTC assignment.

use std::os::fd::AsFd;
use std::sync::Arc;

use drm::control::from_u32;

use crate::card::state::{KnownConnector, State};
use crate::card::{Card, CardInner};
use crate::error::OpenError;
use crate::kms::connector::{Connector, ConnectorStatus};
use crate::kms::crtc_assignment::assign;
use crate::kms::output::Output;
use crate::kms::resources::is_gone;
use crate::sys;

impl Card {
    /// The current outputs of the card. The driver probes every connector, which takes as long as
    /// reading the monitors' EDIDs. Call this at start and after an
    /// [`Event::Hotplug`](crate::Event::Hotplug).
    ///
    /// This assigns a CRTC to each connected output. An output keeps its CRTC unless another output
    /// could not be driven otherwise.
    ///
    /// # Errors
    /// - [`OpenError::Device`]: an ioctl failed.
    /// - [`OpenError::MissingProperty`]: a connector lacks a required property.
    pub fn outputs(&self) -> Result<Vec<Output>, OpenError> {
        let inner = self.inner();
        let ids = inner.device.call("MODE_GETRESOURCES", || {
            sys::mode::get_resources(inner.device.as_fd())
        })?;
        let connectors = read_new(inner, &mut inner.state(), &ids.connectors)?;
        // Reading an EDID is slow, so the lock is not held.
        let mut probed = Vec::new();
        for connector in connectors {
            match connector.status(&inner.device, true) {
                Ok(status) => probed.push((connector, status)),
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut state = inner.state();
        update(inner, &mut state, &probed);
        Ok(probed
            .into_iter()
            .map(|(connector, status)| output(inner, &state, connector, status))
            .collect())
    }
}

/// Reads new connectors and removes those that are gone. Returns all connectors that are visible to
/// the application, so without writeback connectors.
fn read_new(
    inner: &CardInner,
    state: &mut State,
    ids: &[u32],
) -> Result<Vec<Arc<Connector>>, OpenError> {
    let current = &state.current;
    state.connectors.retain(|known| {
        let mut driven = current.crtcs.iter().flatten();
        ids.contains(&known.connector.id) || driven.any(|crtc| crtc.connector == known.connector.id)
    });
    for id in ids {
        let known = |known: &KnownConnector| known.connector.id == *id;
        let Some(handle) = from_u32(*id).filter(|_| !state.connectors.iter().any(known)) else {
            continue;
        };
        match Connector::read(&inner.device, &mut state.names, handle) {
            Ok((connector, _)) => state.connectors.push(KnownConnector {
                connector: Arc::new(connector),
                connected: false,
                crtc: None,
            }),
            Err(OpenError::Device(error)) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(state
        .connectors
        .iter()
        .map(|known| &known.connector)
        .filter(|connector| connector.writeback.is_none())
        .cloned()
        .collect())
}

/// Records which connectors are connected, and assigns CRTCs.
fn update(inner: &CardInner, state: &mut State, probed: &[(Arc<Connector>, ConnectorStatus)]) {
    let mut changed = false;
    for known in &mut state.connectors {
        let connected = probed.iter().any(|(connector, status)| {
            status.connected && Arc::ptr_eq(connector, &known.connector)
        });
        changed |= connected != known.connected;
        known.connected = connected;
    }
    if changed {
        state.accepted.clear();
    }
    let driven = |connector: u32| {
        let mut crtcs = state.current.crtcs.iter();
        crtcs.position(|crtc| crtc.is_some_and(|crtc| crtc.connector == connector))
    };
    let claimants: Vec<(u32, Option<usize>)> = state
        .connectors
        .iter()
        .map(|known| {
            let driven = driven(known.connector.id);
            match driven {
                // An active CRTC keeps its output.
                Some(crtc) => (1 << crtc, Some(crtc)),
                None if known.connected => (known.connector.possible_crtcs, known.crtc),
                None => (0, None),
            }
        })
        .collect();
    let assigned = assign(&claimants, inner.resources.crtcs.len());
    for (known, crtc) in state.connectors.iter_mut().zip(assigned) {
        known.crtc = crtc;
    }
}

fn output(
    inner: &CardInner,
    state: &State,
    connector: Arc<Connector>,
    status: ConnectorStatus,
) -> Output {
    let crtc = state
        .connectors
        .iter()
        .find(|known| Arc::ptr_eq(&known.connector, &connector))
        .and_then(|known| known.crtc);
    let resources = &inner.resources;
    let objects = crtc.map(|crtc| &resources.crtcs[crtc]);
    let primary = objects
        .and_then(|crtc| crtc.primary)
        .map(|plane| resources.planes[plane].clone());
    let planes = crtc
        .map(|crtc| resources.planes_of(crtc).cloned().collect())
        .unwrap_or_default();
    let writeback = objects
        .and_then(|crtc| crtc.writeback.as_ref())
        .and_then(|connector| connector.writeback.as_ref())
        .map(|writeback| writeback.formats.clone());
    Output::new(connector, status, primary, planes, writeback)
}
