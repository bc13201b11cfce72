//! What a card shows, has shown and is about to show.

use std::collections::VecDeque;
use std::sync::Arc;

use dmashare::Mapping;
use nix::sys::epoll::Epoll;
use smallvec::SmallVec;

use crate::capture::Capture;
use crate::configuration::{Accepted, Configuration};
use crate::connector::Connector;
use crate::in_flight::PlaneTimeline;
use crate::property::PropertyNames;
use crate::request::Request;
use crate::resources::Resources;
use crate::restore::Foreign;
use crate::sys::atomic::FenceSlots;
use crate::{Card, CommitId, OutputId};

/// Mappings that are to be dropped once the state is unlocked: dropping the last one of a buffer
/// closes its framebuffer, and may drop the last handle of the card.
pub(crate) type Freed = SmallVec<[Mapping<Card>; 8]>;

/// A connector that was seen, and what it was assigned.
#[derive(Debug)]
pub(crate) struct KnownConnector {
    pub(crate) connector: Arc<Connector>,
    pub(crate) connected: bool,
    pub(crate) crtc: Option<usize>,
}

/// Commits that are on their way on one CRTC, and the output that it drives.
#[derive(Debug, Default)]
pub(crate) struct CrtcQueue {
    pub(crate) pending: VecDeque<(CommitId, OutputId)>,
}

/// Everything that changes. One lock guards it. It is taken before reservations are, and never while
/// one is held; mappings are not dropped under it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) names: PropertyNames,
    pub(crate) connectors: Vec<KnownConnector>,
    /// What others had on, until the first commit switches it off.
    pub(crate) foreign: Foreign,
    pub(crate) current: Configuration,
    pub(crate) accepted: Accepted,
    pub(crate) planes: Vec<PlaneTimeline<Mapping<Card>>>,
    pub(crate) crtcs: Vec<CrtcQueue>,
    pub(crate) captures: Vec<Capture>,
    pub(crate) last_commit: u64,
    pub(crate) last_capture: u64,
    // Memory that is kept from one commit to the next.
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
            request: Request::default(),
            slots: FenceSlots::default(),
        }
    }

    /// Signals the fences of buffers that are free now.
    pub(crate) fn release(&mut self, freed: &mut Freed) {
        for plane in &mut self.planes {
            plane.release(|mapping| freed.push(mapping));
        }
    }

    /// How many different mappings the display holds.
    pub(crate) fn held(&self) -> usize {
        let all = || {
            let shown = self.planes.iter().flat_map(PlaneTimeline::held);
            shown.chain(self.captures.iter().map(|capture| &capture.target))
        };
        all()
            .enumerate()
            .filter(|(index, mapping)| !all().take(*index).any(|other| other.is_same(mapping)))
            .count()
    }

    /// Another process may have changed what is on: every mode is to be set anew.
    pub(crate) fn forget_configuration(&mut self, foreign: Foreign) {
        self.current = Configuration::off(self.current.crtcs.len(), self.current.planes.len());
        self.foreign = foreign;
        self.accepted.clear();
    }

    /// Nothing of ours is shown any more: every fence signals, every mapping is let go.
    pub(crate) fn close(&mut self, epoll: &Epoll, freed: &mut Freed) {
        for plane in &mut self.planes {
            plane.close(|mapping| freed.push(mapping));
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
