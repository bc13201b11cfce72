//! Pixel formats, as four-character codes.

use std::fmt;

/// A DRM pixel format: four characters in a `u32`, such as `XR24` (`drm_fourcc.h`).
///
/// Any value is allowed, because the kernel has formats that this library does not know.
/// [`Fourcc::info`] returns the memory layout of known formats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fourcc(u32);

macro_rules! fourccs {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl Fourcc {
            $($(#[$doc])* pub const $name: Self = Self(u32::from_le_bytes(*$code));)*
        }
    };
}

fourccs! {
    /// 8-bit red.
    R8 = b"R8  ";
    /// 8-bit green and red, red in the low byte.
    GR88 = b"GR88";
    /// 16-bit: 5 red, 6 green, 5 blue, blue in the low bits.
    RGB565 = b"RG16";
    /// 24-bit: bytes blue, green, red.
    RGB888 = b"RG24";
    /// 24-bit: bytes red, green, blue.
    BGR888 = b"BG24";
    /// 32-bit: bytes blue, green, red, unused.
    XRGB8888 = b"XR24";
    /// 32-bit: bytes blue, green, red, alpha.
    ARGB8888 = b"AR24";
    /// 32-bit: bytes red, green, blue, unused.
    XBGR8888 = b"XB24";
    /// 32-bit: bytes red, green, blue, alpha.
    ABGR8888 = b"AB24";
    /// 32-bit: 10 blue, 10 green, 10 red, 2 unused, blue in the low bits.
    XRGB2101010 = b"XR30";
    /// 32-bit: 10 blue, 10 green, 10 red, 2 alpha, blue in the low bits.
    ARGB2101010 = b"AR30";
    /// 32-bit: 10 red, 10 green, 10 blue, 2 unused, red in the low bits.
    XBGR2101010 = b"XB30";
    /// 32-bit: 10 red, 10 green, 10 blue, 2 alpha, red in the low bits.
    ABGR2101010 = b"AB30";
    /// 64-bit: 16-bit words blue, green, red, unused.
    XRGB16161616 = b"XR48";
    /// 64-bit: 16-bit words blue, green, red, alpha.
    ARGB16161616 = b"AR48";
    /// 64-bit: 16-bit words red, green, blue, unused.
    XBGR16161616 = b"XB48";
    /// 64-bit: 16-bit words red, green, blue, alpha.
    ABGR16161616 = b"AB48";
    /// 64-bit: half floats blue, green, red, unused.
    XRGB16161616F = b"XR4H";
    /// 64-bit: half floats blue, green, red, alpha.
    ARGB16161616F = b"AR4H";
    /// 64-bit: half floats red, green, blue, unused.
    XBGR16161616F = b"XB4H";
    /// 64-bit: half floats red, green, blue, alpha.
    ABGR16161616F = b"AB4H";
    /// Two planes: 8-bit luma, then chroma pairs at half width and height.
    NV12 = b"NV12";
    /// Two planes: 8-bit luma, then chroma pairs at half width.
    NV16 = b"NV16";
    /// Two planes: 10-bit luma in the high bits of 16-bit words, then chroma pairs at half width and
    /// height.
    P010 = b"P010";
    /// Three planes: 8-bit luma, then each chroma at half width and height.
    YUV420 = b"YU12";
}

impl Fourcc {
    /// Wraps the kernel's value.
    pub const fn new(raw: u32) -> Self {
        Self(raw)
    }

    /// The kernel's value.
    pub const fn as_raw(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Fourcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.to_le_bytes();
        if bytes.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
            for byte in bytes {
                if byte != b' ' {
                    write!(f, "{}", char::from(byte))?;
                }
            }
            Ok(())
        } else {
            write!(f, "{:#010x}", self.0)
        }
    }
}

impl fmt::Debug for Fourcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fourcc({self})")
    }
}
