//! A pool of memory for later buffers.

use std::collections::VecDeque;
use std::fmt;

use smallvec::SmallVec;

use crate::fence::Fence;
use crate::fence::set::FenceSet;
use crate::fence::status::FenceStatus;
use crate::image::buffer_desc::{BufferDesc, Usage};
use crate::image::extent::Extent;
use crate::image::fourcc::Fourcc;
use crate::locks::{Mutex, lock};
use crate::memory::backing::Allocation;
use crate::memory::constraint::AccessConstraint;
use crate::memory::placement::Placement;

/// What must be equal for a buffer to reuse memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    extent: Extent,
    format: Fourcc,
    view_formats: Vec<Fourcc>,
    srgb_views: bool,
    usage: Usage,
}

impl Shape {
    fn of(desc: &BufferDesc) -> Self {
        Self {
            extent: desc.extent,
            format: desc.format,
            view_formats: desc.view_formats.clone(),
            srgb_views: desc.srgb_views,
            usage: desc.usage,
        }
    }
}

struct Idle {
    shape: Shape,
    allocation: Allocation,
    after: FenceSet,
}

/// A pool of memory for a [`DynamicExporter`](crate::DynamicExporter). Allocating memory that devices
/// can share may cost a hundred times what copying into it costs.
///
/// It holds whole allocations, each with the fences that must be over before it is reused. Above a limit
/// in bytes the oldest are removed.
pub struct BackingPool {
    idle: Mutex<VecDeque<Idle>>,
    limit: u64,
}

impl BackingPool {
    /// Makes a pool that keeps at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self {
            idle: Mutex::new(VecDeque::new()),
            limit,
        }
    }

    /// Takes memory for a buffer of this description that satisfies `wanted` out of the pool. If one of
    /// its fences is pending, that becomes [`Allocation::usable_after`]. Memory with more than one
    /// pending fence stays in the pool.
    pub fn take(&self, desc: &BufferDesc, wanted: &AccessConstraint) -> Option<Allocation> {
        let shape = Shape::of(desc);
        let fits = |entry: &Idle| entry.shape == shape && wanted.fits(&entry.allocation);
        let mut skipped = 0;
        loop {
            // Take the most recent one, whose pages may still be in caches.
            let (index, entry) = self.remove(skipped, true, fits)?;
            let unfinished = entry.after.iter().filter(|fence| !fence.is_finished());
            let unfinished: SmallVec<[Fence; 2]> = unfinished.take(2).cloned().collect();
            // A fence that was given up cannot be waited for.
            let is_usable = match &unfinished[..] {
                [] => true,
                [fence] => fence.status() == FenceStatus::Pending,
                _ => false,
            };
            if is_usable {
                let mut allocation = entry.allocation;
                allocation.usable_after = unfinished.into_iter().next();
                return Some(allocation);
            }
            self.put_back(index, entry);
            skipped += 1;
        }
    }

    /// Takes out an entry that fits, after `skipped` others that do, oldest or newest first. The status of
    /// its fences is asked for with the pool unlocked, because a timeline may call the library.
    fn remove(
        &self,
        skipped: usize,
        newest_first: bool,
        fits: impl Fn(&Idle) -> bool,
    ) -> Option<(usize, Idle)> {
        let mut idle = lock(&self.idle);
        let mut fitting = (0..idle.len()).filter(|index| idle.get(*index).is_some_and(&fits));
        let index = match newest_first {
            true => fitting.rev().nth(skipped),
            false => fitting.nth(skipped),
        };
        let index = index?;
        Some((index, idle.remove(index)?))
    }

    fn put_back(&self, index: usize, entry: Idle) {
        let mut idle = lock(&self.idle);
        let index = index.min(idle.len());
        idle.insert(index, entry);
    }

    /// Adds memory to the pool, for reuse once `after` is over. Returns the memory that exceeds the
    /// limit, or that is not of this description; the caller frees it when its fences are over.
    #[must_use = "memory that is not pooled must be freed after its fences"]
    pub fn put(
        &self,
        desc: &BufferDesc,
        allocation: Allocation,
        after: FenceSet,
    ) -> Vec<(Allocation, FenceSet)> {
        let dmabuf = &allocation.dmabuf;
        if (dmabuf.format(), dmabuf.extent()) != (desc.format, desc.extent) {
            return vec![(allocation, after)];
        }
        let mut idle = lock(&self.idle);
        idle.push_back(Idle {
            shape: Shape::of(desc),
            allocation,
            after,
        });
        let mut bytes: u64 = idle.iter().map(|entry| entry.allocation.bytes()).sum();
        let mut out = Vec::new();
        while bytes > self.limit
            && let Some(entry) = idle.pop_front()
        {
            bytes -= entry.allocation.bytes();
            out.push((entry.allocation, entry.after));
        }
        out
    }

    /// Bytes of one placement that are in the pool.
    pub fn bytes(&self, placement: Placement) -> u64 {
        let idle = lock(&self.idle);
        idle.iter()
            .filter(|entry| entry.allocation.placement == placement)
            .map(|entry| entry.allocation.bytes())
            .sum()
    }

    /// Takes memory of one placement out of the pool, oldest first, until it amounts to `bytes`. Memory
    /// with pending fences stays. Dropping the result frees the memory.
    pub fn shrink(&self, placement: Placement, bytes: u64) -> Vec<Allocation> {
        let here = |entry: &Idle| entry.allocation.placement == placement;
        let mut out = Vec::new();
        let (mut taken, mut skipped) = (0, 0);
        while taken < bytes
            && let Some((index, entry)) = self.remove(skipped, false, here)
        {
            if entry.after.is_finished() {
                taken += entry.allocation.bytes();
                out.push(entry.allocation);
            } else {
                self.put_back(index, entry);
                skipped += 1;
            }
        }
        out
    }

    /// Empties the pool and returns the memory with its fences, for an exporter that is being destroyed.
    pub fn drain(&self) -> Vec<(Allocation, FenceSet)> {
        let all = std::mem::take(&mut *lock(&self.idle));
        all.into_iter()
            .map(|entry| (entry.allocation, entry.after))
            .collect()
    }
}

impl fmt::Debug for BackingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackingPool")
            .field("idle", &lock(&self.idle).len())
            .field("limit", &self.limit)
            .finish()
    }
}
