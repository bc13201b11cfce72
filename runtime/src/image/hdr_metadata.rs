//! Static metadata of high dynamic range pictures.

/// CIE 1931 coordinates, in units of 0.00002.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chromaticity {
    /// x, 0 to 50,000.
    pub x: u16,
    /// y, 0 to 50,000.
    pub y: u16,
}

/// The mastering display of a picture, and the picture's light levels: CTA-861.3 static metadata type 1.
/// The members are those of the kernel's `struct hdr_metadata_infoframe`. A value of 0 is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HdrStaticMetadata {
    /// Primaries of the mastering display: red, green, blue.
    pub display_primaries: [Chromaticity; 3],
    /// White point of the mastering display.
    pub white_point: Chromaticity,
    /// Maximum luminance of the mastering display, in cd/m².
    pub max_display_mastering_luminance: u16,
    /// Minimum luminance of the mastering display, in 0.0001 cd/m².
    pub min_display_mastering_luminance: u16,
    /// Maximum content light level, in cd/m².
    pub max_content_light_level: u16,
    /// Maximum frame-average light level, in cd/m².
    pub max_frame_average_light_level: u16,
}
