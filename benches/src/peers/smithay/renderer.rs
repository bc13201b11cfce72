//! smithay's renderer, on the device that the others use.

use anyhow::{Context, Result, ensure};
use smithay::backend::allocator::dmabuf::Dmabuf;
use smithay::backend::egl::native::EGLSurfacelessDisplay;
use smithay::backend::egl::{EGLContext, EGLDevice, EGLDisplay};
use smithay::backend::renderer::gles::{GlesRenderer, GlesTexture, ffi};
use smithay::backend::renderer::{ImportDma, Renderer, Texture};

use crate::peers::render_node::render_node;
use crate::{Machine, Size};

/// A renderer on OpenGL ES: on the importing Vulkan device's render node, or without any device where
/// that one is a driver on the CPU.
///
/// # Errors
/// When there is no EGL, or OpenGL ES lacks what smithay needs.
pub(super) fn renderer(machine: &Machine) -> Result<GlesRenderer> {
    let display = match render_node(machine.importer())? {
        Some(path) => {
            let device = EGLDevice::enumerate()?
                .find(|device| device.render_device_path().is_ok_and(|its| its == path))
                .with_context(|| format!("EGL has no device for {}", path.display()))?;
            // SAFETY: nobody else here uses EGL, so nobody ends the display.
            unsafe { EGLDisplay::new(device) }
        }
        // SAFETY: as above.
        None => unsafe { EGLDisplay::new(EGLSurfacelessDisplay) },
    }?;
    let context = EGLContext::new(&display)?;
    // SAFETY: the context is new, and current in no thread.
    Ok(unsafe { GlesRenderer::new(context) }?)
}

/// Imports a dma-buf as a texture.
///
/// # Errors
/// When EGL refuses.
pub(super) fn import(
    renderer: &mut GlesRenderer,
    dmabuf: &Dmabuf,
    size: Size,
) -> Result<GlesTexture> {
    let texture = renderer.import_dmabuf(dmabuf, None)?;
    ensure!(
        texture.tex_id() != 0 && (texture.width(), texture.height()) == (size.width, size.height),
        "a texture of another size"
    );
    Ok(texture)
}

/// Whether OpenGL ES took everything so far: smithay does not ask when it imports.
///
/// # Errors
/// When it did not.
pub(super) fn check(renderer: &mut GlesRenderer) -> Result<()> {
    // SAFETY: glGetError takes nothing; smithay has made the context current.
    let error = renderer.with_context(|gl| unsafe { gl.GetError() })?;
    ensure!(error == ffi::NO_ERROR, "OpenGL ES has failed: {error:#x}");
    renderer.cleanup_texture_cache()?;
    Ok(())
}
