//! SwiftShader, the lab's second Vulkan driver, beside llvmpipe.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use dmashare::host::HostMemory;
use dmashare::route::{CpuRows, Detour, Route, RoutePolicy, RoutedAttachment, Routes, ShadowRoute};
use dmashare::{Access, Extent, Fourcc, RouteError, SharedBuffer};
use dmashare_vk::{Device, DeviceSelector, Instance, PhysicalDevice};

use crate::support::{self, LONG, heap, udmabuf};

/// Where the lab has it, out of the way of the loader.
const MANIFEST: &str = "/usr/lib/swiftshader/vk_swiftshader_icd.json";
/// Where the drivers are that the loader is to know.
const DRIVER_FILES: &str = "VK_DRIVER_FILES";

/// What the validation layers are not to say, by the layers' own variable: that SwiftShader does not
/// claim to import any image by pointer. It does it all the same (`host_pointer_support.rs` of the crate), and
/// offers the extension; only its answer is missing.
const UNCLAIMED: (&str, &str) = (
    "VK_LAYER_MESSAGE_ID_FILTER",
    "VUID-VkImageCreateInfo-pNext-00990,VUID-VkImportMemoryWin32HandleInfoKHR-handleType-00658",
);

/// An instance with both drivers.
pub fn instance() -> Instance {
    static BOTH: Once = Once::new();
    BOTH.call_once(|| {
        assert!(
            Path::new(MANIFEST).exists(),
            "no {MANIFEST}; run this test with `cargo lab test`"
        );
        let first = std::env::var(DRIVER_FILES).unwrap();
        // SAFETY: every test of such an executable comes here before it does anything else, so no
        // thread is in C code that reads the environment; what is in Rust takes the same lock.
        unsafe { std::env::set_var(DRIVER_FILES, format!("{first}:{MANIFEST}")) };
        // SAFETY: as above.
        unsafe { std::env::set_var(UNCLAIMED.0, UNCLAIMED.1) };
    });
    support::instance()
}

pub fn swiftshader_of(instance: &Instance) -> PhysicalDevice {
    let name = DeviceSelector::Name("SwiftShader".to_owned());
    instance.select(&name).unwrap()
}

/// llvmpipe and SwiftShader.
pub fn devices() -> (Device, Device) {
    let instance = instance();
    let name = DeviceSelector::Name("llvmpipe".to_owned());
    let llvmpipe = Device::open(&instance.select(&name).unwrap()).unwrap();
    let swiftshader = Device::open(&swiftshader_of(&instance)).unwrap();
    (llvmpipe, swiftshader)
}

pub const FORMATS: [Fourcc; 9] = [
    Fourcc::XRGB8888,
    Fourcc::ARGB8888,
    Fourcc::XBGR8888,
    Fourcc::RGB565,
    Fourcc::XBGR2101010,
    Fourcc::ABGR16161616F,
    Fourcc::ABGR16161616,
    Fourcc::R8,
    Fourcc::GR88,
];
/// With four bytes a pixel, rows of 256 bytes in every linear layout.
pub const EVEN: Extent = Extent::new(64, 34);
/// Rows that an exporter pads, and the driver does not.
pub const ODD: Extent = Extent::new(100, 34);
/// What the reasons must name.
pub const EXTENSION: &str = "VK_EXT_external_memory_dma_buf";

pub fn memory() -> HostMemory {
    HostMemory::new(Some(heap()), Some(udmabuf()))
}

pub fn by_cpu() -> Routes {
    Routes::new().with_detour(Detour::moving(&memory(), CpuRows::default()))
}

pub fn by_queue(engine: &Device) -> Routes {
    Routes::new().with_detour(Detour::moving(&memory(), engine.clone()))
}

pub fn attach(
    routes: &Routes,
    buffer: &SharedBuffer,
    importer: &Device,
    policy: RoutePolicy,
) -> Result<RoutedAttachment<Device>, RouteError> {
    routes.attach(buffer, importer, policy, Arc::new(AtomicBool::new(false)))
}

pub fn routed(
    routes: &Routes,
    buffer: &SharedBuffer,
    importer: &Device,
) -> RoutedAttachment<Device> {
    attach(routes, buffer, importer, RoutePolicy::Automatic).unwrap()
}

/// What the device reads. It has no semaphores for the fences of others, which are waited for here.
pub fn read(attachment: &RoutedAttachment<Device>, reader: &Device) -> Vec<u8> {
    let mapping = attachment.map().unwrap();
    let used = attachment.shadow().unwrap_or(attachment.buffer());
    used.wait_ready(Access::Read, LONG).unwrap();
    reader.transfer().download(&mapping).unwrap()
}

pub fn shadow_route(attachment: &RoutedAttachment<Device>) -> ShadowRoute {
    match attachment.route() {
        Route::Shadow(route) => route,
        Route::Direct => panic!("no shadow"),
    }
}

#[track_caller]
pub fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
}

pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
