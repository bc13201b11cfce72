//! Mesa's lavapipe with its answers about the planes of an image in memory set right.
//!
//! lavapipe (up to 26.1) offers images whose planes lie in several memories, and does what it should
//! with them, but for one thing: it does not know the names that such planes have where the image has a
//! modifier (`VK_IMAGE_ASPECT_MEMORY_PLANE_i_BIT_EXT`), and takes each for the first plane. It also wants
//! the memory of the whole image for each plane. Here the loader is given lavapipe's own functions, but
//! three of them with those names put into the ones that it knows.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::fs;
use std::sync::OnceLock;

use dmashare_vk::ash::{self, vk};
use dmashare_vk::{AdoptedDevice, Device, PhysicalDevice, QueueLock};
use nix::libc;

type GetInstanceProcAddr =
    unsafe extern "system" fn(vk::Instance, *const c_char) -> vk::PFN_vkVoidFunction;
type GetDeviceProcAddr =
    unsafe extern "system" fn(vk::Device, *const c_char) -> vk::PFN_vkVoidFunction;
type SubresourceLayout = unsafe extern "system" fn(
    vk::Device,
    vk::Image,
    *const vk::ImageSubresource,
    *mut vk::SubresourceLayout,
);
type Requirements = unsafe extern "system" fn(
    vk::Device,
    *const vk::ImageMemoryRequirementsInfo2<'_>,
    *mut vk::MemoryRequirements2<'_>,
);
type Bind =
    unsafe extern "system" fn(vk::Device, u32, *const vk::BindImageMemoryInfo<'_>) -> vk::Result;

/// What the loader is told the layers in.
const LAYERS: &str = "VK_INSTANCE_LAYERS";

/// lavapipe's own, which stays loaded.
struct Driver {
    library: usize,
    get_instance: GetInstanceProcAddr,
}

static DRIVER: OnceLock<Driver> = OnceLock::new();
static GET_DEVICE: OnceLock<GetDeviceProcAddr> = OnceLock::new();
static LAYOUT: OnceLock<SubresourceLayout> = OnceLock::new();
static REQUIREMENTS: OnceLock<Requirements> = OnceLock::new();
static BIND: OnceLock<Bind> = OnceLock::new();

/// The library that the loader would have loaded.
fn library_path() -> CString {
    let folder = fs::read_dir("/usr/share/vulkan/icd.d").unwrap();
    let manifest = folder
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .find(|text| text.contains("libvulkan_lvp"))
        .expect("lavapipe is installed: run this test with `cargo lab test`");
    let path = manifest
        .split('"')
        .find(|word| word.contains("libvulkan_lvp"))
        .unwrap();
    CString::new(path).unwrap()
}

fn symbol(library: usize, name: &CStr) -> *mut c_void {
    // SAFETY: the library is open and stays so.
    unsafe { libc::dlsym(library as *mut c_void, name.as_ptr()) }
}

fn driver() -> &'static Driver {
    DRIVER.get_or_init(|| {
        // SAFETY: the loader would run the library's initialisers just so.
        let library = unsafe { libc::dlopen(library_path().as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "lavapipe cannot be loaded");
        let library = library as usize;
        let get = symbol(library, c"vk_icdGetInstanceProcAddr");
        assert!(!get.is_null());
        Driver {
            library,
            // SAFETY: it is the function of that name.
            get_instance: unsafe { std::mem::transmute::<*mut c_void, GetInstanceProcAddr>(get) },
        }
    })
}

/// The name that lavapipe knows.
fn known(aspect: vk::ImageAspectFlags) -> vk::ImageAspectFlags {
    let pairs = [
        (
            vk::ImageAspectFlags::MEMORY_PLANE_0_EXT,
            vk::ImageAspectFlags::PLANE_0,
        ),
        (
            vk::ImageAspectFlags::MEMORY_PLANE_1_EXT,
            vk::ImageAspectFlags::PLANE_1,
        ),
        (
            vk::ImageAspectFlags::MEMORY_PLANE_2_EXT,
            vk::ImageAspectFlags::PLANE_2,
        ),
    ];
    let pair = pairs.iter().find(|(name, _)| *name == aspect);
    pair.map_or(aspect, |(_, known)| *known)
}

unsafe extern "system" fn layout(
    device: vk::Device,
    image: vk::Image,
    subresource: *const vk::ImageSubresource,
    out: *mut vk::SubresourceLayout,
) {
    // SAFETY: the caller gives a valid one.
    let mut subresource = unsafe { *subresource };
    subresource.aspect_mask = known(subresource.aspect_mask);
    // SAFETY: the caller's arguments but for the aspect.
    unsafe { LAYOUT.get().unwrap()(device, image, &raw const subresource, out) };
}

unsafe extern "system" fn requirements(
    device: vk::Device,
    info: *const vk::ImageMemoryRequirementsInfo2<'_>,
    out: *mut vk::MemoryRequirements2<'_>,
) {
    // SAFETY: the caller gives a valid one.
    let mut info = unsafe { *info };
    let chained = info
        .p_next
        .cast::<vk::ImagePlaneMemoryRequirementsInfo<'_>>();
    let real = REQUIREMENTS.get().unwrap();
    if chained.is_null() {
        // SAFETY: the caller's arguments.
        return unsafe { real(device, &raw const info, out) };
    }
    // SAFETY: nothing else is chained to this structure by the library.
    let mut plane = unsafe { *chained };
    assert_eq!(
        plane.s_type,
        vk::StructureType::IMAGE_PLANE_MEMORY_REQUIREMENTS_INFO
    );
    plane.plane_aspect = known(plane.plane_aspect);
    info.p_next = (&raw const plane).cast();
    // SAFETY: the caller's arguments but for the aspect.
    unsafe { real(device, &raw const info, out) };
    let subresource = vk::ImageSubresource::default().aspect_mask(plane.plane_aspect);
    let mut place = vk::SubresourceLayout::default();
    // SAFETY: the image is alive and has this plane.
    unsafe { LAYOUT.get().unwrap()(device, info.image, &raw const subresource, &raw mut place) };
    // SAFETY: the driver has just filled it in.
    unsafe { (*out).memory_requirements.size = place.offset + place.size };
}

unsafe extern "system" fn bind(
    device: vk::Device,
    count: u32,
    infos: *const vk::BindImageMemoryInfo<'_>,
) -> vk::Result {
    let real = BIND.get().unwrap();
    // SAFETY: the caller gives as many.
    let infos = unsafe { std::slice::from_raw_parts(infos, count as usize) };
    for info in infos {
        let mut info = *info;
        let chained = info.p_next.cast::<vk::BindImagePlaneMemoryInfo<'_>>();
        // SAFETY: nothing else is chained to this structure by the library.
        let mut plane = unsafe { *chained };
        assert_eq!(
            plane.s_type,
            vk::StructureType::BIND_IMAGE_PLANE_MEMORY_INFO
        );
        plane.plane_aspect = known(plane.plane_aspect);
        info.p_next = (&raw const plane).cast();
        // SAFETY: the caller's arguments but for the aspect.
        let result = unsafe { real(device, 1, &raw const info) };
        if result != vk::Result::SUCCESS {
            return result;
        }
    }
    vk::Result::SUCCESS
}

/// A function of this file instead of the driver's, which is kept.
fn replaced(name: &CStr, real: *const c_void) -> Option<*const c_void> {
    match name.to_bytes() {
        b"vkGetImageSubresourceLayout" => {
            // SAFETY: `real` is the driver's function of this name, here and below.
            let real = unsafe { std::mem::transmute::<*const c_void, SubresourceLayout>(real) };
            LAYOUT.get_or_init(|| real);
            Some(layout as *const c_void)
        }
        b"vkGetImageMemoryRequirements2" => {
            // SAFETY: as above.
            let real = unsafe { std::mem::transmute::<*const c_void, Requirements>(real) };
            REQUIREMENTS.get_or_init(|| real);
            Some(requirements as *const c_void)
        }
        b"vkBindImageMemory2" => {
            // SAFETY: as above.
            let real = unsafe { std::mem::transmute::<*const c_void, Bind>(real) };
            BIND.get_or_init(|| real);
            Some(bind as *const c_void)
        }
        _ => None,
    }
}

fn function(address: *const c_void) -> vk::PFN_vkVoidFunction {
    // SAFETY: a null address is `None`, any other one is that of a function.
    unsafe { std::mem::transmute::<*const c_void, vk::PFN_vkVoidFunction>(address) }
}

unsafe extern "system" fn get_device(
    device: vk::Device,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    // SAFETY: the caller gives a name that ends in a zero byte.
    let text = unsafe { CStr::from_ptr(name) };
    // SAFETY: the caller's arguments.
    let real = unsafe { GET_DEVICE.get().unwrap()(device, name) }?;
    function(replaced(text, real as *const c_void).unwrap_or(real as *const c_void))
}

unsafe extern "system" fn get_instance(
    instance: vk::Instance,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    let driver = driver();
    // SAFETY: the caller gives a name that ends in a zero byte.
    let text = unsafe { CStr::from_ptr(name) };
    // SAFETY: the caller's arguments.
    let Some(real) = (unsafe { (driver.get_instance)(instance, name) }) else {
        // What a loader asks a driver's library for by name.
        let is_of_driver = text.to_bytes().starts_with(b"vk_icd");
        return is_of_driver
            .then(|| symbol(driver.library, text))
            .and_then(|address| function(address.cast_const()));
    };
    if text == c"vkGetDeviceProcAddr" {
        // SAFETY: it is the function of that name.
        GET_DEVICE.get_or_init(|| unsafe {
            std::mem::transmute::<unsafe extern "system" fn(), GetDeviceProcAddr>(real)
        });
        return function(get_device as *const c_void);
    }
    function(replaced(text, real as *const c_void).unwrap_or(real as *const c_void))
}

/// The physical device. Its instance stays for the life of the process.
fn physical() -> PhysicalDevice {
    // SAFETY: the loader is the system's.
    let entry = unsafe { ash::Entry::load() }.unwrap();
    let driver = [vk::DirectDriverLoadingInfoLUNARG {
        pfn_get_instance_proc_addr: Some(get_instance),
        ..Default::default()
    }];
    let mut list = vk::DirectDriverLoadingListLUNARG::default()
        .mode(vk::DirectDriverLoadingModeLUNARG::EXCLUSIVE)
        .drivers(&driver);
    let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
    let extensions = [c"VK_LUNARG_direct_driver_loading".as_ptr()];
    let info = vk::InstanceCreateInfo::default()
        .application_info(&application)
        .enabled_extension_names(&extensions)
        .push_next(&mut list);
    // The validation layers (1.4.309) crash after `vkBindImageMemory2` for planes in several memories, so
    // they are left out here, and here only.
    let layers = std::env::var_os(LAYERS);
    // SAFETY: tests that use this device exclude each other, and nothing else reads the environment.
    unsafe { std::env::remove_var(LAYERS) };
    // SAFETY: `info` outlives the call.
    let instance = unsafe { entry.create_instance(&info, None) };
    if let Some(layers) = layers {
        // SAFETY: as above.
        unsafe { std::env::set_var(LAYERS, layers) };
    }
    let instance = instance.unwrap();
    // SAFETY: the instance is alive.
    let physical_device = unsafe { instance.enumerate_physical_devices() }.unwrap()[0];
    let mut features_12 = vk::PhysicalDeviceVulkan12Features::default().timeline_semaphore(true);
    let mut features_13 = vk::PhysicalDeviceVulkan13Features::default().synchronization2(true);
    let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
    let info = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .push_next(&mut features_12)
        .push_next(&mut features_13);
    // SAFETY: lavapipe offers all of it.
    let device = unsafe { instance.create_device(physical_device, &info, None) }.unwrap();
    // SAFETY: the device was made with one queue of family 0.
    let queue = unsafe { device.get_device_queue(0, 0) };
    let adopted = AdoptedDevice {
        entry,
        instance,
        physical_device,
        device: device.clone(),
        enabled_extensions: Vec::new(),
        timeline_semaphore: true,
        synchronization2: true,
        sampler_ycbcr_conversion: false,
        queue_family: 0,
        queue,
        queue_lock: QueueLock::new(),
        keep_alive: None,
    };
    // SAFETY: the handles belong together; the device is destroyed after the library has let go.
    let adopted = unsafe { Device::adopt(adopted) }.unwrap();
    let physical = adopted.physical_device().clone();
    drop(adopted);
    // SAFETY: as above.
    unsafe { device.destroy_device(None) };
    physical
}

/// A device of its own.
pub fn device() -> Device {
    static PHYSICAL: OnceLock<PhysicalDevice> = OnceLock::new();
    Device::open(PHYSICAL.get_or_init(physical)).unwrap()
}
