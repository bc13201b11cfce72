//! The uses that a submission is made of, in a list that its thread uses again and again.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use crate::attachment::mapping::MappingUse;

/// A list that has grown beyond this is not kept.
const KEPT: usize = 256;

std::thread_local! {
    /// The list of the last submission, empty. A thread has one submission at a time.
    static SPARE: Cell<Vec<MappingUse>> = const { Cell::new(Vec::new()) };
}

/// The uses of one submission. A few words that are cheap to move, however many there are; the list
/// itself goes back to its thread when this is dropped, so that the next one takes no allocation.
#[derive(Debug)]
pub(crate) struct UsedMappings(Vec<MappingUse>);

impl UsedMappings {
    /// Takes the uses out, for after the locks.
    pub(crate) fn take(&mut self) -> Self {
        Self(std::mem::take(&mut self.0))
    }
}

impl FromIterator<MappingUse> for UsedMappings {
    fn from_iter<T: IntoIterator<Item = MappingUse>>(uses: T) -> Self {
        // A thread that is ending keeps nothing.
        let mut list = SPARE.try_with(Cell::take).unwrap_or_default();
        list.extend(uses);
        Self(list)
    }
}

impl Drop for UsedMappings {
    fn drop(&mut self) {
        let mut list = std::mem::take(&mut self.0);
        // The last use of a mapping ends it, and its importer may begin submissions of its own.
        list.clear();
        // One whose list was taken has none to give back.
        if (1..=KEPT).contains(&list.capacity()) {
            // An ending thread has nowhere to keep it.
            let _: Result<(), std::thread::AccessError> = SPARE.try_with(|spare| spare.set(list));
        }
    }
}

impl Deref for UsedMappings {
    type Target = [MappingUse];

    fn deref(&self) -> &[MappingUse] {
        &self.0
    }
}

impl DerefMut for UsedMappings {
    fn deref_mut(&mut self) -> &mut [MappingUse] {
        &mut self.0
    }
}
