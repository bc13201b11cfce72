//! The end of a program's Vulkan devices.

use std::thread;
use std::time::{Duration, Instant};

use dmashare_vk::Device;

/// How long the devices may take to destroy what was retired.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until the devices have destroyed everything that was retired, for a few seconds at most.
pub(crate) fn wait_for_retirement(devices: &[&Device]) {
    let deadline = Instant::now() + PATIENCE;
    while devices.iter().any(|device| device.retired() > 0) && Instant::now() < deadline {
        for device in devices {
            device.dispatch();
        }
        thread::sleep(Duration::from_millis(1));
    }
}
