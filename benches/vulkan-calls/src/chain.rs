//! How the loader tells a layer who comes next (`vulkan/vk_layer.h`), which ash does not have.

use std::ffi::c_void;

use ash::vk;

/// `VK_LAYER_LINK_INFO`: what is given is the link to the next layer.
const LINK: u32 = 0;
/// `VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO`.
const LOADER_DEVICE_CREATE_INFO: vk::StructureType = vk::StructureType::from_raw(48);

/// `VkNegotiateLayerInterface`.
#[repr(C)]
pub(crate) struct Interface {
    pub(crate) kind: u32,
    pub(crate) next: *mut c_void,
    pub(crate) version: u32,
    pub(crate) get_instance_proc_addr: Option<vk::PFN_vkGetInstanceProcAddr>,
    pub(crate) get_device_proc_addr: Option<vk::PFN_vkGetDeviceProcAddr>,
    pub(crate) get_physical_device_proc_addr: Option<vk::PFN_vkGetInstanceProcAddr>,
}

/// `VkLayerInstanceLink`.
#[repr(C)]
pub(crate) struct InstanceLink {
    pub(crate) next: *mut Self,
    pub(crate) get_instance_proc_addr: vk::PFN_vkGetInstanceProcAddr,
    pub(crate) get_physical_device_proc_addr: Option<vk::PFN_vkGetInstanceProcAddr>,
}

/// `VkLayerDeviceLink`.
#[repr(C)]
pub(crate) struct DeviceLink {
    pub(crate) next: *mut Self,
    pub(crate) get_instance_proc_addr: vk::PFN_vkGetInstanceProcAddr,
    pub(crate) get_device_proc_addr: vk::PFN_vkGetDeviceProcAddr,
}

/// `VkLayerInstanceCreateInfo` and `VkLayerDeviceCreateInfo`, as long as `function` is [`LINK`].
#[repr(C)]
pub(crate) struct CreateInfo<Link> {
    pub(crate) kind: vk::StructureType,
    pub(crate) next: *const c_void,
    pub(crate) function: u32,
    pub(crate) link: *mut Link,
}

/// A link that comes in a chain of structures.
pub(crate) trait Linked: Sized {
    /// The type of the structure that it comes in.
    const KIND: vk::StructureType;
    /// The link behind this one.
    fn next(&self) -> *mut Self;
}

impl Linked for InstanceLink {
    const KIND: vk::StructureType = vk::StructureType::LOADER_INSTANCE_CREATE_INFO;

    fn next(&self) -> *mut Self {
        self.next
    }
}

impl Linked for DeviceLink {
    const KIND: vk::StructureType = LOADER_DEVICE_CREATE_INFO;

    fn next(&self) -> *mut Self {
        self.next
    }
}

/// Takes this layer's link out of the chain that begins at `chain`, so that the next layer finds its
/// own there.
///
/// # Safety
/// `chain` is a Vulkan chain of structures that the loader gave for creating an instance or a device.
pub(crate) unsafe fn take_link<Link: Linked>(mut chain: *const c_void) -> Option<&'static Link> {
    loop {
        let info = chain.cast::<CreateInfo<Link>>().cast_mut();
        // SAFETY: all structures of a chain begin with their type and the next structure.
        let base = unsafe { info.cast::<vk::BaseInStructure<'_>>().as_ref() }?;
        if base.s_type == Link::KIND {
            // SAFETY: this type is the loader's structure, which is ours to change.
            let info = unsafe { &mut *info };
            if info.function == LINK {
                // SAFETY: the loader keeps all links until the object is made.
                let link = unsafe { info.link.as_ref() }?;
                info.link = link.next();
                return Some(link);
            }
        }
        chain = base.p_next.cast();
    }
}
