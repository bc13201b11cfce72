//! What the tests of the samples share: running the programs, and the lab's devices.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

pub mod display;
pub mod eviction;
#[path = "../../../vk-backend/tests/support/failing_copies.rs"]
pub mod failing_copies;
pub mod loopback;
pub mod pixels;
pub mod sharing;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dmashare::host::DmaHeap;
use dmashare::{
    BufferDesc, Exporter, Extent, Fourcc, Importer, Mapping, Modifier, SharedBuffer, Usage,
};
use dmashare_lab_probe::bufinfo;
use dmashare_vk::{Device, DeviceSelector, Instance, InstanceOptions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

pub const LINEAR: &[Modifier] = &[Modifier::LINEAR];

/// The displays are there for one test at a time.
pub fn displays() -> MutexGuard<'static, ()> {
    static DISPLAYS: Mutex<()> = Mutex::new(());
    DISPLAYS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        let stdout = String::from_utf8(output.stdout).unwrap();
        // Vulkan's validation layer tells on standard output, when the program ends, where its log
        // is; that line is not the program's.
        let ours = stdout
            .lines()
            .filter(|line| !line.starts_with("Validation Layer Info"));
        Self {
            status: output.status.code(),
            stdout: ours.map(|line| format!("{line}\n")).collect(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The JSON object in the last line of standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        let last = self.stdout.lines().next_back().unwrap_or_default();
        match serde_json::from_str(last) {
            Ok(value @ Value::Object(_)) => value,
            _ => panic!("no JSON object in the last line: {self:?}"),
        }
    }

    /// All of standard output as one JSON document.
    #[track_caller]
    pub fn json_document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON object of a run in which nothing went wrong.
    #[track_caller]
    pub fn good_json(&self) -> Value {
        assert_eq!(self.status, Some(0), "{self:?}");
        let json = self.json();
        for (key, value) in json.as_object().unwrap() {
            let counts = ["_errors", "_leaked", "_hung", "bytes_copied"];
            if counts.iter().any(|end| key.ends_with(end)) {
                assert_eq!(*value, 0, "{key} in {json}");
            }
        }
        json
    }

    /// Demands that the program failed with a message that has all of these in it, and no more than
    /// a message: no panic, nothing on standard output.
    #[track_caller]
    pub fn failed_with(&self, parts: &[&str]) {
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(matches!(self.status, Some(1 | 2)), "{self:?}");
        self.told(parts);
    }

    /// Demands that the program, run with `--json`, failed with such a message on standard error,
    /// and that the same is in the one object on standard output.
    #[track_caller]
    pub fn failed_as_json(&self, parts: &[&str]) {
        assert_eq!(self.status, Some(1), "{self:?}");
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        let json = self.json();
        assert_eq!(json["run_errors"], 1, "{json}");
        let error = json["error"].as_str().unwrap();
        assert!(!error.is_empty() && self.stderr.contains(error), "{self:?}");
        self.told(parts);
    }

    #[track_caller]
    fn told(&self, parts: &[&str]) {
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let message = self.stderr.to_lowercase();
        for part in parts {
            assert!(
                message.contains(&part.to_lowercase()),
                "no {part:?} in: {}",
                self.stderr
            );
        }
    }
}

pub fn program(name: &str) -> Command {
    let path = match name {
        "camera" => env!("CARGO_BIN_EXE_camera"),
        "evict" => env!("CARGO_BIN_EXE_evict"),
        "scanout" => env!("CARGO_BIN_EXE_scanout"),
        "share" => env!("CARGO_BIN_EXE_share"),
        "info" => env!("CARGO_BIN_EXE_info"),
        other => panic!("no program {other}"),
    };
    let mut command = Command::new(path);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub fn run(name: &str, arguments: &[&str]) -> Said {
    Said::of(program(name).args(arguments).output().unwrap())
}

/// Sends a signal to a program, and waits for its end.
pub fn end_by(signal: Signal, child: Child) -> Said {
    let pid = i32::try_from(child.id()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
    Said::of(child.wait_with_output().unwrap())
}

/// Ends a program as Ctrl-C does. It says so and leaves nothing behind.
#[track_caller]
pub fn interrupt(child: Child) -> Value {
    let said = end_by(Signal::SIGINT, child);
    assert_eq!(said.status, Some(130), "{said:?}");
    let json = said.json();
    assert_eq!(json["interrupted"], true, "{json}");
    assert_eq!(json["failures"], serde_json::json!([]), "{json}");
    assert_eq!(json["fds_leaked"], 0, "{json}");
    assert_eq!(json["dmabufs_leaked"], 0, "{json}");
    json
}

/// How many dma-bufs have a name that begins so.
pub fn dmabufs_named(beginning: &str) -> usize {
    let list = bufinfo();
    let ours = list
        .iter()
        .filter(|entry| entry.name.starts_with(beginning));
    ours.count()
}

/// A Vulkan device of its own.
pub fn device() -> Device {
    let instance = Instance::new(&InstanceOptions::new("test"))
        .unwrap_or_else(|error| panic!("{error:?}; run this test with `cargo lab test`"));
    Device::open(&instance.select(&DeviceSelector::Any).unwrap()).unwrap()
}

/// A linear buffer. Its name begins with "test".
#[track_caller]
pub fn new_buffer<E: Exporter + Clone + 'static>(
    exporter: &E,
    extent: Extent,
    format: Fourcc,
    usage: Usage,
) -> SharedBuffer {
    let desc = BufferDesc::new("test buffer", extent, format, usage);
    SharedBuffer::new(exporter, desc, LINEAR).unwrap()
}

/// A buffer that a display shows and the CPU reads.
#[track_caller]
pub fn shown_buffer<E>(exporter: &E, extent: Extent, format: Fourcc) -> SharedBuffer
where
    E: Exporter + Clone + 'static,
{
    new_buffer(exporter, extent, format, Usage::SCANOUT | Usage::CPU_READ)
}

/// Such a buffer in memory of the heap "system".
pub fn heap_buffer(extent: Extent, format: Fourcc) -> SharedBuffer {
    let heap = DmaHeap::open("system")
        .unwrap_or_else(|error| panic!("{error}; run this test with `cargo lab test`"));
    shown_buffer(&heap, extent, format)
}

#[track_caller]
pub fn map<I: Importer>(buffer: &SharedBuffer, importer: &I) -> Mapping<I> {
    buffer.attach(importer).unwrap().map().unwrap()
}

/// Waits for something to become true, for ten seconds at most.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("not within ten seconds: {what}");
}

/// The primary nodes of a driver's cards, by path.
pub fn cards(driver: &str) -> Vec<String> {
    let mut cards: Vec<String> = dmashare_drm::Node::list()
        .iter()
        .filter(|node| node.driver() == driver)
        .map(|node| node.path().display().to_string())
        .filter(|path| {
            Path::new(path)
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("card")
        })
        .collect();
    cards.sort();
    assert!(
        !cards.is_empty(),
        "no card of {driver}: run this test with `cargo lab test`"
    );
    cards
}
