//! What an idle buffer takes of this process's memory.
#![allow(missing_docs, clippy::unwrap_used)]

use allocation_counter::measure;
use dmashare_bench::contract::Buffers;

const COUNT: usize = 10_000;

/// A buffer with one attachment and its mapping, in a residency: less than 1 KiB of heap, name, lists
/// and trees included.
#[test]
fn an_idle_buffer_takes_less_than_a_kibibyte() {
    let mut kept = None;
    let allocated = measure(|| kept = Some(Buffers::in_memory(COUNT).unwrap()));
    let bytes = usize::try_from(allocated.bytes_current).unwrap() / COUNT;
    println!(
        "{bytes} bytes for each of {} buffers",
        kept.unwrap().count()
    );
    assert!(bytes < 1024, "{bytes} bytes");
}
