//! Every Vulkan command fails in turn while memory is imported by pointer: nothing is left behind.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/fail_each.rs"]
mod fail_each;
#[path = "support/function_table.rs"]
mod function_table;
#[path = "support/second_driver.rs"]
mod second_driver;
mod support;

use dmashare::{Modifier, SharedBuffer, Usage};
use dmashare_vk::{Device, DeviceSelector};
use fail_each::{Application, ENDURED, ONCE, Outcome, Start, fail_each_on};
use function_table::Fault;
use second_driver::{ODD, by_cpu};
use support::{alone, assert_same_bytes, cpu_read, heap, pattern};

fn use_device(device: &Device) -> Outcome {
    let linear = [Modifier::LINEAR];
    let mut desc = support::small("pointed to");
    desc.usage |= Usage::SAMPLE;
    let buffer = SharedBuffer::new(&heap(), desc.clone(), &linear)?;
    let mapping = buffer.attach(device)?.map()?;
    let pixels = pattern(64 * 32 * 4, 1);
    device.transfer().upload(&mapping, &pixels)?;
    assert_same_bytes(&cpu_read(buffer.backing().dmabuf()), &pixels, "direct");
    desc.extent = ODD;
    let padded = SharedBuffer::new(&heap(), desc, &linear)?;
    let attached = second_driver::attach(&by_cpu(), &padded, device, Default::default())?;
    let copy = attached.map()?;
    device.transfer().download(&copy)?;
    // Dropped with work in flight: to the retire queue.
    drop((mapping, copy, attached, buffer, padded));
    Ok(())
}

#[test]
fn a_failed_command_leaves_nothing() {
    let _alone = alone();
    let instance = second_driver::instance();
    let selector = DeviceSelector::Name("SwiftShader".to_owned());
    let application = || Application::on(&instance, &selector);
    // An attach asks for the stride; what cannot be known then, the import looks at.
    let mut endured = ENDURED.to_vec();
    endured.extend(["vkCreateImage", "vkGetPhysicalDeviceImageFormatProperties2"]);
    for start in [Start::Adopt, Start::Open] {
        for fault in ONCE.into_iter().chain([Fault::LostFromThen]) {
            let failed = fail_each_on(&application, start, fault, &endured, use_device);
            for command in [
                "vkCreateImage",
                "vkCreateImageView",
                "vkGetMemoryHostPointerPropertiesEXT",
                "vkAllocateMemory",
                "vkBindImageMemory",
                "vkQueueSubmit2",
            ] {
                assert!(failed.contains(&command), "{command} not in {failed:?}");
            }
        }
    }
}
