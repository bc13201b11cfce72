//! export and publish ‖ the end of another holder, and of another publication.

use std::sync::Arc;

use dmashare::{Access, SoftwareTimeline};
use shuttle::thread;

use crate::{assert_settled, buffer, explore};

#[test]
fn a_new_holder_is_owed_what_the_last_one_does_not_need_any_more() {
    explore(1500, || {
        let (buffer, exporter) = buffer("one after the other");
        let software = SoftwareTimeline::new("software");
        let first = buffer.export("first").unwrap();
        buffer.add_fence(Access::Write, software.fence(1)).unwrap();
        let leaving = thread::spawn(move || drop(first));
        let second = buffer.export("second").unwrap();
        leaving.join().unwrap();
        // No sync_file can be made of it, and the second holder has not seen it.
        let published = buffer.publish_fences();
        assert!(published.is_err(), "the fence is forgotten");
        software.signal(1);
        buffer.publish_fences().unwrap();
        drop(second);
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn each_of_two_threads_is_told_what_is_not_published() {
    explore(1500, || {
        let (buffer, exporter) = buffer("published by two");
        let software = Arc::new(SoftwareTimeline::new("software"));
        buffer.add_fence(Access::Write, software.fence(1)).unwrap();
        let guard = buffer.export("holder").unwrap();
        let other = thread::spawn({
            let buffer = buffer.clone();
            move || buffer.publish_fences()
        });
        let here = buffer.publish_fences();
        let there = other.join().unwrap();
        assert!(here.is_err() && there.is_err(), "{here:?}, {there:?}");
        software.signal(1);
        buffer.publish_fences().unwrap();
        drop(guard);
        assert_settled(&buffer, &exporter);
    });
}
