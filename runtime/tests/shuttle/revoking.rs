//! map, pin and attach ‖ revoke.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use dmashare::{MapError, SoftwareTimeline, Submission};
use shuttle::thread;

use crate::support::device::{Calls, Device};
use crate::{assert_settled, attached, buffer, explore};

#[test]
fn i4_nothing_is_submitted_on_a_buffer_that_is_revoked() {
    explore(2000, || {
        let (buffer, exporter) = buffer("map and revoke");
        let (attachment, _calls) = attached(&buffer);
        let revoked = Arc::new(AtomicBool::new(false));
        let timeline = Arc::new(SoftwareTimeline::new("gpu"));
        let user = thread::spawn({
            let (revoked, timeline) = (revoked.clone(), timeline.clone());
            move || {
                for point in 1..=2 {
                    let mapping = match attachment.map() {
                        Ok(mapping) => mapping,
                        Err(MapError::Revoked { .. }) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    if let Ok(submission) = Submission::begin([mapping.write()]) {
                        assert!(!revoked.load(SeqCst), "I4: the owner has taken it away");
                        submission.commit(&timeline.fence(point));
                    }
                }
            }
        });
        let revocation = buffer.revoke().unwrap();
        revoked.store(true, SeqCst);
        user.join().unwrap();
        timeline.signal(2);
        assert!(revocation.is_over());
        buffer.unrevoke().unwrap();
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn a_static_attachment_and_a_revocation_exclude_each_other() {
    explore(1500, || {
        let (buffer, exporter) = buffer("attach and revoke");
        let attacher = thread::spawn({
            let buffer = buffer.clone();
            move || buffer.attach(&Device::anywhere("encoder")).ok()
        });
        let revoked = buffer.revoke();
        let attached = attacher.join().unwrap();
        assert!(attached.is_none() || revoked.is_err(), "both");
        assert!(attached.is_some() || revoked.is_ok(), "neither");
        drop(attached);
        if revoked.is_ok() {
            buffer.unrevoke().unwrap();
        }
        assert_settled(&buffer, &exporter);
    });
}

#[test]
fn no_object_is_made_of_memory_whose_revocation_is_over() {
    explore(2000, || {
        let (buffer, exporter) = buffer("map after a revocation");
        let device = Device::anywhere("gpu");
        let attachment = buffer.attach_dynamic(&device, Calls::default()).unwrap();
        let mapper = thread::spawn(move || {
            drop(attachment.map());
            drop(attachment);
        });
        let revocation = buffer.revoke().unwrap();
        let before = revocation.is_over().then(|| device.imports());
        mapper.join().unwrap();
        if let Some(before) = before {
            assert_eq!(device.imports(), before, "made after the end");
        }
        assert!(revocation.is_over());
        buffer.unrevoke().unwrap();
        assert_settled(&buffer, &exporter);
    });
}
