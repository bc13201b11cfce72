//! vgem: buffers to which user space attaches fences that it signals (`drivers/gpu/drm/vgem`).
#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;

/// `struct drm_version`, used to ask for the driver's name.
#[repr(C)]
struct Version {
    numbers: [i32; 3],
    name_length: usize,
    name: *mut u8,
    date_length: usize,
    date: *mut u8,
    description_length: usize,
    description: *mut u8,
}

/// `struct drm_mode_create_dumb`.
#[repr(C)]
#[derive(Default)]
struct CreateDumb {
    height: u32,
    width: u32,
    bpp: u32,
    flags: u32,
    handle: u32,
    pitch: u32,
    size: u64,
}

/// `struct drm_prime_handle`.
#[repr(C)]
struct PrimeHandle {
    handle: u32,
    flags: u32,
    fd: i32,
}

/// `struct drm_gem_close`.
#[repr(C)]
struct GemClose {
    handle: u32,
    pad: u32,
}

/// `struct drm_vgem_fence_attach`.
#[repr(C)]
struct FenceAttach {
    handle: u32,
    flags: u32,
    out_fence: u32,
    pad: u32,
}

/// `struct drm_vgem_fence_signal`.
#[repr(C)]
struct FenceSignal {
    fence: u32,
    flags: u32,
}

/// `VGEM_FENCE_WRITE`.
const WRITE: u32 = 1;

mod ioctls {
    nix::ioctl_readwrite!(version, b'd', 0x00, super::Version);
    nix::ioctl_write_ptr!(gem_close, b'd', 0x09, super::GemClose);
    nix::ioctl_readwrite!(prime_handle_to_fd, b'd', 0x2d, super::PrimeHandle);
    nix::ioctl_readwrite!(prime_fd_to_handle, b'd', 0x2e, super::PrimeHandle);
    nix::ioctl_readwrite!(create_dumb, b'd', 0xb2, super::CreateDumb);
    nix::ioctl_readwrite!(fence_attach, b'd', 0x41, super::FenceAttach);
    nix::ioctl_write_ptr!(fence_signal, b'd', 0x42, super::FenceSignal);
}

/// vgem's primary node. A render node cannot make dumb buffers.
#[derive(Debug)]
pub struct Vgem {
    file: File,
    path: PathBuf,
}

/// A buffer of vgem, or one that it has imported.
#[derive(Debug)]
pub struct VgemBuffer<'a> {
    vgem: &'a Vgem,
    handle: u32,
    /// Stride in bytes; 0 if the buffer is imported.
    pub pitch: u32,
}

/// A vgem fence in a buffer, pending until it is signalled. vgem itself signals it with `ETIMEDOUT`
/// after ten seconds.
#[derive(Debug)]
pub struct VgemFence<'a> {
    vgem: &'a Vgem,
    number: u32,
}

fn is_vgem(file: &File) -> bool {
    let mut name = [0_u8; 16];
    let mut version = Version {
        numbers: [0; 3],
        name_length: name.len(),
        name: name.as_mut_ptr(),
        date_length: 0,
        date: std::ptr::null_mut(),
        description_length: 0,
        description: std::ptr::null_mut(),
    };
    // SAFETY: `version` has the layout of `struct drm_version`; the kernel writes at most `name_length`
    // bytes to `name` and nothing to the other strings, whose lengths are 0.
    let result = unsafe { ioctls::version(file.as_raw_fd(), &raw mut version) };
    result.is_ok() && name.starts_with(b"vgem\0")
}

impl Vgem {
    /// Opens vgem's primary node.
    ///
    /// # Panics
    /// If the kernel was built without `CONFIG_DRM_VGEM`.
    pub fn open() -> Self {
        let entries = fs::read_dir("/dev/dri").into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            let is_primary = entry.file_name().to_string_lossy().starts_with("card");
            let opened = OpenOptions::new().read(true).write(true).open(&path);
            if let (true, Ok(file)) = (is_primary, opened)
                && is_vgem(&file)
            {
                return Self { file, path };
            }
        }
        crate::missing("vgem's node", &"there is none in /dev/dri")
    }

    /// Path of the node.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Makes a buffer with 32 bits per pixel.
    ///
    /// # Panics
    /// If the ioctl fails.
    pub fn create(&self, width: u32, height: u32) -> VgemBuffer<'_> {
        let mut dumb = CreateDumb {
            height,
            width,
            bpp: 32,
            ..CreateDumb::default()
        };
        // SAFETY: `dumb` has the layout of `struct drm_mode_create_dumb` and is writable.
        let made = unsafe { ioctls::create_dumb(self.file.as_raw_fd(), &raw mut dumb) };
        if let Err(errno) = made {
            crate::missing("DRM_IOCTL_MODE_CREATE_DUMB of vgem", &errno);
        }
        VgemBuffer {
            vgem: self,
            handle: dumb.handle,
            pitch: dumb.pitch,
        }
    }

    /// Imports a dma-buf.
    ///
    /// # Panics
    /// If the ioctl fails.
    pub fn import(&self, dmabuf: BorrowedFd<'_>) -> VgemBuffer<'_> {
        let mut prime = PrimeHandle {
            handle: 0,
            flags: 0,
            fd: dmabuf.as_raw_fd(),
        };
        // SAFETY: `prime` has the layout of `struct drm_prime_handle` and is writable.
        let made = unsafe { ioctls::prime_fd_to_handle(self.file.as_raw_fd(), &raw mut prime) };
        if let Err(errno) = made {
            crate::missing("DRM_IOCTL_PRIME_FD_TO_HANDLE of vgem", &errno);
        }
        VgemBuffer {
            vgem: self,
            handle: prime.handle,
            pitch: 0,
        }
    }
}

impl<'a> VgemBuffer<'a> {
    /// Exports the buffer as a dma-buf.
    ///
    /// # Panics
    /// If the ioctl fails.
    pub fn dmabuf(&self) -> OwnedFd {
        let mut prime = PrimeHandle {
            handle: self.handle,
            flags: u32::try_from(nix::libc::O_CLOEXEC | nix::libc::O_RDWR).unwrap_or(0),
            fd: -1,
        };
        let file = self.vgem.file.as_raw_fd();
        // SAFETY: `prime` has the layout of `struct drm_prime_handle` and is writable.
        if let Err(errno) = unsafe { ioctls::prime_handle_to_fd(file, &raw mut prime) } {
            crate::missing("DRM_IOCTL_PRIME_HANDLE_TO_FD of vgem", &errno);
        }
        // SAFETY: the ioctl succeeded, so the field holds a new descriptor that has no other owner.
        unsafe { OwnedFd::from_raw_fd(prime.fd) }
    }

    /// Adds a pending fence to the buffer, as a writer's or a reader's.
    ///
    /// # Errors
    /// `EBUSY`: the buffer has a fence that the new one would have to wait for.
    pub fn attach_fence(&self, write: bool) -> Result<VgemFence<'a>, Errno> {
        let mut attach = FenceAttach {
            handle: self.handle,
            flags: if write { WRITE } else { 0 },
            out_fence: 0,
            pad: 0,
        };
        // SAFETY: `attach` has the layout of `struct drm_vgem_fence_attach` and is writable.
        unsafe { ioctls::fence_attach(self.vgem.file.as_raw_fd(), &raw mut attach) }?;
        Ok(VgemFence {
            vgem: self.vgem,
            number: attach.out_fence,
        })
    }
}

impl Drop for VgemBuffer<'_> {
    fn drop(&mut self) {
        let close = GemClose {
            handle: self.handle,
            pad: 0,
        };
        // SAFETY: the kernel reads `struct drm_gem_close`; the handle is this buffer's own.
        let closed = unsafe { ioctls::gem_close(self.vgem.file.as_raw_fd(), &raw const close) };
        debug_assert!(closed.is_ok(), "{closed:?}");
    }
}

impl VgemFence<'_> {
    /// Signals the fence.
    ///
    /// # Errors
    /// `ETIMEDOUT`: ten seconds have passed, so vgem has signalled the fence already.
    pub fn signal(self) -> Result<(), Errno> {
        let signal = FenceSignal {
            fence: self.number,
            flags: 0,
        };
        // SAFETY: the kernel reads `struct drm_vgem_fence_signal`.
        unsafe { ioctls::fence_signal(self.vgem.file.as_raw_fd(), &raw const signal) }?;
        Ok(())
    }
}
