//! The state table's second half: what happens after a move has begun, and what is taken away.

use crate::reference::{FenceOf, Old, Reference, Role, Status};
use crate::support::fake_exporter::{CopyMode, Step};
use dmashare::FenceUsage;

impl Reference {
    /// The second phase of a move, if there is one.
    pub fn advance(&mut self) -> Option<&'static str> {
        let Status::Moving(old) = self.status.clone() else {
            return None;
        };
        if self.fails(Step::Copy) {
            self.undo(old);
            return Some("Copy");
        }
        let is_pending = !self.are_over(&old.after);
        if self.mode == CopyMode::Cpu && is_pending {
            return None;
        }
        let is_done = self.mode == CopyMode::Cpu;
        self.copies.push((old.after.clone(), is_done));
        let fence = FenceOf::Copy(self.copies.len() - 1);
        self.fences.retain(|(_, of)| *of != FenceOf::Moving);
        self.fences.push((FenceUsage::Move, fence));
        let mut after = old.after.clone();
        after.push(fence);
        self.old.push(Old { after, ..old });
        self.status = Status::Resident;
        None
    }

    /// The old memory is the buffer's again, as a new generation.
    fn undo(&mut self, old: Old) {
        let left = self.current(true);
        self.change_generation(old.place, old.memory);
        self.status = Status::Resident;
        let told = self.mapping(left.generation);
        let detached = self.tell(&told, left.generation);
        let after = self.unfinished();
        self.fences.retain(|(_, of)| *of != FenceOf::Moving);
        let before = Old {
            recycle: false,
            ..old
        };
        self.old.extend([before, Old { after, ..left }]);
        self.settle(&told, &detached);
    }

    pub fn finish_copies(&mut self) {
        for key in 0..self.copies.len() {
            if !self.copies[key].1 {
                if !self.are_over(&self.copies[key].0.clone()) {
                    return;
                }
                self.copies[key].1 = true;
            }
        }
    }

    /// Old memory goes when its fences are over and nobody maps it, at whatever generation (I6).
    pub fn collect(&mut self) {
        let is_kept = |old: &Old| {
            let maps = self.alive().filter(|object| match old.recycle {
                true => object.memory == old.memory,
                false => object.generation == old.generation,
            });
            maps.count() > 0 || !self.are_over(&old.after)
        };
        let kept = self.old.iter().filter(|old| is_kept(old)).cloned();
        self.old = kept.collect();
    }

    /// The stale deadline has passed (I9).
    pub fn declare_dead(&mut self) {
        for index in 0..self.old.len() {
            let generation = self.old[index].generation;
            if self.maps_of(generation) == 0 || self.old[index].overdue {
                continue;
            }
            self.old[index].overdue = true;
            for object in self.alive().cloned().collect::<Vec<_>>() {
                let one = &mut self.attachments[object.attachment];
                one.dead |= one.entered && object.generation == generation;
            }
        }
    }

    pub fn revoke(&mut self) -> Result<(), String> {
        self.advance();
        self.may_attach()?;
        let mut entered = self.attachments.iter().filter(|one| one.entered);
        if entered.any(|one| one.role != Role::Dynamic) {
            return Err("NotRevocable".into());
        }
        let old = self.current(false);
        self.change_generation(self.place, self.memory);
        self.status = Status::Revoked;
        let keys = 0..self.attachments.len();
        let told: Vec<usize> = keys.filter(|key| self.attachments[*key].entered).collect();
        let detached = self.tell(&told, old.generation);
        for key in &told {
            self.attachments[*key].revoked |= self.pins_of(*key) > 0;
        }
        let mut after = self.unfinished();
        // Earlier generations of the same memory that are not mapped are one with this.
        let (merged, kept) = std::mem::take(&mut self.old)
            .into_iter()
            .partition(|known| {
                !known.recycle && known.memory == old.memory && self.maps_of(known.generation) == 0
            });
        self.old = kept;
        let merged: Vec<Old> = merged;
        after.extend(merged.into_iter().flat_map(|old| old.after));
        self.old.push(Old { after, ..old });
        self.settle(&told, &detached);
        Ok(())
    }

    pub fn unrevoke(&mut self) -> Result<(), String> {
        if self.status != Status::Revoked {
            return Err("NotRevoked".into());
        }
        self.status = Status::Resident;
        Ok(())
    }
}
