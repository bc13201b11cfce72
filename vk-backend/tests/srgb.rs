//! Views that read and write a buffer's pixels as sRGB.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use dmashare::{
    AttachError, ExportError, Extent, Fourcc, ImportError, Modifier, SharedBuffer, Usage,
};
use dmashare_vk::ash::vk;
use dmashare_vk::{Device, NoSrgbFormat, vk_srgb_format};
use support::{desc, device, map};

/// The validation layer refuses a view whose format is not in the image's list.
fn make_view(device: &Device, image: vk::Image, format: vk::Format) {
    let range = vk::ImageSubresourceRange::default()
        .aspect_mask(vk::ImageAspectFlags::COLOR)
        .level_count(1)
        .layer_count(1);
    let info = vk::ImageViewCreateInfo::default()
        .image(image)
        .view_type(vk::ImageViewType::TYPE_2D)
        .format(format)
        .subresource_range(range);
    // SAFETY: the image is bound, and was made for views of this format.
    let view = unsafe { device.raw().create_image_view(&info, None) }.unwrap();
    // SAFETY: nobody uses it.
    unsafe { device.raw().destroy_image_view(view, None) };
}

#[test]
fn views_as_srgb_can_be_made_on_both_sides() {
    let (a, b) = (device(), device());
    for format in [Fourcc::XRGB8888, Fourcc::ABGR8888] {
        let described = || {
            let mut desc = desc("srgb", format, Extent::new(64, 32));
            desc.usage = Usage::RENDER | Usage::SAMPLE;
            desc.srgb_views = true;
            desc
        };
        let srgb = vk_srgb_format(format).unwrap();
        let exported = SharedBuffer::new(&a, described(), &[Modifier::LINEAR]).unwrap();
        let foreign =
            SharedBuffer::new(&support::heap(), described(), &[Modifier::LINEAR]).unwrap();
        for shared in [&exported, &foreign] {
            for device in [&a, &b] {
                let mapping = map(shared, device);
                make_view(device, mapping.object().raw(), srgb);
                // The library's own view stays in the format of the description.
                assert!(mapping.object().view().is_some());
                assert_ne!(mapping.object().vk_format(), srgb);
            }
        }
    }
}

#[test]
fn formats_without_an_srgb_counterpart_are_refused() {
    let device = device();
    let format = Fourcc::RGB565;
    let mut described = desc("no srgb", format, Extent::new(64, 32));
    described.srgb_views = true;
    let expected = NoSrgbFormat { format };
    match SharedBuffer::new(&device, described.clone(), &[Modifier::LINEAR]) {
        Err(ExportError::Device { source, .. }) => {
            assert_eq!(source.downcast_ref(), Some(&expected));
            assert!(source.to_string().contains("srgb_views"), "{source}");
        }
        other => panic!("{other:?}"),
    }
    let foreign = SharedBuffer::new(&support::heap(), described, &[Modifier::LINEAR]).unwrap();
    match foreign.attach(&device) {
        Err(AttachError::Import {
            source: ImportError::Refused { source, .. },
            ..
        }) => assert_eq!(source.downcast_ref(), Some(&expected)),
        other => panic!("{other:?}"),
    }
}
