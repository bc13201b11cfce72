//! Which devices there are, how one is selected, and what it says that it can share.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::error::Error;

use dmashare::{Exporter, Extent, Fourcc, Importer, Modifier, Usage};
use dmashare_vk::ash::vk;
use dmashare_vk::{DeviceError, DeviceSelector, DrmNode, Instance, InstanceOptions};
use support::{COPY, desc, device, instance};

#[test]
fn every_device_is_listed_and_selected_by_what_it_says_of_itself() {
    let instance = instance();
    let devices = instance.physical_devices().unwrap();
    assert!(!devices.is_empty());
    for device in &devices {
        assert!(!device.name().is_empty() && !device.driver_name().is_empty());
        let uuid = DeviceSelector::Uuid(device.uuid());
        assert_eq!(instance.select(&uuid).unwrap().uuid(), device.uuid());
        let again: DeviceSelector = uuid.to_string().parse().unwrap();
        assert_eq!(again, uuid);
        let name = DeviceSelector::Name(device.name().to_uppercase());
        assert_eq!(instance.select(&name).unwrap().name(), device.name());
        if let Some(node) = device.render_node() {
            let selected = instance.select(&DeviceSelector::DrmNode(node)).unwrap();
            assert_eq!(selected.render_node(), Some(node));
        }
    }
    let any = instance.select(&DeviceSelector::Any).unwrap();
    assert!(any.missing_for_export().is_empty() && any.missing_for_import().is_empty());
}

#[test]
fn an_unknown_device_is_refused_with_those_that_are_there() {
    let instance = instance();
    let node = DrmNode {
        major: 1,
        minor: 9999,
    };
    for selector in [
        DeviceSelector::Name("no such device".into()),
        DeviceSelector::Uuid([0xee; 16]),
        DeviceSelector::DrmNode(node),
    ] {
        match instance.select(&selector) {
            Err(DeviceError::NoSuchDevice {
                selector: asked,
                available,
            }) => {
                assert_eq!(asked, selector.to_string());
                assert!(!available.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_device_says_what_it_can_share() {
    let device = device();
    let physical = device.physical_device();
    let supports = physical.modifiers(Fourcc::XRGB8888, COPY).unwrap();
    let linear = supports
        .iter()
        .find(|support| support.modifier == Modifier::LINEAR)
        .unwrap();
    assert!(linear.exportable && linear.importable);
    assert_eq!(linear.plane_count, 1);
    assert!(Extent::new(4096, 2160).fits(linear.max_extent));
    assert!(physical.formats(COPY).contains(&Fourcc::XRGB8888));
    // Vulkan has no name for it.
    let none = physical.modifiers(Fourcc::XRGB16161616, COPY).unwrap();
    assert!(none.is_empty());
    // What the device lists it also makes, and nothing else.
    for format in physical.formats(Usage::RENDER) {
        assert!(!format.info().unwrap().is_yuv || !support::in_lab());
    }
    let described = desc("modifiers", Fourcc::XRGB8888, Extent::new(64, 64));
    let listed = device.modifiers(&described).unwrap();
    let exportable: Vec<_> = supports
        .iter()
        .filter(|support| support.exportable)
        .map(|support| support.modifier)
        .collect();
    assert!(listed.iter().all(|modifier| exportable.contains(modifier)));
    assert_eq!(listed.len(), exportable.len());
}

#[test]
fn a_device_is_named_the_same_as_exporter_and_importer() {
    let device = device();
    assert_eq!(Exporter::name(&device), Importer::name(&device));
    assert!(Exporter::name(&device).contains(device.physical_device().name()));
}

/// The validation layer refuses the conversion where the feature is not enabled.
#[test]
fn an_opened_device_converts_luma_and_chroma() {
    let device = device();
    let physical = device.physical_device();
    let mut offered = vk::PhysicalDeviceVulkan11Features::default();
    let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut offered);
    // SAFETY: the device is of this instance and has Vulkan 1.3.
    unsafe {
        device
            .instance()
            .raw()
            .get_physical_device_features2(physical.raw(), &mut features);
    }
    if offered.sampler_ycbcr_conversion != vk::TRUE {
        assert!(!support::in_lab(), "the lab's device has the feature");
        return;
    }
    let info = vk::SamplerYcbcrConversionCreateInfo::default()
        .format(vk::Format::G8_B8R8_2PLANE_420_UNORM)
        .ycbcr_model(vk::SamplerYcbcrModelConversion::YCBCR_709)
        .ycbcr_range(vk::SamplerYcbcrRange::ITU_NARROW)
        .x_chroma_offset(vk::ChromaLocation::COSITED_EVEN)
        .y_chroma_offset(vk::ChromaLocation::COSITED_EVEN);
    // SAFETY: the feature is enabled, and `info` outlives the call.
    let conversion = unsafe { device.raw().create_sampler_ycbcr_conversion(&info, None) }.unwrap();
    // SAFETY: nobody uses it.
    unsafe {
        device
            .raw()
            .destroy_sampler_ycbcr_conversion(conversion, None);
    }
}

#[test]
fn an_error_keeps_its_cause() {
    let mut options = InstanceOptions::new("cause");
    options.extensions.push(c"VK_DMASHARE_nowhere".to_owned());
    let error = Instance::new(&options).unwrap_err();
    assert!(error.to_string().contains("vkCreateInstance"), "{error}");
    let cause = error.source().unwrap().downcast_ref();
    assert_eq!(cause, Some(&vk::Result::ERROR_EXTENSION_NOT_PRESENT));
}
