//! Import of dma-bufs. All parameters are checked before the driver sees them.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use dmashare::{
    AccessConstraint, Backing, BufferDesc, DmaBuf, FenceSet, ImportError, Importer, Layout,
    Modifier,
};
use drm_ffi::DRM_MODE_FB_MODIFIERS;
use smallvec::SmallVec;

use crate::card::{Card, CardInner};
use crate::device::gem::GemHandle;
use crate::framebuffer::{Framebuffer, PixelMeaning};
use crate::sys::retry;

impl Importer for Card {
    type Object = Framebuffer;

    fn name(&self) -> &str {
        Card::name(self)
    }

    /// The constraint that [`Card::set_scanout_constraint`] set.
    fn constraint(&self, _desc: &BufferDesc) -> AccessConstraint {
        self.scanout_constraint()
    }

    /// Imports the dma-bufs (PRIME) and creates a framebuffer.
    ///
    /// # Errors
    /// - [`ImportError::MissingFeature`]: the driver does not support PRIME import.
    /// - [`ImportError::UnsupportedFormat`], [`ImportError::UnsupportedModifier`]: no plane supports the
    ///   format or the modifier; the error lists the supported ones (`IN_FORMATS`).
    /// - [`ImportError::TooSmall`], [`ImportError::TooLarge`]: the extent is outside the framebuffer
    ///   limits of the card.
    /// - [`ImportError::Layout`]: the planes do not fit their memory.
    /// - [`ImportError::Refused`]: the driver rejected `PRIME_FD_TO_HANDLE` or `MODE_ADDFB2`, or a plane
    ///   offset exceeds 32 bits.
    /// - [`ImportError::Device`]: one of these ioctls failed for a reason that may be temporary.
    fn import(&self, desc: &BufferDesc, backing: &Backing) -> Result<Framebuffer, ImportError> {
        let inner = self.inner();
        inner.collect();
        let dmabuf = backing.dmabuf();
        check(inner, dmabuf)?;
        let planes = plane_arrays(inner, dmabuf)?;
        // One handle per memory. The handles are needed only until the framebuffer exists, which then
        // references the memory.
        let mut handles = SmallVec::<[GemHandle; 4]>::new();
        for memory in dmabuf.memories() {
            let handle = GemHandle::import(&inner.device, memory)
                .map_err(|source| device_error(inner, "PRIME_FD_TO_HANDLE", source))?;
            handles.push(handle);
        }
        let mut numbers = [0; 4];
        for (number, plane) in numbers.iter_mut().zip(dmabuf.layout().planes()) {
            *number = handles[plane.memory].raw();
        }
        let flags = if inner.capabilities.addfb2_modifiers {
            DRM_MODE_FB_MODIFIERS
        } else {
            0
        };
        let extent = dmabuf.extent();
        let framebuffer = retry(|| {
            drm_ffi::mode::add_fb2(
                inner.device.as_fd(),
                extent.width,
                extent.height,
                dmabuf.format().as_raw(),
                &numbers,
                &planes.pitches,
                &planes.offsets,
                &planes.modifiers,
                flags,
            )
        })
        .map_err(|source| device_error(inner, "MODE_ADDFB2", source))?;
        Ok(Framebuffer::new(
            inner.device.clone(),
            framebuffer.fb_id,
            dmabuf.format(),
            dmabuf.layout().modifier(),
            extent,
            PixelMeaning::new(dmabuf.format(), desc),
        ))
    }

    fn retire(&self, object: Framebuffer, after: FenceSet) {
        if after.is_finished() {
            drop(object);
        } else {
            self.inner().retire.push(object, after);
        }
    }
}

/// Per-plane arguments of ADDFB2. Unused entries are 0.
#[derive(Default)]
struct PlaneArrays {
    pitches: [u32; 4],
    offsets: [u32; 4],
    modifiers: [u64; 4],
}

fn plane_arrays(inner: &CardInner, dmabuf: &DmaBuf) -> Result<PlaneArrays, ImportError> {
    let mut arrays = PlaneArrays::default();
    let modifier = if inner.capabilities.addfb2_modifiers {
        dmabuf.layout().modifier().as_raw()
    } else {
        0
    };
    for (index, plane) in dmabuf.layout().planes().iter().enumerate() {
        arrays.pitches[index] = plane.stride;
        arrays.offsets[index] = u32::try_from(plane.offset).map_err(|_| {
            let source = io::Error::from_raw_os_error(nix::libc::EOVERFLOW);
            device_error(inner, "MODE_ADDFB2 (32-bit offset)", source)
        })?;
        arrays.modifiers[index] = modifier;
    }
    Ok(arrays)
}

fn check(inner: &Arc<CardInner>, dmabuf: &DmaBuf) -> Result<(), ImportError> {
    let importer = || inner.device.name().to_owned();
    if !inner.capabilities.prime_import {
        return Err(ImportError::MissingFeature {
            importer: importer(),
            missing: "DRM_PRIME_CAP_IMPORT",
        });
    }
    let (format, extent) = (dmabuf.format(), dmabuf.extent());
    let layout = dmabuf.layout();
    let modifier = layout.modifier();
    let formats = &inner.resources.formats;
    if formats.modifiers(format).is_empty() {
        return Err(ImportError::UnsupportedFormat {
            importer: importer(),
            format,
            supported: formats.fourccs().collect(),
        });
    }
    if modifier == Modifier::INVALID || !formats.contains(format, modifier) {
        return Err(ImportError::UnsupportedModifier {
            importer: importer(),
            format,
            modifier,
            supported: formats.modifiers(format).to_vec(),
        });
    }
    let minimum = inner.capabilities.minimum_extent;
    if !minimum.fits(extent) {
        return Err(ImportError::TooSmall {
            importer: importer(),
            extent,
            minimum,
        });
    }
    let maximum = inner.capabilities.maximum_extent;
    if !extent.fits(maximum) {
        return Err(ImportError::TooLarge {
            importer: importer(),
            extent,
            maximum,
        });
    }
    // Drivers check little of this, so a layout with overlapping rows or out-of-bounds reads must not
    // reach them.
    let sizes: SmallVec<[u64; 4]> = dmabuf
        .memories()
        .iter()
        .map(|memory| memory.size())
        .collect();
    Layout::new(format, extent, modifier, layout.planes(), &sizes)?;
    Ok(())
}

/// Maps an errno that the kernel returns for bad arguments to a refusal. Any other error may be
/// temporary.
fn device_error(inner: &CardInner, operation: &'static str, source: io::Error) -> ImportError {
    let importer = inner.device.name().to_owned();
    let is_refusal = matches!(
        source.raw_os_error(),
        Some(
            nix::libc::EINVAL
                | nix::libc::ERANGE
                | nix::libc::EOVERFLOW
                | nix::libc::EOPNOTSUPP
                | nix::libc::ENOSYS
        )
    );
    let source = source.into();
    if is_refusal {
        ImportError::Refused {
            importer,
            operation,
            source,
        }
    } else {
        ImportError::Device {
            importer,
            operation,
            source,
        }
    }
}
