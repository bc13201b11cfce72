//! The table of formats against the kernel's own: `MODE_ADDFB2` checks every plane of a framebuffer
//! against `drm_fourcc.c`, and tells by its answer what that says.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use dmashare::host::Udmabuf;
use dmashare::{DmaBufMemory, Extent, FormatInfo, Fourcc, Modifier};
use dmashare_drm::Card;
use dmashare_lab_probe::VkmsDisplay;
use drm::buffer::DrmFourcc;

/// Formats that no plane of the lab has, so that its kernel refuses them whatever their planes are.
const NOT_IN_THE_LAB: [Fourcc; 9] = [
    Fourcc::GR88,
    Fourcc::XRGB2101010,
    Fourcc::ARGB2101010,
    Fourcc::XBGR2101010,
    Fourcc::ABGR2101010,
    Fourcc::XRGB16161616F,
    Fourcc::ARGB16161616F,
    Fourcc::XBGR16161616F,
    Fourcc::ABGR16161616F,
];

const EXTENT: Extent = Extent::new(64, 48);
const MEMORY: u64 = 1 << 20;

/// What `MODE_ADDFB2` is given for each plane.
#[derive(Clone, Copy, Debug, Default)]
struct Planes {
    handles: [u32; 4],
    pitches: [u32; 4],
    offsets: [u32; 4],
}

/// An open card, and memory of which it has a handle.
struct Kernel {
    file: OwnedFd,
    handle: u32,
    card: Card,
    display: VkmsDisplay,
    _memory: DmaBufMemory,
}

impl Kernel {
    fn new() -> Self {
        let display = VkmsDisplay::new();
        let node = File::options().read(true).write(true).open(display.node());
        let file: OwnedFd = node.unwrap().into();
        let card = Card::from_fd(file.try_clone().unwrap()).unwrap();
        let memory = Udmabuf::open().unwrap().allocate_memory(MEMORY).unwrap();
        let prime = drm_ffi::gem::fd_to_handle(file.as_fd(), memory.as_fd()).unwrap();
        Self {
            file,
            handle: prime.handle,
            card,
            display,
            _memory: memory,
        }
    }

    /// Planes with the least pitches of our table, one behind the other.
    fn planes(&self, info: &FormatInfo, extent: Extent) -> Planes {
        let mut planes = Planes::default();
        let mut offset = 0;
        for (index, plane) in info.planes.iter().enumerate() {
            planes.handles[index] = self.handle;
            planes.pitches[index] = u32::try_from(plane.row_bytes(extent.width)).unwrap();
            planes.offsets[index] = offset;
            offset += planes.pitches[index] * plane.rows(extent.height);
        }
        planes
    }

    /// The kernel's answer, and while there is a framebuffer what `look` sees.
    fn add<T>(
        &self,
        format: Fourcc,
        extent: Extent,
        planes: &Planes,
        look: impl FnOnce(u32) -> T,
    ) -> io::Result<T> {
        let modifiers = planes.handles.map(|_| Modifier::LINEAR.as_raw());
        let framebuffer = drm_ffi::mode::add_fb2(
            self.file.as_fd(),
            extent.width,
            extent.height,
            format.as_raw(),
            &planes.handles,
            &planes.pitches,
            &planes.offsets,
            &modifiers,
            drm_ffi::DRM_MODE_FB_MODIFIERS,
        )?;
        let seen = look(framebuffer.fb_id);
        drm_ffi::mode::rm_fb(self.file.as_fd(), framebuffer.fb_id).unwrap();
        Ok(seen)
    }

    fn takes(&self, format: Fourcc, extent: Extent, planes: &Planes) -> bool {
        match self.add(format, extent, planes, |_| ()) {
            Ok(()) => true,
            Err(error) => {
                let errno = error.raw_os_error();
                let expected = [nix::libc::EINVAL, nix::libc::ENOENT, nix::libc::ERANGE];
                let known = errno.is_some_and(|errno| expected.contains(&errno));
                assert!(known, "{format} {planes:?}: {error}");
                false
            }
        }
    }

    /// Width and height of each plane of a framebuffer, as the kernel lists them.
    fn plane_sizes(&self, framebuffer: u32) -> BTreeMap<usize, (u32, u32)> {
        let minor = self.display.minor();
        let list = fs::read_to_string(format!("/sys/kernel/debug/dri/{minor}/framebuffer"));
        let list = list.unwrap();
        let heading = format!("framebuffer[{framebuffer}]:");
        let entry = list.split(&heading).nth(1).unwrap();
        let entry = entry.split("framebuffer[").next().unwrap();
        let sizes = entry.lines().filter_map(|line| {
            let (index, size) = line.trim().strip_prefix("size[")?.split_once("]=")?;
            let (width, height) = size.split_once('x')?;
            let size = (width.parse().unwrap(), height.parse().unwrap());
            Some((index.parse().unwrap(), size))
        });
        sizes.collect()
    }
}

fn in_the_lab() -> impl Iterator<Item = &'static FormatInfo> {
    let all = FormatInfo::all().iter();
    all.filter(|info| !NOT_IN_THE_LAB.contains(&info.fourcc))
}

#[test]
fn the_kernel_takes_the_formats_that_its_planes_list() {
    let kernel = Kernel::new();
    for info in FormatInfo::all() {
        let planes = kernel.planes(info, EXTENT);
        let taken = kernel.takes(info.fourcc, EXTENT, &planes);
        let listed = kernel
            .card
            .formats()
            .contains(info.fourcc, Modifier::LINEAR);
        assert_eq!(taken, listed, "{}: ADDFB2 and IN_FORMATS differ", info.name);
        let absent = NOT_IN_THE_LAB.contains(&info.fourcc);
        assert_eq!(taken, !absent, "{}", info.name);
    }
}

#[test]
fn pitches_are_as_long_as_the_kernel_wants_them_and_no_longer() {
    let kernel = Kernel::new();
    for info in in_the_lab() {
        let good = kernel.planes(info, EXTENT);
        for plane in 0..info.planes.len() {
            let mut short = good;
            short.pitches[plane] -= 1;
            let what = format!("{} plane {plane}", info.name);
            assert!(
                !kernel.takes(info.fourcc, EXTENT, &short),
                "{what}: one less"
            );
            let mut long = good;
            long.pitches[plane] += 1;
            assert!(kernel.takes(info.fourcc, EXTENT, &long), "{what}: one more");
        }
    }
}

#[test]
fn planes_end_where_the_kernel_says() {
    let kernel = Kernel::new();
    let memory = u32::try_from(MEMORY).unwrap();
    for info in in_the_lab() {
        for (index, plane) in info.planes.iter().enumerate() {
            let mut last = kernel.planes(info, EXTENT);
            // A pitch with padding: the last row need not have it.
            let row = u32::try_from(plane.row_bytes(EXTENT.width)).unwrap();
            last.pitches[index] = row + 64;
            let bytes = last.pitches[index] * (plane.rows(EXTENT.height) - 1) + row;
            last.offsets[index] = memory - bytes;
            let what = format!("{} plane {index}", info.name);
            assert!(
                kernel.takes(info.fourcc, EXTENT, &last),
                "{what}: at the end"
            );
            last.offsets[index] += 1;
            assert!(!kernel.takes(info.fourcc, EXTENT, &last), "{what}: past it");
        }
    }
}

#[test]
fn the_kernel_has_as_many_planes_of_the_same_sizes() {
    let kernel = Kernel::new();
    for info in in_the_lab() {
        let good = kernel.planes(info, EXTENT);
        let count = info.planes.len();
        let mut fewer = good;
        fewer.handles[count - 1] = 0;
        assert!(!kernel.takes(info.fourcc, EXTENT, &fewer), "{}", info.name);
        if count < 4 {
            let mut more = good;
            more.handles[count] = kernel.handle;
            more.pitches[count] = good.pitches[0];
            assert!(!kernel.takes(info.fourcc, EXTENT, &more), "{}", info.name);
        }
        let sizes = kernel.add(info.fourcc, EXTENT, &good, |id| kernel.plane_sizes(id));
        let sizes = sizes.unwrap();
        assert_eq!(sizes.len(), count, "{}", info.name);
        for (index, plane) in info.planes.iter().enumerate() {
            let width = EXTENT.width / u32::from(plane.horizontal_subsampling);
            let expected = (width, plane.rows(EXTENT.height));
            assert_eq!(sizes[&index], expected, "{} plane {index}", info.name);
        }
    }
}

/// Chroma of an odd width or height: the last sample is of one pixel, and has its bytes.
#[test]
fn odd_sizes_round_up_as_in_the_kernel() {
    let kernel = Kernel::new();
    for info in in_the_lab() {
        for (width, height) in [(65, 48), (64, 49), (63, 47), (11, 11)] {
            let extent = Extent::new(width, height);
            let good = kernel.planes(info, extent);
            let what = format!("{} {extent}", info.name);
            let sizes = kernel.add(info.fourcc, extent, &good, |id| kernel.plane_sizes(id));
            let sizes = sizes.unwrap_or_else(|error| panic!("{what}: {error}"));
            for (index, plane) in info.planes.iter().enumerate() {
                let row = u32::try_from(plane.row_bytes(width)).unwrap();
                let expected = (row / u32::from(plane.bytes_per_sample), plane.rows(height));
                assert_eq!(sizes[&index], expected, "{what} plane {index}");
                let mut short = good;
                short.pitches[index] = row - 1;
                assert!(!kernel.takes(info.fourcc, extent, &short), "{what}");
            }
        }
    }
}

/// The header of the kernel, through a crate that is generated from it.
#[test]
fn codes_are_those_of_the_kernels_header() {
    macro_rules! pairs {
        ($($ours:ident $theirs:ident;)*) => {
            [$((Fourcc::$ours, stringify!($ours), DrmFourcc::$theirs)),*]
        };
    }
    let pairs = pairs! {
        R8 R8; GR88 Gr88; RGB565 Rgb565; RGB888 Rgb888; BGR888 Bgr888;
        XRGB8888 Xrgb8888; ARGB8888 Argb8888; XBGR8888 Xbgr8888; ABGR8888 Abgr8888;
        XRGB2101010 Xrgb2101010; ARGB2101010 Argb2101010;
        XBGR2101010 Xbgr2101010; ABGR2101010 Abgr2101010;
        XRGB16161616F Xrgb16161616f; ARGB16161616F Argb16161616f;
        XBGR16161616F Xbgr16161616f; ABGR16161616F Abgr16161616f;
        NV12 Nv12; NV16 Nv16; P010 P010; YUV420 Yuv420;
    };
    // The crate is older than 16-bit integers in the header: those the kernel itself knows, above.
    let newer = |info: &&FormatInfo| info.name.ends_with("16161616");
    let newer = FormatInfo::all().iter().filter(newer);
    assert!(
        newer
            .clone()
            .all(|info| !NOT_IN_THE_LAB.contains(&info.fourcc))
    );
    assert_eq!(pairs.len() + newer.count(), FormatInfo::all().len());
    for (ours, name, theirs) in pairs {
        assert_eq!(ours.as_raw(), theirs as u32, "{name}");
        assert_eq!(ours.info().unwrap().name, name);
    }
}
