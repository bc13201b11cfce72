//! The moving picture that the samples draw, computed on the CPU.
//!
//! It is a pure function of the position, the extent and the number of the frame, in integers only,
//! and it is made so that a person and a program see errors at once:
//!
//! | element | what it shows |
//! |---|---|
//! | border of one pixel: top red, left green, right white, bottom blue | off by one, flipped, cut |
//! | checker of single pixels in the top left corner | wrong stride, scaling, swapped words |
//! | six digits | which frame this is |
//! | shaded orange disc on its way | movement, torn frames |
//! | yellow sweep of three columns | movement |
//! | eight color bars | swapped channels |
//! | grey ramp | lost bits |
//! | gradients (red to the right, green down), moving blue waves, a grid every 64 pixels | every pixel changes with every frame, so an old frame is no match for a new one |
//!
//! The samples' shader (`shaders/picture.wgsl`) is a second implementation of the same formula.
//! Neither is derived from the other, so comparing them finds errors in either.

use dmashare::Extent;

/// A color with 16 bits a channel; formats with fewer keep the highest bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rgb {
    /// Red.
    pub red: u16,
    /// Green.
    pub green: u16,
    /// Blue.
    pub blue: u16,
}

impl Rgb {
    /// A color of three channels.
    pub const fn new(red: u16, green: u16, blue: u16) -> Self {
        Self { red, green, blue }
    }

    /// The highest eight bits of red, green and blue: the color in formats that have no more.
    pub fn eight_bits(self) -> [u8; 3] {
        [self.red, self.green, self.blue].map(|channel| channel.to_be_bytes()[0])
    }
}

const FULL: u16 = u16::MAX;
const BLACK: Rgb = Rgb::new(0, 0, 0);
const WHITE: Rgb = Rgb::new(FULL, FULL, FULL);
const RED: Rgb = Rgb::new(FULL, 0, 0);
const GREEN: Rgb = Rgb::new(0, FULL, 0);
const BLUE: Rgb = Rgb::new(0, 0, FULL);
const YELLOW: Rgb = Rgb::new(FULL, FULL, 0);
const CYAN: Rgb = Rgb::new(0, FULL, FULL);
const MAGENTA: Rgb = Rgb::new(FULL, 0, FULL);
const BARS: [Rgb; 8] = [WHITE, YELLOW, CYAN, GREEN, MAGENTA, RED, BLUE, BLACK];

/// The digits 0 to 9, of five by seven dots each, with a gap after each.
const DIGITS: [&[u8; 59]; 7] = [
    b" ###    #    ###  #####    #  #####   ##  #####  ###   ### ",
    b"#   #  ##   #   #    #    ##  #      #        # #   # #   #",
    b"#  ##   #       #   #    # #  ####  #        #  #   # #   #",
    b"# # #   #      #     #  #  #      # ####    #    ###   ####",
    b"##  #   #     #       # #####     # #   #  #    #   #     #",
    b"#   #   #    #    #   #    #  #   # #   #  #    #   #    # ",
    b" ###   ###  #####  ###     #   ###   ###   #     ###   ##  ",
];

/// The picture repeats after this many frames: the counter has six digits.
const FRAMES: u32 = 1_000_000;
/// Pixels between the lines of the grid.
const GRID: u32 = 64;
/// Pixels of the checker in each direction, after the border.
const CHECKER: u32 = 16;

/// One frame of the moving picture.
#[derive(Clone, Debug)]
pub struct Picture {
    extent: Extent,
    frame: u32,
    /// Pixels of a digit's dot, a power of two.
    dot: u32,
    digits: [usize; 6],
    centre: (u32, u32),
    radius_squared: u32,
    sweep: u32,
}

impl Picture {
    /// The `frame`-th frame of the picture in an image of `extent` pixels.
    ///
    /// # Panics
    /// If a side of the extent is 0 or greater than 16384, the greatest that any device here has.
    pub fn new(extent: Extent, frame: u32) -> Self {
        let Extent { width, height } = extent;
        let sides = 1..=16384;
        assert!(
            sides.contains(&width) && sides.contains(&height),
            "the picture has 1 to 16384 pixels a side, not {extent}"
        );
        let frame = frame % FRAMES;
        let smaller = width.min(height);
        let radius = smaller / 6;
        let mut digits = [0; 6];
        let mut left = frame;
        for digit in digits.iter_mut().rev() {
            *digit = (left % 10) as usize;
            left /= 10;
        }
        Self {
            extent,
            frame,
            dot: match smaller / 96 {
                0 => 1,
                units => 1 << units.ilog2(),
            },
            digits,
            centre: (
                radius + bounce(frame * 7, (width - 1).saturating_sub(2 * radius)),
                radius + bounce(frame * 5, (height - 1).saturating_sub(2 * radius)),
            ),
            radius_squared: radius * radius,
            sweep: frame * 6 % width,
        }
    }

    /// Size in pixels.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The color at column `x` and row `y`, counted from the top left.
    ///
    /// # Panics
    /// If the position is outside of the picture.
    pub fn pixel(&self, x: u32, y: u32) -> Rgb {
        let Extent { width, height } = self.extent;
        assert!(
            x < width && y < height,
            "({x}, {y}) is outside of {width}x{height}"
        );
        let border = match (x, y) {
            (_, 0) => Some(RED),
            (_, y) if y == height - 1 => Some(BLUE),
            (0, _) => Some(GREEN),
            (x, _) if x == width - 1 => Some(WHITE),
            _ => None,
        };
        border
            .or_else(|| checker(x, y))
            .or_else(|| self.counter(x, y))
            .or_else(|| self.disc(x, y))
            .or_else(|| self.bars_and_ramp(x, y))
            .or_else(|| (self.sweep..self.sweep + 3).contains(&x).then_some(YELLOW))
            .unwrap_or_else(|| self.background(x, y))
    }

    fn counter(&self, x: u32, y: u32) -> Option<Rgb> {
        let origin = CHECKER + 2 + self.dot;
        let column = x.checked_sub(origin)? / self.dot;
        let row = y.checked_sub(origin)? / self.dot;
        // Six cells of five dots and a gap each, and a margin of one dot around all.
        if column >= 37 || row >= 9 {
            return None;
        }
        let lit = || {
            let column = column.checked_sub(1)? as usize;
            let row = row.checked_sub(1)? as usize;
            let digit = self.digits.get(column / 6)?;
            // The sixth column is the gap, which the last digit does not have.
            let dot = DIGITS.get(row)?.get(6 * digit + column % 6);
            Some(dot == Some(&b'#'))
        };
        Some(if lit() == Some(true) { WHITE } else { BLACK })
    }

    fn disc(&self, x: u32, y: u32) -> Option<Rgb> {
        let (right, down) = (x.abs_diff(self.centre.0), y.abs_diff(self.centre.1));
        let distance_squared = right * right + down * down;
        if distance_squared > self.radius_squared {
            return None;
        }
        // From full in the centre to 3/8 at the rim.
        let step = (40960 << 8) / self.radius_squared.max(1);
        let shade = FULL - low16((distance_squared * step) >> 8);
        Some(Rgb::new(shade, shade / 2, shade / 8))
    }

    fn bars_and_ramp(&self, x: u32, y: u32) -> Option<Rgb> {
        let Extent { width, height } = self.extent;
        let right = gradient(x, width);
        if y >= height - height / 8 {
            Some(Rgb::new(right, right, right))
        } else if y >= height - height / 4 {
            Some(BARS[usize::from(right / 8192)])
        } else {
            None
        }
    }

    fn background(&self, x: u32, y: u32) -> Rgb {
        let wave = bounce(x + y + 4 * self.frame, 256) * 255;
        let color = Rgb::new(
            gradient(x, self.extent.width),
            gradient(y, self.extent.height),
            low16(wave),
        );
        if x.is_multiple_of(GRID) || y.is_multiple_of(GRID) {
            Rgb::new(color.red / 2, color.green / 2, color.blue / 2)
        } else {
            color
        }
    }
}

fn checker(x: u32, y: u32) -> Option<Rgb> {
    let white = !(x + y).is_multiple_of(2);
    (x <= CHECKER && y <= CHECKER).then_some(if white { WHITE } else { BLACK })
}

/// From 0 at the first of `length` pixels to 65535 at the last, in steps of whole 1/256.
fn gradient(position: u32, length: u32) -> u16 {
    let step = (u32::from(FULL) << 8) / (length - 1).max(1);
    low16((position * step) >> 8)
}

/// Up from 0 to `top`, down to 0, and again; 0 if there is no way to go.
fn bounce(value: u32, top: u32) -> u32 {
    if top == 0 {
        return 0;
    }
    let phase = value % (2 * top);
    if phase <= top { phase } else { 2 * top - phase }
}

/// For values that fit 16 bits by construction.
fn low16(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(FULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pixel_is_the_top_border() {
        assert_eq!(Picture::new(Extent::new(1, 1), 9).pixel(0, 0), RED);
    }

    #[test]
    fn border_tells_the_sides_apart() {
        let picture = Picture::new(Extent::new(640, 480), 3);
        assert_eq!(picture.pixel(320, 0), RED);
        assert_eq!(picture.pixel(320, 479), BLUE);
        assert_eq!(picture.pixel(0, 240), GREEN);
        assert_eq!(picture.pixel(639, 240), WHITE);
    }

    #[test]
    fn counter_shows_the_frame() {
        // 960 / 96 = 10, so a dot has 8 pixels; the third digit of 000700 is row 0: #####.
        let picture = Picture::new(Extent::new(1280, 960), 700);
        let origin = CHECKER + 2 + 8;
        let dots: Vec<u8> = (0..7)
            .map(|row| {
                (0..5).fold(0, |bits, column| {
                    let x = origin + 8 * (1 + 3 * 6 + column) + 4;
                    let y = origin + 8 * (1 + row) + 4;
                    bits << 1 | u8::from(picture.pixel(x, y) == WHITE)
                })
            })
            .collect();
        assert_eq!(dots, [31, 1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn gradients_reach_both_ends() {
        for length in [2, 3, 333, 1024, 1920, 16384] {
            assert_eq!(gradient(0, length), 0);
            // Whole steps of 1/256 may fall short of the end by less than the length / 256.
            assert!(gradient(length - 1, length) >= FULL - low16(length / 256 + 1));
        }
    }

    #[test]
    #[should_panic(expected = "1 to 16384 pixels")]
    fn empty_extent_is_refused() {
        Picture::new(Extent::new(0, 4), 0);
    }
}
