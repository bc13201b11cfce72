//! A Vulkan function table in which the n-th command fails.
//!
//! It sits between the library and the loader: `vkGetDeviceProcAddr` and `vkGetInstanceProcAddr`
//! give out shims. Every command that returns a `VkResult` counts, and one of them fails instead of
//! reaching the driver. Commands that make or destroy objects are balanced. A device command that is
//! in neither list is not there at all, so a new one in the library cannot go untested unnoticed.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Mutex;

use dmashare_vk::ash::{self, vk};

/// What the failing command returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The n-th command returns this, all others reach the driver.
    Once(vk::Result),
    /// From the n-th command on, all return `ERROR_DEVICE_LOST`.
    LostFromThen,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    left: u64,
    injected: Option<&'static str>,
    live: Vec<(&'static str, u64)>,
    unbalanced: Vec<String>,
}

static STATE: Mutex<State> = Mutex::new(State {
    fault: None,
    left: 0,
    injected: None,
    live: Vec::new(),
    unbalanced: Vec::new(),
});

fn state() -> std::sync::MutexGuard<'static, State> {
    STATE.lock().unwrap()
}

/// The `nth` command from now on fails.
pub fn arm(nth: u64, fault: Fault) {
    let mut state = state();
    assert_eq!(state.live, [], "objects of an earlier run");
    *state = State {
        fault: Some(fault),
        left: nth,
        ..State::default()
    };
}

/// Ends the injection; which command failed, if there were as many.
pub fn disarm() -> Option<&'static str> {
    let mut state = state();
    state.fault = None;
    state.injected
}

/// Objects that were made and not destroyed, and destructions of what was not there.
pub fn left_over() -> (Vec<(&'static str, u64)>, Vec<String>) {
    let state = state();
    (state.live.clone(), state.unbalanced.clone())
}

/// What a shim does: fail without the driver, or ask the driver and then fail, or neither.
enum Turn {
    Pass,
    Fail(vk::Result),
    PassThenFail(vk::Result),
}

fn turn(name: &'static str) -> Turn {
    let mut state = state();
    let Some(fault) = state.fault else {
        return Turn::Pass;
    };
    if state.left > 1 {
        state.left -= 1;
        return Turn::Pass;
    }
    match fault {
        Fault::Once(result) => {
            if state.injected.is_some() {
                return Turn::Pass;
            }
            state.injected = Some(name);
            Turn::Fail(result)
        }
        Fault::LostFromThen => {
            state.injected.get_or_insert(name);
            // A lost device lets go of its work: these wait for the driver's.
            if name.ends_with("WaitIdle") {
                Turn::PassThenFail(vk::Result::ERROR_DEVICE_LOST)
            } else {
                Turn::Fail(vk::Result::ERROR_DEVICE_LOST)
            }
        }
    }
}

fn created(kind: &'static str, handle: u64) {
    state().live.push((kind, handle));
}

fn destroyed(kind: &'static str, handle: u64) {
    if handle == 0 {
        return;
    }
    let mut state = state();
    let known = state.live.iter().position(|live| *live == (kind, handle));
    match known {
        Some(index) => drop(state.live.remove(index)),
        None => state.unbalanced.push(format!("{kind} {handle:#x}")),
    }
}

type Void = Option<unsafe extern "system" fn()>;

/// The driver's commands, by name, as the shims call them.
static REAL: Mutex<Vec<(&'static str, usize)>> = Mutex::new(Vec::new());

fn real(name: &'static str) -> usize {
    let table = REAL.lock().unwrap();
    let known = table.iter().find(|(known, _)| *known == name);
    known.unwrap_or_else(|| panic!("{name} was not loaded")).1
}

fn remember(name: &'static str, address: usize) {
    let mut table = REAL.lock().unwrap();
    table.retain(|(known, _)| *known != name);
    table.push((name, address));
}

macro_rules! shims {
    ($($shim:ident $name:literal ($($argument:ident: $ty:ty),*) $(makes $kind:literal at $pointer:ident)?;)*) => {
        $(unsafe extern "system" fn $shim($($argument: $ty),*) -> vk::Result {
            type Command = unsafe extern "system" fn($($ty),*) -> vk::Result;
            let turn = turn($name);
            if let Turn::Fail(result) = turn {
                return result;
            }
            // SAFETY: the address came from the driver under this very name.
            let command = unsafe { std::mem::transmute::<usize, Command>(real($name)) };
            // SAFETY: the arguments are the caller's, unchanged.
            let result = unsafe { command($($argument),*) };
            $(if result == vk::Result::SUCCESS {
                // SAFETY: the command has just written the handle there.
                created($kind, unsafe { *$pointer });
            })?
            match turn {
                Turn::PassThenFail(result) => result,
                _ => result,
            }
        })*
        fn shim(name: &CStr) -> Option<(&'static str, *const c_void)> {
            let shims: &[(&'static str, *const c_void)] = &[$(($name, $shim as *const c_void)),*];
            shims.iter().copied().find(|(known, _)| name.to_bytes() == known.as_bytes())
        }
    };
}

type Info = *const c_void;

shims! {
    create_image "vkCreateImage" (device: vk::Device, info: Info, callbacks: Info, out: *mut u64) makes "image" at out;
    create_image_view "vkCreateImageView" (device: vk::Device, info: Info, callbacks: Info, out: *mut u64) makes "view" at out;
    create_buffer "vkCreateBuffer" (device: vk::Device, info: Info, callbacks: Info, out: *mut u64) makes "buffer" at out;
    create_semaphore "vkCreateSemaphore" (device: vk::Device, info: Info, callbacks: Info, out: *mut u64) makes "semaphore" at out;
    create_command_pool "vkCreateCommandPool" (device: vk::Device, info: Info, callbacks: Info, out: *mut u64) makes "pool" at out;
    allocate_memory "vkAllocateMemory" (device: vk::Device, info: Info, callbacks: Info, out: *mut u64) makes "memory" at out;
    allocate_command_buffers "vkAllocateCommandBuffers" (device: vk::Device, info: Info, out: *mut vk::CommandBuffer);
    bind_image_memory "vkBindImageMemory" (device: vk::Device, image: vk::Image, memory: vk::DeviceMemory, offset: u64);
    bind_buffer_memory "vkBindBufferMemory" (device: vk::Device, buffer: vk::Buffer, memory: vk::DeviceMemory, offset: u64);
    map_memory "vkMapMemory" (device: vk::Device, memory: vk::DeviceMemory, offset: u64, size: u64, flags: u32, out: *mut *mut c_void);
    get_memory_fd "vkGetMemoryFdKHR" (device: vk::Device, info: Info, out: *mut c_int);
    get_memory_fd_properties "vkGetMemoryFdPropertiesKHR" (device: vk::Device, kind: u32, fd: c_int, out: *mut c_void);
    get_pointer_properties "vkGetMemoryHostPointerPropertiesEXT" (device: vk::Device, kind: u32, pointer: *const c_void, out: *mut c_void);
    get_modifier "vkGetImageDrmFormatModifierPropertiesEXT" (device: vk::Device, image: vk::Image, out: *mut c_void);
    import_semaphore_fd "vkImportSemaphoreFdKHR" (device: vk::Device, info: Info);
    get_semaphore_fd "vkGetSemaphoreFdKHR" (device: vk::Device, info: Info, out: *mut c_int);
    get_counter "vkGetSemaphoreCounterValue" (device: vk::Device, semaphore: vk::Semaphore, out: *mut u64);
    wait_semaphores "vkWaitSemaphores" (device: vk::Device, info: Info, timeout: u64);
    begin_command_buffer "vkBeginCommandBuffer" (commands: vk::CommandBuffer, info: Info);
    end_command_buffer "vkEndCommandBuffer" (commands: vk::CommandBuffer);
    queue_submit2 "vkQueueSubmit2" (queue: vk::Queue, count: u32, submits: Info, fence: vk::Fence);
    queue_wait_idle "vkQueueWaitIdle" (queue: vk::Queue);
    device_wait_idle "vkDeviceWaitIdle" (device: vk::Device);
    create_device "vkCreateDevice" (device: vk::PhysicalDevice, info: Info, callbacks: Info, out: *mut u64) makes "device" at out;
    image_format_properties "vkGetPhysicalDeviceImageFormatProperties2" (device: vk::PhysicalDevice, info: Info, out: *mut c_void);
    enumerate_extensions "vkEnumerateDeviceExtensionProperties" (device: vk::PhysicalDevice, layer: *const c_char, count: *mut u32, out: *mut c_void);
}

macro_rules! destroyers {
    ($($shim:ident $name:literal $kind:literal;)*) => {
        $(unsafe extern "system" fn $shim(device: vk::Device, handle: u64, callbacks: Info) {
            type Command = unsafe extern "system" fn(vk::Device, u64, Info);
            destroyed($kind, handle);
            // SAFETY: the address came from the driver under this very name.
            let command = unsafe { std::mem::transmute::<usize, Command>(real($name)) };
            // SAFETY: the arguments are the caller's, unchanged.
            unsafe { command(device, handle, callbacks) }
        })*
        fn destroyer(name: &CStr) -> Option<(&'static str, *const c_void)> {
            let shims: &[(&'static str, *const c_void)] = &[$(($name, $shim as *const c_void)),*];
            shims.iter().copied().find(|(known, _)| name.to_bytes() == known.as_bytes())
        }
    };
}

destroyers! {
    destroy_image "vkDestroyImage" "image";
    destroy_image_view "vkDestroyImageView" "view";
    destroy_buffer "vkDestroyBuffer" "buffer";
    destroy_semaphore "vkDestroySemaphore" "semaphore";
    destroy_command_pool "vkDestroyCommandPool" "pool";
    free_memory "vkFreeMemory" "memory";
}

/// Device commands that return nothing and make nothing.
const PASSED_ON: [&str; 10] = [
    "vkGetDeviceQueue",
    "vkGetImageMemoryRequirements2",
    "vkGetBufferMemoryRequirements",
    "vkGetBufferMemoryRequirements2",
    "vkGetImageSubresourceLayout",
    "vkCmdPipelineBarrier2",
    "vkCmdCopyBufferToImage",
    "vkCmdCopyImageToBuffer",
    "vkCmdCopyImage",
    "vkUnmapMemory",
];

/// `vkDestroyDevice`, which has no parent as its first argument.
const DESTROY_DEVICE: &str = "vkDestroyDevice";

unsafe extern "system" fn destroy_device(device: vk::Device, callbacks: Info) {
    type Command = unsafe extern "system" fn(vk::Device, Info);
    destroyed("device", vk::Handle::as_raw(device));
    // SAFETY: the address came from the driver under this very name.
    let command = unsafe { std::mem::transmute::<usize, Command>(real(DESTROY_DEVICE)) };
    // SAFETY: the arguments are the caller's, unchanged.
    unsafe { command(device, callbacks) }
}

/// The driver's `vkGetDeviceProcAddr`, for [`device_command`].
static GET_DEVICE_PROC_ADDR: Mutex<Option<vk::PFN_vkGetDeviceProcAddr>> = Mutex::new(None);

unsafe extern "system" fn device_command(device: vk::Device, name: *const c_char) -> Void {
    let get = GET_DEVICE_PROC_ADDR.lock().unwrap().unwrap();
    // SAFETY: the caller gives a name that ends in a zero byte.
    let text = unsafe { CStr::from_ptr(name) };
    let own = (text.to_bytes() == DESTROY_DEVICE.as_bytes())
        .then_some((DESTROY_DEVICE, destroy_device as *const c_void));
    let shim = shim(text).or_else(|| destroyer(text)).or(own);
    let passed = PASSED_ON
        .iter()
        .any(|known| known.as_bytes() == text.to_bytes());
    if shim.is_none() && !passed {
        return None;
    }
    // SAFETY: the arguments are the caller's, unchanged.
    let command = unsafe { get(device, name) }?;
    let Some((name, shim)) = shim else {
        return Some(command);
    };
    remember(name, command as usize);
    // SAFETY: a shim has the signature of the command of its name.
    unsafe { std::mem::transmute::<*const c_void, Void>(shim) }
}

/// The instance's commands, with the shims in between.
pub fn instance(entry: &ash::Entry, handle: vk::Instance) -> ash::Instance {
    let load = |name: &CStr| {
        // SAFETY: the instance is of this entry, and the name ends in a zero byte.
        let command = unsafe { entry.get_instance_proc_addr(handle, name.as_ptr()) };
        let address = command.map_or(std::ptr::null(), |command| command as *const c_void);
        if address.is_null() {
            return address;
        }
        if name == c"vkGetDeviceProcAddr" {
            // SAFETY: this is the command's signature.
            let get = unsafe {
                std::mem::transmute::<*const c_void, vk::PFN_vkGetDeviceProcAddr>(address)
            };
            *GET_DEVICE_PROC_ADDR.lock().unwrap() = Some(get);
            return device_command as *const c_void;
        }
        match shim(name) {
            Some((known, shim)) => {
                remember(known, address as usize);
                shim
            }
            None => address,
        }
    };
    // SAFETY: every address is that of the command of its name, or of a shim of it.
    unsafe { ash::Instance::load_with(load, handle) }
}

/// The device's commands, with the shims in between. Only for an instance from [`instance`].
pub fn device(handle: vk::Device) -> ash::Device {
    let load = |name: &CStr| {
        // SAFETY: the device is alive, and the name ends in a zero byte.
        let command = unsafe { device_command(handle, name.as_ptr()) };
        command.map_or(std::ptr::null(), |command| command as *const c_void)
    };
    // SAFETY: every address is that of the command of its name, or of a shim of it.
    unsafe { ash::Device::load_with(load, handle) }
}
