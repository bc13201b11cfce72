//! How a color is written in memory, for every format that the picture can be drawn in.

use dmashare::{Extent, Fourcc};

use crate::picture::{Picture, Rgb};

/// How a channel's bits are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    /// Unsigned normalised: all bits set is 1.0.
    Unorm,
    /// IEEE half floats.
    Half,
}

/// One channel: its lowest bit in the little-endian pixel, and how many it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    lowest: u8,
    bits: u8,
}

const fn channel(lowest: u8, bits: u8) -> Channel {
    Channel { lowest, bits }
}

const NONE: Channel = channel(0, 0);

/// A packed RGB format: where each channel lies, and how a 16-bit color becomes its bits.
///
/// A color keeps its highest bits: a channel of n bits is the 16-bit value shifted right by 16 - n.
/// Half floats keep eleven bits, value / 2048, which they hold exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelFormat {
    fourcc: Fourcc,
    bytes: u8,
    numbers: Numbers,
    red: Channel,
    green: Channel,
    blue: Channel,
    alpha: Channel,
}

const fn unorm(fourcc: Fourcc, bytes: u8, channels: [Channel; 4]) -> PixelFormat {
    let [red, green, blue, alpha] = channels;
    PixelFormat {
        fourcc,
        bytes,
        numbers: Numbers::Unorm,
        red,
        green,
        blue,
        alpha,
    }
}

const fn half(fourcc: Fourcc, alpha: Channel) -> PixelFormat {
    PixelFormat {
        numbers: Numbers::Half,
        ..unorm(
            fourcc,
            8,
            [channel(0, 16), channel(16, 16), channel(32, 16), alpha],
        )
    }
}

const BGR8: [Channel; 3] = [channel(16, 8), channel(8, 8), channel(0, 8)];
const RGB8: [Channel; 3] = [channel(0, 8), channel(8, 8), channel(16, 8)];
const BGR10: [Channel; 3] = [channel(20, 10), channel(10, 10), channel(0, 10)];
const RGB10: [Channel; 3] = [channel(0, 10), channel(10, 10), channel(20, 10)];
const BGR16: [Channel; 3] = [channel(32, 16), channel(16, 16), channel(0, 16)];
const RGB16: [Channel; 3] = [channel(0, 16), channel(16, 16), channel(32, 16)];

const fn with(rgb: [Channel; 3], alpha: Channel) -> [Channel; 4] {
    [rgb[0], rgb[1], rgb[2], alpha]
}

/// After `drm_fourcc.h`, which names channels from the highest bit to the lowest.
const TABLE: &[PixelFormat] = &[
    unorm(Fourcc::R8, 1, [channel(0, 8), NONE, NONE, NONE]),
    unorm(Fourcc::GR88, 2, [channel(0, 8), channel(8, 8), NONE, NONE]),
    unorm(
        Fourcc::RGB565,
        2,
        [channel(11, 5), channel(5, 6), channel(0, 5), NONE],
    ),
    unorm(Fourcc::XRGB8888, 4, with(BGR8, NONE)),
    unorm(Fourcc::ARGB8888, 4, with(BGR8, channel(24, 8))),
    unorm(Fourcc::XBGR8888, 4, with(RGB8, NONE)),
    unorm(Fourcc::ABGR8888, 4, with(RGB8, channel(24, 8))),
    unorm(Fourcc::XRGB2101010, 4, with(BGR10, NONE)),
    unorm(Fourcc::ARGB2101010, 4, with(BGR10, channel(30, 2))),
    unorm(Fourcc::XBGR2101010, 4, with(RGB10, NONE)),
    unorm(Fourcc::ABGR2101010, 4, with(RGB10, channel(30, 2))),
    unorm(Fourcc::XRGB16161616, 8, with(BGR16, NONE)),
    unorm(Fourcc::ARGB16161616, 8, with(BGR16, channel(48, 16))),
    unorm(Fourcc::XBGR16161616, 8, with(RGB16, NONE)),
    unorm(Fourcc::ABGR16161616, 8, with(RGB16, channel(48, 16))),
    half(Fourcc::XBGR16161616F, NONE),
    half(Fourcc::ABGR16161616F, channel(48, 16)),
];

impl PixelFormat {
    /// The formats that the picture can be drawn in: packed RGB of 8 to 64 bits.
    pub fn all() -> &'static [Self] {
        TABLE
    }

    /// The entry for `fourcc`; `None` for planar and unknown formats.
    pub fn of(fourcc: Fourcc) -> Option<&'static Self> {
        TABLE.iter().find(|format| format.fourcc == fourcc)
    }

    /// The format's code.
    pub fn fourcc(&self) -> Fourcc {
        self.fourcc
    }

    /// Bytes of one pixel.
    pub fn bytes(&self) -> usize {
        usize::from(self.bytes)
    }

    /// By how many bits each 16-bit channel (red, green, blue) is shifted right before it is drawn.
    pub fn shifts(&self) -> [u8; 3] {
        self.rgb().map(|channel| 16 - self.significant(channel))
    }

    /// What the shifted channels are divided by when they are drawn, so that the result is the
    /// texel's value from 0 to 1.
    pub fn divisors(&self) -> [u32; 3] {
        self.rgb().map(|channel| match self.numbers {
            Numbers::Unorm => (1 << self.significant(channel)) - 1,
            Numbers::Half => 2048,
        })
    }

    /// The bits of a pixel that mean something: all but the padding of formats with an X.
    pub fn mask(&self) -> u64 {
        let bits = |channel: Channel| ((1_u64 << channel.bits) - 1) << channel.lowest;
        bits(self.red) | bits(self.green) | bits(self.blue) | bits(self.alpha)
    }

    /// The pixel of an opaque color, as a little-endian number; bits outside the mask are 0.
    pub fn encode(&self, color: Rgb) -> u64 {
        let mut pixel = match (self.numbers, self.alpha.bits) {
            (Numbers::Unorm, bits) => ((1 << bits) - 1) << self.alpha.lowest,
            (Numbers::Half, 0) => 0,
            (Numbers::Half, _) => HALF_ONE << self.alpha.lowest,
        };
        let values = [color.red, color.green, color.blue];
        for (channel, value) in self.rgb().into_iter().zip(values) {
            // Missing channels have no bits: 16 - 0 shifts everything out.
            let kept = u64::from(value) >> (16 - self.significant(channel));
            let bits = match self.numbers {
                Numbers::Unorm => kept,
                Numbers::Half => half_from_2048ths(kept),
            };
            pixel |= bits << channel.lowest;
        }
        pixel
    }

    /// A whole picture in this format, row after row without padding.
    pub fn rows(&self, picture: &Picture) -> Vec<u8> {
        let Extent { width, height } = picture.extent();
        let mut bytes = vec![0; width as usize * height as usize * self.bytes()];
        for (y, row) in (0..).zip(bytes.chunks_exact_mut(width as usize * self.bytes())) {
            for (x, pixel) in (0..).zip(row.chunks_exact_mut(self.bytes())) {
                let value = self.encode(picture.pixel(x, y)).to_le_bytes();
                pixel.copy_from_slice(&value[..pixel.len()]);
            }
        }
        bytes
    }

    /// The color of a pixel, each channel spread over 16 bits; missing channels are 0.
    pub fn decode(&self, pixel: u64) -> Rgb {
        let [red, green, blue] = self.rgb().map(|channel| {
            let bits = (pixel >> channel.lowest) & ((1 << channel.bits) - 1);
            match (self.numbers, channel.bits) {
                (_, 0) => 0,
                (Numbers::Unorm, n) => {
                    let greatest = (1 << n) - 1;
                    u16::try_from((bits * 65535 + greatest / 2) / greatest).unwrap_or(u16::MAX)
                }
                (Numbers::Half, _) => u16_from_half(bits),
            }
        });
        Rgb::new(red, green, blue)
    }

    /// Whether some channel has more than eight significant bits.
    pub fn is_deep(&self) -> bool {
        self.rgb().into_iter().any(|channel| channel.bits > 8)
    }

    /// Whether a conversion to this format loses nothing of a color in `other`: all channels are
    /// there, as unsigned numbers, with at least as many bits.
    pub fn holds(&self, other: &Self) -> bool {
        let unorm = self.numbers == Numbers::Unorm && other.numbers == Numbers::Unorm;
        let pairs = self.rgb().into_iter().zip(other.rgb());
        unorm && { pairs }.all(|(here, there)| there.bits > 0 && here.bits >= there.bits)
    }

    /// The pixel that a display makes of a color that it shows in `shown` and captures in this
    /// format: each channel converted to the nearest value.
    pub fn encode_shown(&self, color: Rgb, shown: &Self) -> u64 {
        if self.rgb().map(|channel| channel.bits) == shown.rgb().map(|channel| channel.bits) {
            return self.encode(color);
        }
        // Padding and alpha come from the opaque black.
        let mut pixel = self.encode(Rgb::new(0, 0, 0));
        let from = shown.encode(color);
        for (here, there) in self.rgb().into_iter().zip(shown.rgb()) {
            let (greatest, greatest_there) = ((1 << here.bits) - 1, (1_u64 << there.bits) - 1);
            let value = (from >> there.lowest) & greatest_there;
            let nearest = (2 * value * greatest + greatest_there) / (2 * greatest_there.max(1));
            pixel |= nearest << here.lowest;
        }
        pixel
    }

    fn rgb(&self) -> [Channel; 3] {
        [self.red, self.green, self.blue]
    }

    fn significant(&self, channel: Channel) -> u8 {
        match self.numbers {
            Numbers::Unorm => channel.bits,
            Numbers::Half => 11,
        }
    }
}

/// A pixel's bytes as a number.
pub(crate) fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Formats for a message: their codes, or "nothing".
pub fn list(formats: impl IntoIterator<Item = Fourcc>) -> String {
    let names: Vec<String> = formats.into_iter().map(|f| f.to_string()).collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

/// 1.0 as a half float.
const HALF_ONE: u64 = 0x3c00;

/// `value` / 2048 as a half float, for values below 2048: eleven significant bits, so it is exact.
fn half_from_2048ths(value: u64) -> u64 {
    if value == 0 {
        return 0;
    }
    let exponent = u64::from(value.ilog2());
    let mantissa = (value - (1 << exponent)) << (10 - exponent);
    // value = 2^exponent * 1.mantissa; dividing by 2048 takes 11, the bias adds 15.
    (exponent + 4) << 10 | mantissa
}

/// A half float from 0 to 1 in 65536ths, without its fraction; what is outside is clamped.
fn u16_from_half(bits: u64) -> u16 {
    let (negative, exponent, mantissa) = (bits >> 15 != 0, bits >> 10 & 31, bits & 1023);
    if negative {
        return 0;
    }
    let value = match exponent {
        0 => mantissa >> 8,
        1..15 => (1024 | mantissa) << 16 >> (25 - exponent),
        _ => 65535,
    };
    u16::try_from(value).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fourcc: Fourcc) -> &'static PixelFormat {
        PixelFormat::of(fourcc).unwrap()
    }

    #[test]
    fn known_pixels() {
        let color = Rgb::new(0x1234, 0x5678, 0x9abc);
        let expected = [
            (Fourcc::R8, 0x12),
            (Fourcc::GR88, 0x5612),
            (Fourcc::RGB565, 2 << 11 | 0x15 << 5 | 0x13),
            (Fourcc::XRGB8888, 0x0012_569a),
            (Fourcc::ARGB8888, 0xff12_569a),
            (Fourcc::ABGR8888, 0xff9a_5612),
            (
                Fourcc::ARGB2101010,
                3 << 30 | 0x048 << 20 | 0x159 << 10 | 0x26a,
            ),
            (Fourcc::XBGR2101010, 0x26a << 20 | 0x159 << 10 | 0x048),
            (Fourcc::ARGB16161616, 0xffff_1234_5678_9abc),
            (Fourcc::ABGR16161616, 0xffff_9abc_5678_1234),
            // 0x91, 0x2b3 and 0x4d5 2048ths.
            (Fourcc::XBGR16161616F, 0x38d5_3566_2c88),
        ];
        for (fourcc, pixel) in expected {
            assert_eq!(of(fourcc).encode(color), pixel, "{fourcc}");
        }
    }

    #[test]
    fn half_floats_are_exact() {
        for value in 0..2048_u16 {
            let bits = half_from_2048ths(u64::from(value));
            let (exponent, mantissa) = (bits >> 10, bits & 1023);
            let float = match exponent {
                0 => 0.0,
                _ => (1.0 + mantissa as f64 / 1024.0) * (exponent as f64 - 15.0).exp2(),
            };
            assert_eq!(float, f64::from(value) / 2048.0);
        }
    }

    #[test]
    fn a_display_converts_to_the_nearest_value() {
        let (rgb565, xrgb8888) = (of(Fourcc::RGB565), of(Fourcc::XRGB8888));
        assert!(xrgb8888.holds(rgb565) && !rgb565.holds(xrgb8888));
        // 2/31, 21/63 and 31/31 of 255 are 16.45, 85 and 255.
        let color = Rgb::new(2 << 11, 21 << 10, u16::MAX);
        assert_eq!(xrgb8888.encode_shown(color, rgb565), 0x10_55_ff);
        let deep = of(Fourcc::ARGB16161616).encode_shown(color, xrgb8888);
        assert_eq!(deep, 0xffff_1010_5454_ffff);
        for one_channel in [Fourcc::R8, Fourcc::GR88, Fourcc::ABGR16161616F] {
            assert!(!of(Fourcc::XRGB16161616).holds(of(one_channel)));
        }
    }

    #[test]
    fn masks_leave_out_padding_only() {
        for format in PixelFormat::all() {
            let all = u64::MAX >> (64 - 8 * format.bytes());
            let name = format.fourcc().info().unwrap().name;
            assert_eq!(format.mask() == all, !name.starts_with('X'), "{name}");
        }
    }
}
