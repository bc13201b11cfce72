//! The state table: what each event does, and when it is refused.

use dmashare::{Access, FenceUsage, Placement, Placements};

use crate::reference::{Attachment, FenceOf, Object, Old, Outcome, Pin, Reference, Role, Status};
use crate::support::fake_exporter::Step;
use crate::transition::Behaviour;

/// The name of the error that a refusal has.
type Refusal = &'static str;

impl Reference {
    pub fn attach(&mut self, role: Role, reach: Placements, behaviour: Behaviour) -> Outcome {
        let reach = if role == Role::Export {
            Placements::all()
        } else {
            reach
        };
        self.advance();
        let key = match role {
            Role::Dynamic => {
                if self.fails(Step::Placements) || (self.offered & reach).is_empty() {
                    return Err("Unreachable".into());
                }
                self.may_attach()?;
                self.enter(role, reach, behaviour)
            }
            Role::Static | Role::Export => {
                self.come_within_reach(reach)?;
                if self.all_pins() == 0 && self.fails(Step::Pin) {
                    return Err("Pin".into());
                }
                self.enter(role, reach, behaviour)
            }
        };
        if role == Role::Static {
            if self.refusing {
                self.attachments.pop();
                return Err("Import".into());
            }
            let object = self.make_object(key, 0);
            self.attachments[key].kept = Some(object);
        }
        Ok(Some(key))
    }

    /// Static importers take the buffer to where they reach it.
    fn come_within_reach(&mut self, reach: Placements) -> Result<(), String> {
        let mut wanted = reach;
        loop {
            self.may_attach()?;
            if wanted.has(self.place) {
                return Ok(());
            }
            wanted = self.with_others(reach).unwrap_or(reach);
            match self.move_to(wanted) {
                Ok(()) => {}
                Err("NoPlacement") => return Err("Unreachable".into()),
                Err("Moving") => return Err("Moving".into()),
                Err(other) => return Err(format!("Move/{other}")),
            }
        }
    }

    pub fn may_attach(&self) -> Result<(), String> {
        match self.status {
            Status::Resident => Ok(()),
            Status::Moving(_) => Err("Moving".into()),
            Status::Revoked => Err("Revoked".into()),
        }
    }

    fn enter(&mut self, role: Role, reach: Placements, behaviour: Behaviour) -> usize {
        self.attachments.push(Attachment {
            role,
            reach,
            behaviour,
            handle: true,
            entered: true,
            dead: false,
            revoked: false,
            kept: None,
            told: Vec::new(),
        });
        self.attachments.len() - 1
    }

    /// Where this one and all others reach; `None` if there is no such place.
    fn with_others(&self, reach: Placements) -> Option<Placements> {
        let entered = self.attachments.iter().filter(|one| one.entered);
        let all = entered.fold(reach, |all, one| all & one.reach);
        (!all.is_empty()).then_some(all)
    }

    fn make_object(&mut self, attachment: usize, held: usize) -> usize {
        self.objects.push(Object {
            attachment,
            generation: self.generation,
            memory: self.memory,
            held,
        });
        self.objects.len() - 1
    }

    pub fn map(&mut self, key: usize) -> Result<usize, String> {
        if let Some(object) = self.attachments[key].kept {
            let is_current = self.objects[object].generation == self.generation;
            let is_static = self.attachments[key].role == Role::Static;
            if is_static || (is_current && !self.attachments[key].dead) {
                self.objects[object].held += 1;
                return Ok(object);
            }
        }
        self.may_map(key)?;
        let reach = self.attachments[key].reach;
        if !reach.has(self.place) {
            match self.move_to(reach) {
                Ok(()) => {}
                Err("NoPlacement") => return Err("Unreachable".into()),
                Err("Moving") if reach.has(self.place) => {}
                Err(other) => return Err(format!("Move/{other}")),
            }
        }
        if self.refusing {
            return Err("Import".into());
        }
        // Its own callback may have ended it.
        self.may_map(key)?;
        let object = self.make_object(key, 1);
        self.attachments[key].kept = Some(object);
        Ok(object)
    }

    fn may_map(&self, key: usize) -> Result<(), String> {
        let one = &self.attachments[key];
        if !one.entered {
            return Err("Detached".into());
        }
        if one.dead {
            return Err("Dead".into());
        }
        if self.status == Status::Revoked || one.revoked {
            return Err("Revoked".into());
        }
        Ok(())
    }

    pub fn submit(&mut self, key: usize, access: Access) -> Outcome {
        let object = &self.objects[key];
        if object.generation != self.generation {
            return Err("Stale".into());
        }
        if self.attachments[object.attachment].dead {
            return Err("ImporterDead".into());
        }
        Ok(Some(self.add_use(access)))
    }

    fn add_use(&mut self, access: Access) -> usize {
        self.uses.push(false);
        let key = self.uses.len() - 1;
        self.fences.push((access.into(), FenceOf::Use(key)));
        key
    }

    pub fn pin(&mut self, key: usize) -> Result<usize, String> {
        let (reach, entered) = (self.attachments[key].reach, self.attachments[key].entered);
        if entered {
            let Some(all) = self.with_others(reach) else {
                return Err("Unreachable".into());
            };
            if !all.has(self.place) {
                match self.move_to(all) {
                    Ok(()) => {}
                    Err("NoPlacement") => return Err("Unreachable".into()),
                    Err(same @ ("Moving" | "Revoked")) => return Err(same.into()),
                    Err(other) => return Err(format!("Move/{other}")),
                }
            }
        }
        self.may_attach()?;
        let one = &self.attachments[key];
        if !one.entered {
            return Err("Detached".into());
        }
        if one.revoked {
            return Err("Revoked".into());
        }
        if one.dead {
            return Err("Dead".into());
        }
        if self.all_pins() == 0 && self.fails(Step::Pin) {
            return Err("Exporter".into());
        }
        self.pins.push(Pin {
            attachment: key,
            guard: true,
            in_force: true,
        });
        Ok(self.pins.len() - 1)
    }

    pub fn move_to(&mut self, to: Placements) -> Result<(), Refusal> {
        self.advance();
        self.collect();
        if to.has(self.place) && self.status != Status::Revoked {
            return Ok(());
        }
        let refusal = match self.status {
            Status::Moving(_) => Some("Moving"),
            Status::Revoked => Some("Revoked"),
            Status::Resident => (self.all_pins() > 0).then_some("Pinned"),
        };
        if let Some(refusal) = refusal {
            self.refusals += 1;
            return Err(refusal);
        }
        let place = self.allocate(to)?;
        let old = self.current(true);
        self.change_generation(place, self.memories - 1);
        let told = self.mapping(old.generation);
        let detached = self.tell(&told, old.generation);
        // The copy waits for everyone, the lowest class included.
        let after = self.unfinished();
        self.fences.push((FenceUsage::Move, FenceOf::Moving));
        self.status = Status::Moving(Old { after, ..old });
        self.settle(&told, &detached);
        self.moves += 1;
        self.advance().map_or(Ok(()), Err)
    }

    fn allocate(&mut self, to: Placements) -> Result<Placement, Refusal> {
        if self.fails(Step::Placements) {
            return Err("Export");
        }
        let mut refusal = "NoPlacement";
        for place in [Placement::Device, Placement::Host, Placement::Shmem] {
            if (self.offered & to).has(place) {
                if !self.fails(Step::Allocate) {
                    self.memories += 1;
                    return Ok(place);
                }
                refusal = "Export";
            }
        }
        Err(refusal)
    }

    pub fn current(&self, recycle: bool) -> Old {
        Old {
            generation: self.generation,
            memory: self.memory,
            place: self.place,
            after: Vec::new(),
            recycle,
            overdue: false,
        }
    }

    /// Every change of place is a new generation (I3).
    pub fn change_generation(&mut self, place: Placement, memory: usize) {
        self.generation += 1;
        self.place = place;
        self.memory = memory;
    }

    pub fn unfinished(&self) -> Vec<FenceOf> {
        let all = self.fences.iter().map(|(_, fence)| *fence);
        all.filter(|fence| *fence != FenceOf::Moving && !self.is_over(*fence))
            .collect()
    }

    /// Who maps a generation and is told of its end.
    pub fn mapping(&self, generation: u64) -> Vec<usize> {
        let dynamic = |key: &usize| {
            let one = &self.attachments[*key];
            one.entered && one.role == Role::Dynamic
        };
        let keys = (0..self.attachments.len()).filter(dynamic);
        keys.filter(|key| {
            self.alive()
                .any(|object| object.attachment == *key && object.generation == generation)
        })
        .collect()
    }

    /// Calls callbacks; gives who asked to be detached.
    pub fn tell(&mut self, told: &[usize], generation: u64) -> Vec<usize> {
        let mut detached = Vec::new();
        for key in told {
            self.attachments[*key].told.push(generation);
            match self.attachments[*key].behaviour {
                Behaviour::Note => {}
                Behaviour::Unpin => self.unpin_all(*key),
                Behaviour::AddFence => drop(self.add_use(Access::Write)),
                Behaviour::Detach => detached.push(*key),
                Behaviour::Panic => self.attachments[*key].dead = true,
            }
        }
        detached
    }

    pub fn settle(&mut self, told: &[usize], detached: &[usize]) {
        for key in told {
            self.attachments[*key].kept = None;
        }
        for key in detached {
            self.leave(*key);
        }
        self.let_go();
    }
}
