//! A process that is killed in the middle of everything.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use dmashare::{Modifier, SharedBuffer, Submission};
use dmashare_lab_probe::bufinfo;
use support::device::Device;

/// The kernel takes back what a process had that was killed, whatever it was in the middle of.
#[test]
fn i14_a_process_that_is_killed_leaves_nothing() {
    const CHILD: &str = "DMASHARE_TEST_CHILD";
    const NAME: &str = "killed";
    if std::env::var_os(CHILD).is_some() {
        let desc = support::desc(NAME);
        let buffer = SharedBuffer::new(&support::heap(), desc, &[Modifier::LINEAR]).unwrap();
        let _guard = buffer.export("client").unwrap();
        let mapping = buffer
            .attach(&Device::anywhere("gpu"))
            .unwrap()
            .map()
            .unwrap();
        let _open = Submission::begin([mapping.write()]).unwrap();
        writeln!(std::io::stdout(), "\nready").unwrap();
        thread::sleep(Duration::from_secs(3600));
    }
    let named = || bufinfo().iter().filter(|info| info.name == NAME).count();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "i14_a_process_that_is_killed_leaves_nothing",
        ])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap() == "ready"),
        "the child is ready"
    );
    assert_eq!(named(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(named(), 0);
}
