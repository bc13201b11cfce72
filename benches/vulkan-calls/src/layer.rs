//! What the loader calls.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::io::Write;
use std::mem;
use std::sync::{Mutex, PoisonError};

use ash::vk;
use ash::vk::Handle;

use crate::chain::{DeviceLink, InstanceLink, Interface, take_link};
use crate::slots;

/// The version of the interface between loader and layers that this layer speaks.
const INTERFACE: u32 = 2;

/// An instance, and where the next layer's functions for it are.
#[derive(Clone, Copy)]
struct Instance {
    handle: vk::Instance,
    next: vk::PFN_vkGetInstanceProcAddr,
}

/// By dispatch key. What is gone leaves its entry, which the next with its key replaces.
static INSTANCES: Mutex<BTreeMap<usize, Instance>> = Mutex::new(BTreeMap::new());
static DEVICES: Mutex<BTreeMap<usize, vk::PFN_vkGetDeviceProcAddr>> = Mutex::new(BTreeMap::new());

/// The loader's own mark in each dispatchable object, the same in an instance and its physical devices.
///
/// # Safety
/// `handle` is a valid instance, physical device or device.
unsafe fn dispatch_key(handle: impl Handle) -> usize {
    let object = handle.as_raw() as *const usize;
    // SAFETY: a dispatchable object begins with the loader's pointer.
    unsafe { object.read() }
}

/// The loader's first call: says what this layer speaks and where its functions are.
///
/// # Safety
/// `interface` is the loader's structure.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the loader looks for this name")]
unsafe extern "system" fn vkNegotiateLoaderLayerInterfaceVersion(
    interface: *mut Interface,
) -> vk::Result {
    // SAFETY: the loader's structure, for this call.
    let Some(interface) = (unsafe { interface.as_mut() }) else {
        return vk::Result::ERROR_INITIALIZATION_FAILED;
    };
    if let Err(error) = slots::open() {
        // Without a standard error, the failure still says it.
        let _ = writeln!(std::io::stderr(), "cannot count Vulkan calls: {error}");
        return vk::Result::ERROR_INITIALIZATION_FAILED;
    }
    interface.version = interface.version.min(INTERFACE);
    interface.get_instance_proc_addr = Some(get_instance_proc_addr);
    interface.get_device_proc_addr = Some(get_device_proc_addr);
    interface.get_physical_device_proc_addr = None;
    vk::Result::SUCCESS
}

/// The functions that the layer must do something in, besides counting.
fn own(name: &CStr) -> vk::PFN_vkVoidFunction {
    let address = match name.to_bytes() {
        b"vkGetInstanceProcAddr" => get_instance_proc_addr as *const c_void,
        b"vkGetDeviceProcAddr" => get_device_proc_addr as *const c_void,
        b"vkCreateInstance" => create_instance as *const c_void,
        b"vkCreateDevice" => create_device as *const c_void,
        _ => return None,
    };
    function(address)
}

fn function(address: *const c_void) -> vk::PFN_vkVoidFunction {
    // SAFETY: an address is null or a function's, which is called as what its name says.
    unsafe { mem::transmute::<*const c_void, vk::PFN_vkVoidFunction>(address) }
}

fn counted(name: &CStr, next: vk::PFN_vkVoidFunction) -> vk::PFN_vkVoidFunction {
    let next = next?;
    function(slots::counted(name, next as *mut c_void))
}

unsafe extern "system" fn get_instance_proc_addr(
    instance: vk::Instance,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    // SAFETY: whoever asks gives a name that ends with a zero.
    let name = unsafe { CStr::from_ptr(name) };
    if let Some(own) = own(name) {
        return Some(own);
    }
    if instance.is_null() {
        return None;
    }
    // SAFETY: not null, so it is an instance.
    let known = known_instance(unsafe { dispatch_key(instance) })?;
    // SAFETY: the next layer's function for its own instance.
    counted(name, unsafe { (known.next)(instance, name.as_ptr()) })
}

unsafe extern "system" fn get_device_proc_addr(
    device: vk::Device,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    // SAFETY: whoever asks gives a name that ends with a zero.
    let name = unsafe { CStr::from_ptr(name) };
    if let Some(own) = own(name) {
        return Some(own);
    }
    // SAFETY: a device is what this function is asked about.
    let key = unsafe { dispatch_key(device) };
    let devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let next = devices.get(&key).copied();
    drop(devices);
    // SAFETY: the next layer's function for its own device.
    counted(name, unsafe { next?(device, name.as_ptr()) })
}

fn known_instance(key: usize) -> Option<Instance> {
    let instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
    instances.get(&key).copied()
}

unsafe extern "system" fn create_instance(
    create_info: *const vk::InstanceCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    instance: *mut vk::Instance,
) -> vk::Result {
    slots::count(c"vkCreateInstance");
    // SAFETY: the program's structure, which the loader has checked and put its own behind.
    let chain = unsafe { (*create_info).p_next };
    // SAFETY: the loader's chain.
    let Some(link) = (unsafe { take_link::<InstanceLink>(chain) }) else {
        return vk::Result::ERROR_INITIALIZATION_FAILED;
    };
    let next = link.get_instance_proc_addr;
    // SAFETY: this function is found without an instance.
    let create = unsafe { next(vk::Instance::null(), c"vkCreateInstance".as_ptr()) };
    let Some(create) = create else {
        return vk::Result::ERROR_INITIALIZATION_FAILED;
    };
    // SAFETY: the function of this name has this type.
    let create =
        unsafe { mem::transmute::<unsafe extern "system" fn(), vk::PFN_vkCreateInstance>(create) };
    // SAFETY: what the program gave, with the next layer's link.
    let result = unsafe { create(create_info, allocator, instance) };
    if result == vk::Result::SUCCESS {
        // SAFETY: the call above has put a new instance there.
        let handle = unsafe { *instance };
        // SAFETY: the new instance.
        let key = unsafe { dispatch_key(handle) };
        let mut instances = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
        instances.insert(key, Instance { handle, next });
    }
    result
}

unsafe extern "system" fn create_device(
    physical_device: vk::PhysicalDevice,
    create_info: *const vk::DeviceCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    device: *mut vk::Device,
) -> vk::Result {
    slots::count(c"vkCreateDevice");
    // SAFETY: the program's structure, which the loader has checked and put its own behind.
    let chain = unsafe { (*create_info).p_next };
    // SAFETY: the program's physical device.
    let known = known_instance(unsafe { dispatch_key(physical_device) });
    // SAFETY: the loader's chain.
    let (Some(link), Some(known)) = (unsafe { take_link::<DeviceLink>(chain) }, known) else {
        return vk::Result::ERROR_INITIALIZATION_FAILED;
    };
    // SAFETY: the next layer's function for its own instance.
    let create = unsafe { (link.get_instance_proc_addr)(known.handle, c"vkCreateDevice".as_ptr()) };
    let Some(create) = create else {
        return vk::Result::ERROR_INITIALIZATION_FAILED;
    };
    // SAFETY: the function of this name has this type.
    let create =
        unsafe { mem::transmute::<unsafe extern "system" fn(), vk::PFN_vkCreateDevice>(create) };
    // SAFETY: what the program gave, with the next layer's link.
    let result = unsafe { create(physical_device, create_info, allocator, device) };
    if result == vk::Result::SUCCESS {
        // SAFETY: the call above has put a new device there.
        let handle = unsafe { *device };
        // SAFETY: the new device.
        let key = unsafe { dispatch_key(handle) };
        let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
        devices.insert(key, link.get_device_proc_addr);
    }
    result
}
