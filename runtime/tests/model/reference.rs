//! The state of a buffer as the specification has it.

use dmashare::{FenceStatus, FenceUsage, Placement, Placements};

use crate::support::fake_exporter::{CopyMode, Step};
use crate::transition::{Behaviour, Event, Transition};

/// The three ways to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Static,
    Export,
    Dynamic,
}

#[derive(Clone, Debug)]
pub struct Attachment {
    pub role: Role,
    pub reach: Placements,
    pub behaviour: Behaviour,
    /// Its handle is held.
    pub handle: bool,
    /// It is in the buffer's list.
    pub entered: bool,
    pub dead: bool,
    pub revoked: bool,
    /// The object that it keeps.
    pub kept: Option<usize>,
    /// Generations that its callback was called for.
    pub told: Vec<u64>,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub attachment: usize,
    pub generation: u64,
    pub memory: usize,
    /// Clones of the mapping that the application holds.
    pub held: usize,
}

#[derive(Clone, Debug)]
pub struct Pin {
    pub attachment: usize,
    /// Its guard is held.
    pub guard: bool,
    pub in_force: bool,
}

/// What a fence is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceOf {
    Use(usize),
    Copy(usize),
    /// A move that has not submitted its copy.
    Moving,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    pub generation: u64,
    pub memory: usize,
    pub place: Placement,
    pub after: Vec<FenceOf>,
    pub recycle: bool,
    pub overdue: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Resident,
    Moving(Old),
    Revoked,
}

/// What came of an event: who it made, or the name of the error.
pub type Outcome = Result<Option<usize>, String>;

#[derive(Clone, Debug)]
pub struct Reference {
    pub offered: Placements,
    /// The exporter is the fake one.
    pub can_fail: bool,
    pub place: Placement,
    pub generation: u64,
    pub memory: usize,
    pub memories: usize,
    pub status: Status,
    pub content: u64,
    pub attachments: Vec<Attachment>,
    pub objects: Vec<Object>,
    pub pins: Vec<Pin>,
    /// For each use, whether its fence has signalled.
    pub uses: Vec<bool>,
    /// For each copy that was submitted, what it waits for and whether it is done.
    pub copies: Vec<(Vec<FenceOf>, bool)>,
    /// The reservation.
    pub fences: Vec<(FenceUsage, FenceOf)>,
    pub old: Vec<Old>,
    pub moves: u64,
    pub refusals: u64,
    pub outcome: Outcome,
    pub mode: CopyMode,
    pub failing: Option<(Step, usize)>,
    pub refusing: bool,
}

impl Reference {
    pub fn new(offered: Placements, can_fail: bool) -> Self {
        let mut places = [Placement::Device, Placement::Host, Placement::Shmem].into_iter();
        Self {
            offered,
            can_fail,
            place: places.find(|place| offered.has(*place)).unwrap(),
            generation: 1,
            memory: 0,
            memories: 1,
            status: Status::Resident,
            content: 1,
            attachments: Vec::new(),
            objects: Vec::new(),
            pins: Vec::new(),
            uses: Vec::new(),
            copies: Vec::new(),
            fences: Vec::new(),
            old: Vec::new(),
            moves: 0,
            refusals: 0,
            outcome: Ok(None),
            mode: CopyMode::Cpu,
            failing: None,
            refusing: false,
        }
    }

    fn keys(&self, which: impl Fn(&Attachment) -> bool) -> Vec<usize> {
        let all = self.attachments.iter().enumerate();
        all.filter(|(_, one)| which(one))
            .map(|(key, _)| key)
            .collect()
    }

    pub fn handles(&self) -> Vec<usize> {
        self.keys(|one| one.handle)
    }

    pub fn mappers(&self) -> Vec<usize> {
        self.keys(|one| one.handle && one.role != Role::Export)
    }

    pub fn dynamic_handles(&self) -> Vec<usize> {
        self.keys(|one| one.handle && one.role == Role::Dynamic)
    }

    pub fn held_objects(&self) -> Vec<usize> {
        let all = self.objects.iter().enumerate();
        all.filter(|(_, one)| one.held > 0)
            .map(|(key, _)| key)
            .collect()
    }

    pub fn pending_uses(&self) -> Vec<usize> {
        let all = self.uses.iter().enumerate();
        all.filter(|(_, over)| !**over)
            .map(|(key, _)| key)
            .collect()
    }

    pub fn pin_guards(&self) -> Vec<usize> {
        let all = self.pins.iter().enumerate();
        all.filter(|(_, pin)| pin.guard)
            .map(|(key, _)| key)
            .collect()
    }

    pub fn has_pending_copies(&self) -> bool {
        self.copies.iter().any(|(_, done)| !done)
    }

    pub fn may_write(&self) -> bool {
        self.status == Status::Resident && self.pending(FenceUsage::Read) == 0
    }

    pub fn is_over(&self, fence: FenceOf) -> bool {
        match fence {
            FenceOf::Use(key) => self.uses[key],
            FenceOf::Copy(key) => self.copies[key].1,
            FenceOf::Moving => false,
        }
    }

    pub fn are_over(&self, fences: &[FenceOf]) -> bool {
        fences.iter().all(|fence| self.is_over(*fence))
    }

    /// How many fences of this class and of those before it are pending (I8).
    pub fn pending(&self, usage: FenceUsage) -> usize {
        let all = self.fences.iter();
        all.filter(|(class, fence)| *class <= usage && !self.is_over(*fence))
            .count()
    }

    pub fn ready(&self, usage: FenceUsage) -> FenceStatus {
        match self.pending(usage) {
            0 => FenceStatus::Signalled,
            _ => FenceStatus::Pending,
        }
    }

    pub fn is_kept(&self, object: usize) -> bool {
        self.attachments[self.objects[object].attachment].kept == Some(object)
    }

    /// The objects that exist.
    pub fn alive(&self) -> impl Iterator<Item = &Object> {
        let all = self.objects.iter().enumerate();
        all.filter(|(key, one)| one.held > 0 || self.is_kept(*key))
            .map(|(_, one)| one)
    }

    pub fn maps_of(&self, generation: u64) -> usize {
        self.alive()
            .filter(|one| one.generation == generation)
            .count()
    }

    /// Pins that an attachment holds now (I1).
    pub fn pins_of(&self, key: usize) -> usize {
        let one = &self.attachments[key];
        if !one.entered {
            return 0;
        }
        if one.role != Role::Dynamic {
            return 1;
        }
        let pins = self.pins.iter();
        pins.filter(|pin| pin.attachment == key && pin.in_force)
            .count()
    }

    pub fn all_pins(&self) -> usize {
        (0..self.attachments.len())
            .map(|key| self.pins_of(key))
            .sum()
    }

    /// Attachments go with the last thing that holds them.
    pub fn let_go(&mut self) {
        for key in 0..self.attachments.len() {
            let held = self.attachments[key].handle
                || self.alive().any(|object| object.attachment == key)
                || self
                    .pins
                    .iter()
                    .any(|pin| pin.attachment == key && pin.guard);
            if !held {
                self.leave(key);
            }
        }
    }

    /// Takes an attachment and its pins off the lists.
    pub fn leave(&mut self, key: usize) {
        self.attachments[key].entered = false;
        self.unpin_all(key);
    }

    pub fn unpin_all(&mut self, key: usize) {
        for pin in self.pins.iter_mut().filter(|pin| pin.attachment == key) {
            pin.in_force = false;
        }
    }

    /// Whether a step fails now, counted as the exporter counts.
    pub fn fails(&mut self, step: Step) -> bool {
        match &mut self.failing {
            Some((failing, 0)) if *failing == step => {
                self.failing = None;
                true
            }
            Some((failing, calls)) if *failing == step => {
                *calls -= 1;
                false
            }
            _ => false,
        }
    }

    /// Applies one event.
    pub fn apply(mut self, transition: &Transition) -> Self {
        self.mode = transition.mode;
        self.failing = transition.failing;
        self.refusing = transition.refusing;
        self.outcome = self.event(&transition.event);
        self.let_go();
        self
    }

    fn event(&mut self, event: &Event) -> Outcome {
        match *event {
            Event::Attach {
                role,
                reach,
                behaviour,
            } => self.attach(role, reach, behaviour),
            Event::DropHandle(key) => {
                self.attachments[key].handle = false;
                self.attachments[key].kept = None;
                Ok(None)
            }
            Event::Map(key) => self.map(key).map(Some),
            Event::Unmap(key) => {
                self.objects[key].held -= 1;
                Ok(None)
            }
            Event::Forget(key) => {
                self.attachments[key].kept = None;
                Ok(None)
            }
            Event::Use(key, access) => self.submit(key, access),
            Event::Finish(key) => {
                self.uses[key] = true;
                Ok(None)
            }
            Event::Pin(key) => self.pin(key).map(Some),
            Event::Unpin(key) => {
                self.pins[key].guard = false;
                self.pins[key].in_force = false;
                Ok(None)
            }
            Event::Move(to) => self.move_to(to).map(|()| None).map_err(str::to_owned),
            Event::FinishCopies => {
                self.finish_copies();
                Ok(None)
            }
            Event::Dispatch => {
                self.advance();
                self.collect();
                Ok(None)
            }
            Event::Late => {
                self.advance();
                self.collect();
                self.declare_dead();
                Ok(None)
            }
            Event::Revoke => self.revoke().map(|()| None),
            Event::Unrevoke => self.unrevoke().map(|()| None),
            Event::Write(content) => {
                self.content = content;
                Ok(None)
            }
        }
    }

    /// Whether an event still makes sense after others were left out.
    pub fn allows(&self, event: &Event) -> bool {
        match *event {
            Event::DropHandle(key) => self.handles().contains(&key),
            Event::Map(key) => self.mappers().contains(&key),
            Event::Unmap(key) | Event::Use(key, _) => self.held_objects().contains(&key),
            Event::Forget(key) | Event::Pin(key) => self.dynamic_handles().contains(&key),
            Event::Finish(key) => self.pending_uses().contains(&key),
            Event::Unpin(key) => self.pin_guards().contains(&key),
            Event::FinishCopies => self.has_pending_copies(),
            Event::Write(_) => self.may_write(),
            _ => true,
        }
    }
}
