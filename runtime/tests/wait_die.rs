//! Submissions over several buffers: who waits, and who lets go.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use dmashare::{Mapping, Submission};
use dmashare_lab_probe::within_time_limit;
use support::device::Device;

/// What surely is long enough for a thread to get to where it waits.
const MOMENT: Duration = Duration::from_millis(200);

/// An older submission keeps what it has while it waits for a younger one; a younger one lets go.
#[test]
fn i12_the_oldest_keeps_what_it_has_locked() {
    within_time_limit(|| {
        let device = Device::anywhere("gpu");
        let [first, second] = ["first", "second"].map(|name| {
            let attachment = support::buffer(name).attach(&device).unwrap();
            attachment.map().unwrap()
        });
        let hold = |mapping: &Mapping<Device>| {
            let (mapping, (let_go, wait)) = (mapping.clone(), mpsc::channel::<()>());
            let (told, ready) = mpsc::channel();
            let thread = thread::spawn(move || {
                let open = Submission::begin([mapping.write()]).unwrap();
                told.send(()).unwrap();
                // Until the other end is dropped.
                let _ = wait.recv();
                drop(open);
            });
            ready.recv().unwrap();
            (let_go, thread)
        };
        // The old one begins while `first` is another's, and so before whoever takes `second`.
        let (let_go_first, holder) = hold(&first);
        let old = thread::spawn({
            let uses = [first.write(), second.write()];
            move || drop(Submission::begin(uses).unwrap())
        });
        thread::sleep(MOMENT);
        let (let_go_second, young) = hold(&second);
        drop(let_go_first);
        holder.join().unwrap();
        thread::sleep(MOMENT);
        // It has `first` now, and waits for the younger one to finish with `second`.
        let (told, got) = mpsc::channel();
        let late = thread::spawn(move || {
            drop(Submission::begin([first.write()]).unwrap());
            told.send(()).unwrap();
        });
        let early = got.recv_timeout(MOMENT);
        assert!(
            early.is_err(),
            "the oldest has let go of what it had locked"
        );
        drop(let_go_second);
        for thread in [old, young, late] {
            thread.join().unwrap();
        }
    });
}
