//! What an idle buffer takes of this process's memory.
#![allow(missing_docs, clippy::unwrap_used)]

use allocation_counter::measure;
use dmashare_bench::contract::Buffers;

const COUNT: usize = 10_000;

fn bytes_per_buffer(make: impl Fn(usize) -> Buffers) -> usize {
    let mut kept = None;
    let allocated = measure(|| kept = Some(make(COUNT)));
    usize::try_from(allocated.bytes_current).unwrap() / COUNT
}

/// Less than 1 KiB of heap: names, lists and trees included, and what the exporter keeps for it.
#[test]
fn an_idle_buffer_takes_less_than_a_kibibyte() {
    let idle = bytes_per_buffer(|count| Buffers::idle(count).unwrap());
    let attached = bytes_per_buffer(|count| Buffers::in_memory(count).unwrap());
    println!("{idle} bytes for a buffer, {attached} with an attachment that has mapped it");
    assert!(idle < 1024, "{idle} bytes");
    assert!(attached < 2 * 1024, "{attached} bytes");
}
