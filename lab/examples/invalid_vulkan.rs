//! Uses Vulkan in a way that the specification forbids, once: for the test that a message of the
//! validation layers fails a run. It declares the little that it needs itself, because the lab
//! does not depend on Vulkan.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::process::ExitCode;
use std::ptr;

/// `VkApplicationInfo`.
#[repr(C)]
struct ApplicationInfo {
    structure_type: c_int,
    next: *const c_void,
    application_name: *const c_char,
    application_version: u32,
    engine_name: *const c_char,
    engine_version: u32,
    api_version: u32,
}

/// `VkInstanceCreateInfo`.
#[repr(C)]
struct InstanceCreateInfo {
    structure_type: c_int,
    next: *const c_void,
    flags: u32,
    application_info: *const ApplicationInfo,
    layer_count: u32,
    layers: *const *const c_char,
    extension_count: u32,
    extensions: *const *const c_char,
}

/// `PFN_vkCreateInstance`.
type CreateInstance =
    unsafe extern "C" fn(*const InstanceCreateInfo, *const c_void, *mut *mut c_void) -> c_int;

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

const RTLD_NOW: c_int = 2;
const LOADER: &CStr = c"libvulkan.so.1";
const CREATE_INSTANCE: &CStr = c"vkCreateInstance";

fn main() -> ExitCode {
    // SAFETY: both strings end with a NUL; the Vulkan loader's constructors have no preconditions.
    let loader = unsafe { dlopen(LOADER.as_ptr(), RTLD_NOW) };
    if loader.is_null() {
        return ExitCode::from(2);
    }
    // SAFETY: `loader` is a library that is open, the name ends with a NUL.
    let function = unsafe { dlsym(loader, CREATE_INSTANCE.as_ptr()) };
    if function.is_null() {
        return ExitCode::from(3);
    }
    // SAFETY: the loader's symbol of this name has this type; it is not null.
    let create_instance = unsafe { std::mem::transmute::<*mut c_void, CreateInstance>(function) };

    // VUID-VkApplicationInfo-sType-sType: it must be VK_STRUCTURE_TYPE_APPLICATION_INFO, 0.
    let application_info = ApplicationInfo {
        structure_type: 12345,
        next: ptr::null(),
        application_name: ptr::null(),
        application_version: 0,
        engine_name: ptr::null(),
        engine_version: 0,
        api_version: 1 << 22,
    };
    let create_info = InstanceCreateInfo {
        structure_type: 1,
        next: ptr::null(),
        flags: 0,
        application_info: &raw const application_info,
        layer_count: 0,
        layers: ptr::null(),
        extension_count: 0,
        extensions: ptr::null(),
    };
    let mut instance = ptr::null_mut();
    // SAFETY: all pointers are valid for the call. The wrong type is what we are here for: the
    // driver ignores it, the layers report it.
    let _ = unsafe { create_instance(&raw const create_info, ptr::null(), &raw mut instance) };
    ExitCode::SUCCESS
}
