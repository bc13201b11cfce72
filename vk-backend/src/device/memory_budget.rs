//! The memory that this process may use according to the driver (`VK_EXT_memory_budget`).

use ash::{ext, vk};
use dmashare::Placement;

use crate::device::Device;

/// The driver's figures for one placement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaceBudget {
    /// Bytes this process may use there, including what it uses now, before allocations fail or
    /// performance drops (`heapBudget`).
    pub limit: u64,
    /// Bytes this process uses there now (`heapUsage`), whether allocated by this library, the
    /// application or the driver.
    pub used: u64,
}

/// The driver's current estimate of how much device memory this process may use; see
/// [`Device::memory_budget`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryBudget {
    /// [`Placement::Device`]: all device-local heaps.
    pub device: Option<PlaceBudget>,
    /// [`Placement::Host`]: all other heaps. A device may have heaps of one kind only.
    pub host: Option<PlaceBudget>,
}

impl MemoryBudget {
    /// The limit of one placement, for
    /// [`Residency::set_reported_limit`](dmashare::Residency::set_reported_limit); `None` if the
    /// driver reports none.
    pub fn limit(&self, placement: Placement) -> Option<u64> {
        let place = match placement {
            Placement::Device => self.device,
            Placement::Host => self.host,
            _ => None,
        };
        place.map(|place| place.limit)
    }

    fn of(heaps: &[vk::MemoryHeap], budgets: &[u64], usages: &[u64]) -> Self {
        let mut budget = Self::default();
        for (heap, (limit, used)) in heaps.iter().zip(budgets.iter().zip(usages)) {
            let place = if heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL) {
                &mut budget.device
            } else {
                &mut budget.host
            };
            let place = place.get_or_insert_default();
            place.limit = place.limit.saturating_add(*limit);
            place.used = place.used.saturating_add(*used);
        }
        budget
    }
}

impl Device {
    /// Queries the driver for the memory this process may use (`VK_EXT_memory_budget`), summed over
    /// the heaps of each placement; `None` if the driver does not report it. Pass it to
    /// [`Residency::set_reported_limit`](dmashare::Residency::set_reported_limit), outside the hot
    /// path: once a second is enough.
    ///
    /// It is a hint. Drivers update it late, and some report figures for the whole system. It
    /// includes the application's own allocations, which `Residency` does not know of. So it can
    /// only lower a budget that the application has set, never replace it.
    ///
    /// ```no_run
    /// # use dmashare::{Placement, Residency};
    /// # fn poll(device: &dmashare_vk::Device, residency: &Residency) {
    /// let budget = device.memory_budget();
    /// let limit = budget.and_then(|budget| budget.limit(Placement::Device));
    /// residency.set_reported_limit(Placement::Device, limit);
    /// # }
    /// ```
    pub fn memory_budget(&self) -> Option<MemoryBudget> {
        let physical = self.physical_device();
        if !physical.has_extension(ext::memory_budget::NAME) {
            return None;
        }
        let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
        let mut properties = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
        // SAFETY: the device is of this instance and lists the extension, whose structure may then be
        // chained without enabling it ("Extending Physical Device From Device Extensions"); it
        // outlives the call.
        unsafe {
            physical
                .instance()
                .raw()
                .get_physical_device_memory_properties2(physical.raw(), &mut properties);
        }
        let memory = properties.memory_properties;
        Some(MemoryBudget::of(
            memory.memory_heaps_as_slice(),
            &budget.heap_budget,
            &budget.heap_usage,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(flags: vk::MemoryHeapFlags) -> vk::MemoryHeap {
        vk::MemoryHeap { size: 100, flags }
    }

    #[test]
    fn heaps_of_one_place_are_added_up() {
        let local = heap(vk::MemoryHeapFlags::DEVICE_LOCAL);
        let host = heap(vk::MemoryHeapFlags::empty());
        let budget = MemoryBudget::of(&[local, host, local], &[10, 20, 5, 99], &[1, 2, 3, 99]);
        assert_eq!(budget.device, Some(PlaceBudget { limit: 15, used: 4 }));
        assert_eq!(budget.limit(Placement::Device), Some(15));
        assert_eq!(budget.limit(Placement::Host), Some(20));
        assert_eq!(budget.limit(Placement::Shmem), None);
    }

    #[test]
    fn a_place_without_a_heap_has_no_limit() {
        let local = heap(vk::MemoryHeapFlags::DEVICE_LOCAL);
        let budget = MemoryBudget::of(&[local], &[u64::MAX], &[0]);
        assert_eq!(budget.limit(Placement::Device), Some(u64::MAX));
        assert_eq!(budget.host, None);
    }
}
