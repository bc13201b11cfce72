//! The uses of a submission, in a list that each thread keeps and reuses.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use crate::attachment::mapping::MappingUse;

/// A list with a larger capacity than this is not kept.
const KEPT: usize = 256;

std::thread_local! {
    /// The emptied list of the last submission. A thread has one submission at a time.
    static SPARE: Cell<Vec<MappingUse>> = const { Cell::new(Vec::new()) };
}

/// The uses of one submission. It is cheap to move, however many uses there are. When it is dropped,
/// the list goes back to the thread, so that the next submission allocates nothing.
#[derive(Debug)]
pub(crate) struct UsedMappings(Vec<MappingUse>);

impl UsedMappings {
    /// Takes the uses out, to be used after the reservations were unlocked.
    pub(crate) fn take(&mut self) -> Self {
        Self(std::mem::take(&mut self.0))
    }
}

impl FromIterator<MappingUse> for UsedMappings {
    fn from_iter<T: IntoIterator<Item = MappingUse>>(uses: T) -> Self {
        // A thread that is exiting has no spare list.
        let mut list = SPARE.try_with(Cell::take).unwrap_or_default();
        list.extend(uses);
        Self(list)
    }
}

impl Drop for UsedMappings {
    fn drop(&mut self) {
        let mut list = std::mem::take(&mut self.0);
        // The last use of a mapping drops it, and its importer may then begin a submission.
        list.clear();
        // If the list was taken out, there is none to give back.
        if (1..=KEPT).contains(&list.capacity()) {
            // A thread that is exiting cannot keep it.
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
