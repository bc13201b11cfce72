//! The lab's displays: vkms devices that are made through configfs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dmashare_lab_probe::attached_name;

use super::{cards, eventually};

const CONFIGFS: &str = "/sys/kernel/config/vkms";

/// A display of vkms. One that a test has made is removed when this is dropped.
#[derive(Debug)]
pub struct Display {
    folder: PathBuf,
    pub card: String,
    ours: bool,
}

impl Display {
    /// The display behind a card of the lab.
    pub fn of(card: &str) -> Self {
        let name = attached_name(Path::new(card)).unwrap();
        Self {
            folder: Path::new(CONFIGFS).join(name),
            card: card.to_owned(),
            ours: false,
        }
    }

    /// Makes a display that cannot capture what it shows.
    pub fn without_writeback(name: &str) -> Self {
        let before = cards("vkms");
        let folder = Path::new(CONFIGFS).join(name);
        for part in ["", "planes/p", "crtcs/c", "encoders/e", "connectors/o"] {
            fs::create_dir(folder.join(part)).unwrap_or_else(|error| {
                panic!("{name}/{part}: {error}; run this test with `cargo lab test`")
            });
        }
        fs::write(folder.join("planes/p/type"), "1").unwrap();
        fs::write(folder.join("crtcs/c/writeback"), "0").unwrap();
        for (link, target) in [
            ("planes/p/possible_crtcs/c", "crtcs/c"),
            ("encoders/e/possible_crtcs/c", "crtcs/c"),
            ("connectors/o/possible_encoders/e", "encoders/e"),
        ] {
            symlink(folder.join(target), folder.join(link)).unwrap();
        }
        fs::write(folder.join("enabled"), "1").unwrap();
        let mut card = None;
        eventually("the new display's node", || {
            card = cards("vkms")
                .into_iter()
                .find(|card| !before.contains(card));
            card.is_some()
        });
        Self {
            folder,
            card: card.unwrap(),
            ours: true,
        }
    }

    pub fn unplug(&self) {
        self.status("2");
    }

    pub fn plug(&self) {
        self.status("1");
    }

    fn status(&self, status: &str) {
        let connectors = fs::read_dir(self.folder.join("connectors")).unwrap();
        for connector in connectors {
            fs::write(connector.unwrap().path().join("status"), status).unwrap();
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if !self.ours {
            self.plug();
            return;
        }
        // Not unwrapped: a panic here would hide the test's own.
        let _ = fs::write(self.folder.join("enabled"), "0");
        for link in [
            "planes/p/possible_crtcs/c",
            "encoders/e/possible_crtcs/c",
            "connectors/o/possible_encoders/e",
        ] {
            let _ = fs::remove_file(self.folder.join(link));
        }
        for part in ["connectors/o", "encoders/e", "crtcs/c", "planes/p", ""] {
            let _ = fs::remove_dir(self.folder.join(part));
        }
    }
}

/// What the card's display shows, as the kernel tells it: whether it is on, and which plane shows
/// which framebuffer.
pub fn kms_state(card: &str) -> String {
    let number = card.trim_start_matches("/dev/dri/card");
    let path = format!("/sys/kernel/debug/dri/{number}/state");
    let state = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}; run this test with `cargo lab test`"));
    let telling = ["active=", "enable=", "crtc=", "fb="];
    state
        .lines()
        .map(str::trim)
        .filter(|line| telling.iter().any(|part| line.starts_with(part)))
        .collect::<Vec<_>>()
        .join("\n")
}
