//! The layer as the loader sees it, above a driver that is not there.
#![cfg(target_arch = "x86_64")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::mem;
use std::ptr;
use std::sync::Mutex;

use ash::vk::{self, Handle};
use dmashare_vulkan_calls::{COUNTS_VARIABLE, Counts};

type Void = vk::PFN_vkVoidFunction;
type GetInstance = vk::PFN_vkGetInstanceProcAddr;
type GetDevice = vk::PFN_vkGetDeviceProcAddr;

/// `vulkan/vk_layer.h`.
#[repr(C)]
struct VkNegotiateLayerInterface {
    kind: u32,
    next: *mut c_void,
    version: u32,
    get_instance_proc_addr: Option<GetInstance>,
    get_device_proc_addr: Option<GetDevice>,
    get_physical_device_proc_addr: Option<GetInstance>,
}

#[repr(C)]
struct VkLayerLink<Last> {
    next: *mut Self,
    get_instance_proc_addr: GetInstance,
    last: Last,
}

#[repr(C)]
struct VkLayerCreateInfo<Last> {
    kind: i32,
    next: *const c_void,
    function: u32,
    link: *mut VkLayerLink<Last>,
}

unsafe extern "system" {
    fn vkNegotiateLoaderLayerInterfaceVersion(interface: *mut VkNegotiateLayerInterface) -> i32;
}

/// An instance, its physical devices and its devices begin with the loader's pointer; a device's is
/// another one.
static INSTANCE: [usize; 1] = [0x1000];
static DEVICE: [usize; 1] = [0x2000];

/// What reached the driver.
static ARRIVED: Mutex<Vec<(&str, u64, f64)>> = Mutex::new(Vec::new());

extern "system" fn first(number: u64, real: f64) -> u64 {
    ARRIVED.lock().unwrap().push(("first", number, real));
    number + 1
}

extern "system" fn second(number: u64, real: f64) -> u64 {
    ARRIVED.lock().unwrap().push(("second", number, real));
    number + 2
}

unsafe extern "system" fn create_instance(
    info: *const vk::InstanceCreateInfo<'_>,
    _: *const c_void,
    instance: *mut vk::Instance,
) -> i32 {
    // SAFETY: the test's structures, see below.
    let chain = unsafe { (*info).p_next }.cast::<VkLayerCreateInfo<Option<GetInstance>>>();
    // SAFETY: as above.
    let link = unsafe { (*chain).link };
    assert!(link.is_null(), "the layer left its own link");
    // SAFETY: the test's place for a handle.
    unsafe { instance.write(vk::Instance::from_raw(INSTANCE.as_ptr() as u64)) };
    0
}

unsafe extern "system" fn create_device(
    _: vk::PhysicalDevice,
    _: *const c_void,
    _: *const c_void,
    device: *mut vk::Device,
) -> i32 {
    // SAFETY: the test's place for a handle.
    unsafe { device.write(vk::Device::from_raw(DEVICE.as_ptr() as u64)) };
    0
}

fn function(address: *const c_void) -> Void {
    // SAFETY: the address of a function, called as what it is.
    unsafe { mem::transmute::<*const c_void, Void>(address) }
}

unsafe extern "system" fn next_instance(_: vk::Instance, name: *const c_char) -> Void {
    // SAFETY: the layer passes the test's names.
    match unsafe { CStr::from_ptr(name) }.to_bytes() {
        b"vkCreateInstance" => function(create_instance as *const c_void),
        b"vkCreateDevice" => function(create_device as *const c_void),
        b"vkFirst" => function(first as *const c_void),
        _ => None,
    }
}

unsafe extern "system" fn next_device(_: vk::Device, name: *const c_char) -> Void {
    // SAFETY: the layer passes the test's names.
    match unsafe { CStr::from_ptr(name) }.to_bytes() {
        // The same function, elsewhere.
        b"vkFirst" | b"vkSecond" => function(second as *const c_void),
        _ => None,
    }
}

fn call(function: Void, number: u64) -> u64 {
    // SAFETY: the functions above, behind the layer.
    let function = unsafe { mem::transmute::<Void, extern "system" fn(u64, f64) -> u64>(function) };
    function(number, 0.5)
}

#[test]
fn calls_arrive_and_are_counted_by_name() {
    let counts = tempfile::NamedTempFile::new().unwrap();
    // SAFETY: the only test of this program, and no other thread reads the environment.
    unsafe { std::env::set_var(COUNTS_VARIABLE, counts.path()) };
    let mut interface = VkNegotiateLayerInterface {
        kind: 1,
        next: ptr::null_mut(),
        version: 7,
        get_instance_proc_addr: None,
        get_device_proc_addr: None,
        get_physical_device_proc_addr: None,
    };
    // SAFETY: the structure of that name.
    let result = unsafe { vkNegotiateLoaderLayerInterfaceVersion(&raw mut interface) };
    assert_eq!((result, interface.version), (0, 2));
    let of_instance = |instance, name: &CStr| {
        let get = interface.get_instance_proc_addr.unwrap();
        // SAFETY: null or the instance made below.
        unsafe { get(instance, name.as_ptr()) }
    };
    let of_device = |device, name: &CStr| {
        let get = interface.get_device_proc_addr.unwrap();
        // SAFETY: the device made below.
        unsafe { get(device, name.as_ptr()) }
    };

    let mut link = VkLayerLink {
        next: ptr::null_mut(),
        get_instance_proc_addr: next_instance,
        last: None::<GetInstance>,
    };
    let chain = VkLayerCreateInfo {
        kind: 47,
        next: ptr::null(),
        function: 0,
        link: &raw mut link,
    };
    let info = vk::InstanceCreateInfo {
        p_next: (&raw const chain).cast(),
        ..Default::default()
    };
    let create = of_instance(vk::Instance::null(), c"vkCreateInstance");
    // SAFETY: the function of that name.
    let create = unsafe { mem::transmute::<Void, vk::PFN_vkCreateInstance>(create) };
    let mut instance = vk::Instance::null();
    // SAFETY: the structures are valid.
    let result = unsafe { create(&raw const info, ptr::null(), &raw mut instance) };
    assert_eq!(result, vk::Result::SUCCESS);
    assert!(of_instance(vk::Instance::null(), c"vkFirst").is_none());
    assert!(of_instance(instance, c"vkUnknown").is_none());

    let mut link = VkLayerLink {
        next: ptr::null_mut(),
        get_instance_proc_addr: next_instance,
        last: next_device as GetDevice,
    };
    let link = VkLayerCreateInfo {
        kind: 48,
        next: ptr::null(),
        function: 0,
        link: &raw mut link,
    };
    // The loader's callback, which has the same type of structure and is no link.
    let callback = VkLayerCreateInfo::<GetDevice> {
        kind: 48,
        next: (&raw const link).cast(),
        function: 1,
        link: ptr::null_mut(),
    };
    let info = vk::DeviceCreateInfo {
        p_next: (&raw const callback).cast(),
        ..Default::default()
    };
    let create = of_instance(instance, c"vkCreateDevice");
    // SAFETY: the function of that name.
    let create = unsafe { mem::transmute::<Void, vk::PFN_vkCreateDevice>(create) };
    let physical = vk::PhysicalDevice::from_raw(instance.as_raw());
    let mut device = vk::Device::null();
    // SAFETY: the structures are valid.
    let result = unsafe { create(physical, &raw const info, ptr::null(), &raw mut device) };
    assert_eq!(result, vk::Result::SUCCESS);

    let before = Counts::read(counts.path()).unwrap();
    let by_instance = of_instance(instance, c"vkFirst");
    let by_device = of_device(device, c"vkFirst");
    assert_eq!(call(by_instance, 1), 2);
    assert_eq!(call(by_device, 2), 4);
    assert_eq!(call(of_device(device, c"vkSecond"), 3), 5);
    // Who asks again gets the same.
    let address = |function: Void| function.unwrap() as usize;
    assert_eq!(address(of_device(device, c"vkFirst")), address(by_device));
    assert_ne!(address(by_instance), address(by_device));
    assert_eq!(
        *ARRIVED.lock().unwrap(),
        [("first", 1, 0.5), ("second", 2, 0.5), ("second", 3, 0.5)]
    );
    let after = Counts::read(counts.path()).unwrap();
    let calls = |calls: &[(&str, u64)]| -> BTreeMap<String, u64> {
        calls
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect()
    };
    assert_eq!(
        before.0,
        calls(&[("vkCreateDevice", 1), ("vkCreateInstance", 1)])
    );
    assert_eq!(
        after.since(&before).0,
        calls(&[("vkFirst", 2), ("vkSecond", 1)])
    );
}
