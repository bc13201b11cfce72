// The moving picture of the samples, in integers only, so that a display, a second device and the
// CPU can be compared bit by bit. The same formula is written a second time, in Rust, in
// src/picture.rs, which says what each element is for; neither is derived from the other.
//
// What is the same for all pixels of a frame is computed in the vertex shader, so that no pixel
// needs a division by a variable: software rasterisers have no fast one.

struct Immediates {
    // Width and height in pixels, the frame's number, unused.
    picture: vec4<u32>,
    // What becomes of a 16-bit channel in the target: shifted right, then divided by the greatest
    // value (the texel's own value for unsigned normalised formats, exact for half floats).
    shift: vec4<u32>,
    divisor: vec4<f32>,
}

var<immediate> immediates: Immediates;

const FRAMES: u32 = 1000000u;
const BLACK = vec3<u32>(0u, 0u, 0u);
const WHITE = vec3<u32>(65535u, 65535u, 65535u);
const RED = vec3<u32>(65535u, 0u, 0u);
const GREEN = vec3<u32>(0u, 65535u, 0u);
const BLUE = vec3<u32>(0u, 0u, 65535u);
const YELLOW = vec3<u32>(65535u, 65535u, 0u);

struct Frame {
    @builtin(position) position: vec4<f32>,
    // Steps of the gradients to the right and down, in 1/256; frame; first column of the sweep.
    @location(0) @interpolate(flat) steps: vec4<u32>,
    // Origin of the counter, log2 of its unit, its digits in four bits each.
    @location(1) @interpolate(flat) counter: vec4<u32>,
    // Centre of the disc, its radius squared, the step of its shade in 1/256.
    @location(2) @interpolate(flat) disc: vec4<u32>,
}

// Up from 0 to `top`, down to 0, and again. 0 if there is no way to go.
fn triangle(value: u32, top: u32) -> u32 {
    if top == 0u {
        return 0u;
    }
    let phase = value % (2u * top);
    return min(phase, 2u * top - phase);
}

fn decimal(value: u32) -> u32 {
    var digits = 0u;
    var left = value;
    for (var place = 0u; place < 6u; place += 1u) {
        digits |= (left % 10u) << (4u * place);
        left /= 10u;
    }
    return digits;
}

// One triangle that covers the whole image.
@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Frame {
    let width = immediates.picture.x;
    let height = immediates.picture.y;
    let frame = immediates.picture.z % FRAMES;
    let smaller = min(width, height);
    let radius = smaller / 6u;
    let squared = max(radius * radius, 1u);
    let unit = firstLeadingBit(max(smaller / 96u, 1u));
    let origin = 18u + (1u << unit);
    var out: Frame;
    out.position = vec4<f32>(
        f32((index & 1u) << 2u) - 1.0,
        f32((index & 2u) << 1u) - 1.0,
        0.0,
        1.0,
    );
    out.steps = vec4<u32>(
        16776960u / max(width - 1u, 1u),
        16776960u / max(height - 1u, 1u),
        frame,
        (frame * 6u) % width,
    );
    out.counter = vec4<u32>(origin, origin, unit, decimal(frame));
    out.disc = vec4<u32>(
        radius + triangle(frame * 7u, width - 1u - min(2u * radius, width - 1u)),
        radius + triangle(frame * 5u, height - 1u - min(2u * radius, height - 1u)),
        radius * radius,
        10485760u / squared,
    );
    return out;
}

// Seven rows of five dots, the first row in the highest bits: four rows in x, three in y.
fn glyph(digit: u32) -> vec2<u32> {
    switch digit {
        case 0u: { return vec2<u32>(0x74675u, 0x662eu); }
        case 1u: { return vec2<u32>(0x23084u, 0x108eu); }
        case 2u: { return vec2<u32>(0x74422u, 0x111fu); }
        case 3u: { return vec2<u32>(0xf8882u, 0x062eu); }
        case 4u: { return vec2<u32>(0x11952u, 0x7c42u); }
        case 5u: { return vec2<u32>(0xfc3c1u, 0x062eu); }
        case 6u: { return vec2<u32>(0x3221eu, 0x462eu); }
        case 7u: { return vec2<u32>(0xf8444u, 0x2108u); }
        case 8u: { return vec2<u32>(0x7462eu, 0x462eu); }
        default: { return vec2<u32>(0x7462fu, 0x044cu); }
    }
}

fn lit(counter: vec4<u32>, column: u32, row: u32) -> bool {
    if column == 0u || row == 0u || row > 7u {
        return false;
    }
    let cell = (column - 1u) / 6u;
    let dot = (column - 1u) % 6u;
    if dot > 4u {
        return false;
    }
    let bits = glyph((counter.w >> (4u * (5u - cell))) & 15u);
    if row <= 4u {
        return ((bits.x >> ((4u - row) * 5u + 4u - dot)) & 1u) == 1u;
    }
    return ((bits.y >> ((7u - row) * 5u + 4u - dot)) & 1u) == 1u;
}

fn color(in: Frame, x: u32, y: u32) -> vec3<u32> {
    let width = immediates.picture.x;
    let height = immediates.picture.y;
    if y == 0u {
        return RED;
    }
    if y == height - 1u {
        return BLUE;
    }
    if x == 0u {
        return GREEN;
    }
    if x == width - 1u {
        return WHITE;
    }
    if x <= 16u && y <= 16u {
        return select(BLACK, WHITE, ((x + y) & 1u) == 1u);
    }
    if x >= in.counter.x && y >= in.counter.y {
        let column = (x - in.counter.x) >> in.counter.z;
        let row = (y - in.counter.y) >> in.counter.z;
        if column < 37u && row < 9u {
            return select(BLACK, WHITE, lit(in.counter, column, row));
        }
    }
    let away = vec2<u32>(
        max(x, in.disc.x) - min(x, in.disc.x),
        max(y, in.disc.y) - min(y, in.disc.y),
    );
    let squared = away.x * away.x + away.y * away.y;
    if squared <= in.disc.z {
        let shade = 65535u - ((squared * in.disc.w) >> 8u);
        return vec3<u32>(shade, shade >> 1u, shade >> 3u);
    }
    let right = (x * in.steps.x) >> 8u;
    if y >= height - height / 8u {
        return vec3<u32>(right, right, right);
    }
    if y >= height - height / 4u {
        // White, yellow, cyan, green, magenta, red, blue, black.
        let bar = 7u - (right >> 13u);
        return vec3<u32>((bar >> 1u) & 1u, (bar >> 2u) & 1u, bar & 1u) * 65535u;
    }
    if x >= in.steps.w && x - in.steps.w < 3u {
        return YELLOW;
    }
    let down = (y * in.steps.y) >> 8u;
    let phase = (x + y + 4u * in.steps.z) & 511u;
    let background = vec3<u32>(right, down, min(phase, 512u - phase) * 255u);
    if (x & 63u) == 0u || (y & 63u) == 0u {
        return background >> vec3<u32>(1u);
    }
    return background;
}

@fragment
fn fragment(in: Frame) -> @location(0) vec4<f32> {
    let channels = color(in, u32(in.position.x), u32(in.position.y)) >> immediates.shift.xyz;
    return vec4<f32>(vec3<f32>(channels) / immediates.divisor.xyz, 1.0);
}
