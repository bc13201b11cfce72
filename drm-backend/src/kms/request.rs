//! The arrays of an atomic commit. Commits reuse them, so flipping in a steady state does not allocate.

use crate::sys::atomic::Arrays;

/// The objects of an atomic commit with the properties to set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    objects: Vec<u32>,
    property_counts: Vec<u32>,
    properties: Vec<u32>,
    values: Vec<u64>,
}

impl Request {
    /// Empties the request but keeps its allocations.
    pub(crate) fn clear(&mut self) {
        self.objects.clear();
        self.property_counts.clear();
        self.properties.clear();
        self.values.clear();
    }

    /// Begins an object. Subsequent calls to [`set`](Self::set) apply to it.
    pub(crate) fn object(&mut self, id: u32) {
        self.objects.push(id);
        self.property_counts.push(0);
    }

    /// Sets a property of the current object.
    pub(crate) fn set(&mut self, property: u32, value: u64) {
        debug_assert!(!self.objects.is_empty(), "set() was called before object()");
        if let Some(count) = self.property_counts.last_mut() {
            *count += 1;
            self.properties.push(property);
            self.values.push(value);
        }
    }

    /// Whether the request has no objects.
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The arrays in the form that the ioctl requires.
    pub(crate) fn arrays(&self) -> Arrays<'_> {
        Arrays {
            objects: &self.objects,
            property_counts: &self.property_counts,
            properties: &self.properties,
            values: &self.values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_belong_to_the_object_that_was_begun_last() {
        let mut request = Request::default();
        assert!(request.is_empty());
        request.object(5);
        request.set(50, 1);
        request.set(51, 2);
        request.object(6);
        request.object(7);
        request.set(70, 3);
        let arrays = request.arrays();
        assert_eq!(arrays.objects, [5, 6, 7]);
        assert_eq!(arrays.property_counts, [2, 0, 1]);
        assert_eq!(arrays.properties, [50, 51, 70]);
        assert_eq!(arrays.values, [1, 2, 3]);
        request.clear();
        assert!(request.is_empty() && request.arrays().values.is_empty());
    }
}
