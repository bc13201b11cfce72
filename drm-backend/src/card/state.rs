//! Mutable state of a card: current, previous and next configuration.

use std::collections::VecDeque;
use std::sync::Arc;

use dmashare::Moment;
use nix::sys::epoll::Epoll;
use smallvec::SmallVec;

use crate::card::capture::Capture;
use crate::card::configuration::{Accepted, Configuration};
use crate::card::event::CommitId;
use crate::card::held_buffer::Held;
use crate::card::plane_timeline::PlaneTimeline;
use crate::kms::connector::Connector;
use crate::kms::output::OutputId;
use crate::kms::property::PropertyNames;
use crate::kms::request::Request;
use crate::kms::resources::Resources;
use crate::kms::snapshot::Foreign;
use crate::sys::atomic::FenceSlots;

/// Buffers that must be dropped after the state is unlocked.
pub(crate) type Freed = SmallVec<[Held; 8]>;

/// A known connector and the CRTC that is assigned to it.
#[derive(Debug)]
pub(crate) struct KnownConnector {
    pub(crate) connector: Arc<Connector>,
    pub(crate) connected: bool,
    pub(crate) crtc: Option<usize>,
}

/// Pending commits of one CRTC, each with the output that the CRTC drives.
#[derive(Debug, Default)]
pub(crate) struct CrtcQueue {
    pub(crate) pending: VecDeque<(CommitId, OutputId)>,
}

/// All mutable state of a card, guarded by one lock. The lock is taken before reservations and never
/// while holding one. Mappings and pins must not be dropped under it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) names: PropertyNames,
    pub(crate) connectors: Vec<KnownConnector>,
    /// KMS state that other programs left behind, until the first commit switches it off.
    pub(crate) foreign: Foreign,
    pub(crate) current: Configuration,
    pub(crate) accepted: Accepted,
    pub(crate) planes: Vec<PlaneTimeline<Held>>,
    pub(crate) crtcs: Vec<CrtcQueue>,
    pub(crate) captures: Vec<Capture>,
    pub(crate) last_commit: u64,
    pub(crate) last_capture: u64,
    /// Time of the last flip, by the kernel's clock.
    pub(crate) last_event: Option<Moment>,
    // Scratch memory that commits reuse.
    pub(crate) next: Configuration,
    pub(crate) request: Request,
    pub(crate) slots: FenceSlots,
}

impl State {
    pub(crate) fn new(
        card: &str,
        resources: &Resources,
        connectors: Vec<Arc<Connector>>,
        foreign: Foreign,
    ) -> Self {
        let off = Configuration::off(resources.crtcs.len(), resources.planes.len());
        Self {
            names: PropertyNames::default(),
            connectors: connectors
                .into_iter()
                .map(|connector| KnownConnector {
                    connector,
                    connected: false,
                    crtc: None,
                })
                .collect(),
            foreign,
            next: off.clone(),
            current: off,
            accepted: Accepted::default(),
            planes: resources
                .planes
                .iter()
                .map(|plane| PlaneTimeline::new(format!("{card} plane {}", plane.id())))
                .collect(),
            crtcs: resources
                .crtcs
                .iter()
                .map(|_| CrtcQueue::default())
                .collect(),
            captures: Vec::new(),
            last_commit: 0,
            last_capture: 0,
            last_event: None,
            request: Request::default(),
            slots: FenceSlots::default(),
        }
    }

    /// Signals the fences of all buffers that are now free.
    pub(crate) fn release(&mut self, freed: &mut Freed) {
        for plane in &mut self.planes {
            plane.release(|held| freed.push(held));
        }
    }

    /// Number of distinct mappings that the display holds.
    pub(crate) fn held(&self) -> usize {
        let all = || {
            let shown = self.planes.iter().flat_map(PlaneTimeline::held);
            shown.chain(self.captures.iter().map(|capture| &capture.target))
        };
        all()
            .enumerate()
            .filter(|(index, held)| {
                let mut before = all().take(*index);
                !before.any(|other| other.mapping.is_same(&held.mapping))
            })
            .count()
    }

    /// Resets the configuration so that the next commit sets every mode again, because another process
    /// may have changed it.
    pub(crate) fn forget_configuration(&mut self, foreign: Foreign) {
        self.current = Configuration::off(self.current.crtcs.len(), self.current.planes.len());
        self.foreign = foreign;
        self.accepted.clear();
    }

    /// Ends all uses by the display: signals every fence and releases every mapping.
    pub(crate) fn close(&mut self, epoll: &Epoll, freed: &mut Freed) {
        for plane in &mut self.planes {
            plane.close(|held| freed.push(held));
        }
        for mut capture in self.captures.drain(..) {
            capture.unwatch(epoll);
            freed.push(capture.target);
        }
        for crtc in &mut self.crtcs {
            crtc.pending.clear();
        }
        self.forget_configuration(Foreign::default());
    }
}
