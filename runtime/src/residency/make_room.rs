//! Moving buffers out of a place that is full.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::buffer::BufferInner;
use crate::buffer::keeper::Force;
use crate::buffer::move_error::MoveError;
use crate::buffer::state::{State, Status};
use crate::fence::set::FenceSet;
use crate::ids::BufferKey;
use crate::locks;
use crate::locks::{Ordering, lock};
use crate::memory::backing::Backing;
use crate::memory::constraint::AccessConstraint;
use crate::memory::ledger::Charge;
use crate::memory::no_room_error::ResidencyError;
use crate::memory::pins::PinReport;
use crate::memory::placement::{Placement, Placements};
use crate::residency::inner::ResidencyInner;
use crate::residency::member::Member;

/// How many protected buffers the search for a victim skips before it gives up.
const PASSED_OVER: usize = 8;
/// Polling interval of a wait for old memory.
const LOOK: Duration = Duration::from_micros(500);

/// The backings that a buffer has left or is about to leave, each with the fences of its users.
fn left_behind(state: &State) -> impl Iterator<Item = (&Backing, &FenceSet)> {
    let moving = match &state.status {
        Status::Moving(Some(pending)) => Some((&pending.old, &pending.after)),
        _ => None,
    };
    // What a dead importer maps does not come back, as far as anyone knows.
    let old = state.old.iter().filter(|old| old.recycle && !old.overdue);
    old.map(|old| (&old.backing, &old.after)).chain(moving)
}

/// A buffer that was taken off its list.
pub(super) type Chosen = (Arc<Member<ResidencyInner>>, Arc<BufferInner>);

/// Buffers that are off the list while room is made, and go back at the end.
pub(super) type SetAside = Vec<Chosen>;

impl ResidencyInner {
    /// The constraint for a move of a buffer to `placement` by its residency: what all attached devices
    /// demand, except for the place. If their demands conflict, it is the place alone, and a device
    /// that cannot use the buffer there moves it back.
    pub(super) fn wanted(&self, buffer: &BufferInner, placement: Placement) -> AccessConstraint {
        let place = AccessConstraint::placements(placement.into());
        let state = buffer.state();
        let mut entries = state.entries.iter();
        let all = entries.try_fold(place.clone(), |all, entry| {
            let everywhere = AccessConstraint {
                placements: Placements::all(),
                ..entry.constraint.clone()
            };
            all.intersect(&everywhere)
        });
        all.unwrap_or(place)
    }

    /// Charges `bytes` to a place, and moves buffers out of it first if there is no room.
    pub(crate) fn make_room(
        &self,
        placement: Placement,
        bytes: u64,
        for_buffer: Option<BufferKey>,
        force: Force,
    ) -> Result<Charge, ResidencyError> {
        if let Some(charge) = self.ledger.charge(placement, bytes) {
            return Ok(charge);
        }
        let mut aside = SetAside::default();
        let result = self.make_room_slowly(placement, bytes, for_buffer, force, &mut aside);
        self.put_back(aside);
        self.trim_pools(placement, 0);
        result
    }

    fn make_room_slowly(
        &self,
        placement: Placement,
        bytes: u64,
        for_buffer: Option<BufferKey>,
        force: Force,
        aside: &mut SetAside,
    ) -> Result<Charge, ResidencyError> {
        let start = Instant::now();
        let deadline = *lock(&self.let_go_deadline);
        let mut stalled = None;
        let result = loop {
            let limit = self.ledger.limit(placement);
            if bytes > limit {
                break Err(ResidencyError::TooLarge {
                    placement,
                    bytes,
                    limit,
                });
            }
            self.dispatch();
            if let Some(charge) = self.ledger.charge(placement, bytes) {
                break Ok(charge);
            }
            let leaving = self.leaving(placement);
            let used = self.ledger.used(placement);
            let missing = used.saturating_add(bytes).saturating_sub(limit);
            if missing > leaving {
                let Some(victim) = self.choose(placement, for_buffer, force, aside) else {
                    if leaving > 0 && start.elapsed() < deadline && force == Force::Firmly {
                        // No buffer can move. Old memory is all that is left to wait for.
                        stalled.get_or_insert_with(Instant::now);
                        self.wait_for_one(placement);
                        continue;
                    }
                    break Err(self.full(placement, bytes, used, limit, force));
                };
                if let Err(error) = self.evict(&victim.1, placement) {
                    tracing::debug!(buffer = victim.1.name(), %error, "cannot evict the buffer");
                    self.counters.refused();
                    self.set_aside(victim, aside);
                }
                continue;
            }
            if start.elapsed() >= deadline {
                break Err(ResidencyError::NotLetGo {
                    placement,
                    bytes,
                    holders: self.holders(placement),
                });
            }
            stalled.get_or_insert_with(Instant::now);
            self.wait_for_one(placement);
        };
        if let Some(since) = stalled {
            self.counters.stalled(since.elapsed());
        }
        result
    }

    /// Takes the next buffer to move off the list of a place.
    pub(super) fn choose(
        &self,
        placement: Placement,
        for_buffer: Option<BufferKey>,
        force: Force,
        aside: &mut SetAside,
    ) -> Option<Chosen> {
        let order = &self.eviction_orders[placement.index()];
        let hold = *lock(&self.hold);
        let mut passed_over = 0;
        // The loop is bounded, because other threads may keep using buffers meanwhile.
        for _ in 0..order.len().saturating_mul(2) + 1 {
            let (member, listed_use) = order.pop()?;
            let Some(buffer) = member.buffer() else {
                continue;
            };
            let (is_here, is_pinned, is_moving) = {
                let state = buffer.state();
                (
                    state.backing.placement() == placement,
                    !state.pins.is_empty(),
                    !matches!(state.status, Status::Resident),
                )
            };
            if !is_here {
                // Something else has moved it; list it where it is now.
                self.relist(&member, &buffer);
            } else if buffer.last_use.get() > listed_use {
                order.insert(placement, &member, &buffer);
            } else if is_pinned {
                self.counters.refused();
                self.put_aside(&member, &buffer);
            } else if is_moving || Some(buffer.key) == for_buffer {
                aside.push((member, buffer));
            } else if force == Force::Gently && member.is_protected(hold) {
                aside.push((member, buffer));
                passed_over += 1;
                if passed_over == PASSED_OVER {
                    return None;
                }
            } else {
                return Some((member, buffer));
            }
        }
        None
    }

    /// Keeps a pinned buffer out of all lists until its pins are gone, so that no search finds it
    /// again.
    fn put_aside(&self, member: &Arc<Member<Self>>, buffer: &BufferInner) {
        member.aside.store(true, Ordering::Release);
        // Its last pin may have gone before the mark was set.
        if buffer.state().pins.is_empty() {
            self.back_from_aside(member, buffer);
        }
    }

    pub(super) fn back_from_aside(&self, member: &Arc<Member<Self>>, buffer: &BufferInner) {
        if member.aside.swap(false, Ordering::AcqRel) {
            self.relist(member, buffer);
        }
    }

    /// Sets a buffer aside whose eviction has failed. Undoing its move has listed it again.
    pub(super) fn set_aside(&self, chosen: Chosen, aside: &mut SetAside) {
        for order in &self.eviction_orders {
            order.remove(&chosen.0, chosen.1.key);
        }
        aside.push(chosen);
    }

    pub(super) fn put_back(&self, aside: SetAside) {
        for (member, buffer) in aside {
            self.relist(&member, &buffer);
        }
    }

    /// Moves a buffer out of a place, to the next place that it can be in. Returns its size in bytes.
    pub(super) fn evict(
        &self,
        buffer: &Arc<BufferInner>,
        from: Placement,
    ) -> Result<u64, MoveError> {
        let offered = buffer.dynamic.as_ref().and_then(|exporter| {
            let offered = exporter.placements(buffer.desc()).ok()?;
            let mut places = Placement::ALL.into_iter().skip(from.index() + 1);
            places.find(|placement| offered.has(*placement))
        });
        let Some(to) = offered else {
            return Err(MoveError::NoPlacement {
                buffer: buffer.name().to_owned(),
                wanted: Placements::all() - from.into(),
                offered: from.into(),
            });
        };
        let bytes = buffer.backing().bytes();
        buffer.move_with(&self.wanted(buffer, to), Force::Firmly)?;
        buffer.displaced.store(true, Ordering::Relaxed);
        self.counters.evicted(bytes);
        Ok(bytes)
    }

    /// Bytes of a place that buffers have left or are about to leave and that are still in use.
    fn leaving(&self, placement: Placement) -> u64 {
        let mut bytes = 0;
        for buffer in self.leavers() {
            let state = buffer.state();
            let left = left_behind(&state).map(|(backing, _)| backing);
            bytes += left
                .filter(|backing| backing.placement() == placement)
                .map(Backing::bytes)
                .sum::<u64>();
        }
        bytes
    }

    pub(super) fn leavers(&self) -> Vec<Arc<BufferInner>> {
        let leaving = lock(&self.leaving);
        leaving
            .values()
            .filter_map(|member| member.buffer())
            .collect()
    }

    /// Waits briefly for old memory to become unused.
    fn wait_for_one(&self, placement: Placement) {
        let pending = self.leavers().iter().find_map(|buffer| {
            let state = buffer.state();
            let left = left_behind(&state);
            let here = left.filter(|(backing, _)| backing.placement() == placement);
            let all: Vec<FenceSet> = here.map(|(_, after)| after.clone()).collect();
            drop(state);
            all.into_iter().find(|after| !after.status().is_over())
        });
        match pending {
            // The fences' errors do not matter here: readers of the content get them from their own
            // fences.
            Some(fences) => drop(fences.wait(10 * LOOK)),
            None => locks::sleep(LOOK),
        }
    }

    /// Describes the importers and producers that still use old memory.
    fn holders(&self, placement: Placement) -> Vec<String> {
        let mut holders = Vec::new();
        for buffer in self.leavers() {
            let state = buffer.state();
            let left = left_behind(&state);
            let here = left.filter(|(backing, _)| backing.placement() == placement);
            let all = here.map(|(backing, after)| {
                let generation = backing.generation();
                let entries = state.entries.iter();
                let users = entries
                    .filter(|entry| entry.maps_of(generation) > 0)
                    .map(|entry| format!("mapped by {}", entry.name));
                (generation, users.collect::<Vec<String>>(), after.clone())
            });
            let all: Vec<_> = all.collect();
            drop(state);
            for (generation, mut users, after) in all {
                let pending = after.iter().filter(|fence| !fence.status().is_over());
                users.extend(pending.map(|fence| format!("used by {}", fence.producer())));
                holders.push(format!(
                    "'{}' generation {}: {}",
                    buffer.name(),
                    generation.as_u64(),
                    users.join(", ")
                ));
            }
        }
        holders
    }

    fn full(
        &self,
        placement: Placement,
        bytes: u64,
        used: u64,
        limit: u64,
        force: Force,
    ) -> ResidencyError {
        if force == Force::Gently {
            return ResidencyError::Busy { placement };
        }
        ResidencyError::Full {
            placement,
            bytes,
            used,
            limit,
            pins: self.pins(placement),
        }
    }

    pub(super) fn pins(&self, placement: Placement) -> Vec<(String, PinReport)> {
        let mut pins = Vec::new();
        for buffer in self.all() {
            let state = buffer.state();
            if state.backing.placement() == placement {
                let reports = state.pin_reports().into_iter();
                pins.extend(reports.map(|pin| (buffer.name().to_owned(), pin)));
            }
        }
        pins
    }
}
