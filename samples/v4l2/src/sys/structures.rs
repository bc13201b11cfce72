//! The structures of `linux/videodev2.h`, as the single-planar interface uses them.

/// `V4L2_CAP_*` of `device_caps`.
pub(crate) mod capability {
    pub(crate) const VIDEO_CAPTURE: u32 = 0x0000_0001;
    pub(crate) const VIDEO_OUTPUT: u32 = 0x0000_0002;
    pub(crate) const VIDEO_M2M: u32 = 0x0000_8000;
    pub(crate) const VIDEO_M2M_MPLANE: u32 = 0x0000_4000;
    pub(crate) const VIDEO_CAPTURE_MPLANE: u32 = 0x0000_1000;
    pub(crate) const VIDEO_OUTPUT_MPLANE: u32 = 0x0000_2000;
    pub(crate) const META_CAPTURE: u32 = 0x0080_0000;
    pub(crate) const META_OUTPUT: u32 = 0x0800_0000;
    pub(crate) const STREAMING: u32 = 0x0400_0000;
    /// `device_caps` is filled in.
    pub(crate) const DEVICE_CAPS: u32 = 0x8000_0000;
}

/// `enum v4l2_buf_type`: the two queues of the single-planar interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BufferType {
    /// Filled by the device.
    Capture = 1,
    /// Read by the device.
    Output = 2,
}

/// `enum v4l2_memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// The driver's own.
    Mmap = 1,
    /// That of dma-bufs.
    DmaBuf = 4,
}

/// `V4L2_BUF_FLAG_ERROR`: what is in the buffer may be damaged.
pub(crate) const BUFFER_ERROR: u32 = 0x0000_0040;
/// `V4L2_FIELD_NONE`: progressive.
pub(super) const FIELD_NONE: u32 = 1;

/// `struct v4l2_capability`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Capability {
    pub(super) driver: [u8; 16],
    pub(super) card: [u8; 32],
    pub(super) bus_info: [u8; 32],
    pub(super) version: u32,
    pub(super) capabilities: u32,
    pub(super) device_caps: u32,
    pub(super) reserved: [u32; 3],
}

impl Capability {
    pub(crate) fn driver(&self) -> String {
        text(&self.driver)
    }

    pub(crate) fn card(&self) -> String {
        text(&self.card)
    }

    /// What this node can do; the capabilities of the whole device on kernels that do not say.
    pub(crate) fn of_node(&self) -> u32 {
        match self.capabilities & capability::DEVICE_CAPS {
            0 => self.capabilities,
            _ => self.device_caps,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

/// `struct v4l2_fmtdesc`.
#[repr(C)]
#[derive(Default)]
pub(super) struct FormatDescription {
    pub(super) index: u32,
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) description: [u8; 32],
    pub(super) pixel_format: u32,
    pub(super) mbus_code: u32,
    pub(super) reserved: [u32; 3],
}

/// `struct v4l2_pix_format`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PixFormat {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixel_format: u32,
    pub(crate) field: u32,
    pub(crate) bytes_per_line: u32,
    pub(crate) size_image: u32,
    pub(crate) colorspace: u32,
    pub(crate) private: u32,
    pub(crate) flags: u32,
    pub(crate) ycbcr_encoding: u32,
    pub(crate) quantization: u32,
    pub(crate) transfer: u32,
}

impl PixFormat {
    /// A request for progressive frames; the driver chooses what is 0.
    pub(crate) fn new(width: u32, height: u32, pixel_format: u32) -> Self {
        Self {
            width,
            height,
            pixel_format,
            field: FIELD_NONE,
            ..Self::default()
        }
    }
}

/// `struct v4l2_format`; the union is 200 bytes long and aligned for pointers.
#[repr(C, align(8))]
pub(super) struct Format {
    pub(super) kind: u32,
    pub(super) padding: u32,
    pub(super) pix: PixFormat,
    pub(super) rest: [u8; 152],
}

impl Format {
    pub(super) fn new(kind: BufferType, pix: PixFormat) -> Self {
        Self {
            kind: kind as u32,
            padding: 0,
            pix,
            rest: [0; 152],
        }
    }
}

/// `struct v4l2_requestbuffers`.
#[repr(C)]
#[derive(Default)]
pub(super) struct RequestBuffers {
    pub(super) count: u32,
    pub(super) kind: u32,
    pub(super) memory: u32,
    pub(super) capabilities: u32,
    pub(super) flags: u8,
    pub(super) reserved: [u8; 3],
}

/// `struct v4l2_create_buffers`.
#[repr(C)]
pub(super) struct CreateBuffers {
    pub(super) index: u32,
    pub(super) count: u32,
    pub(super) memory: u32,
    pub(super) format: Format,
    pub(super) capabilities: u32,
    pub(super) flags: u32,
    pub(super) max_num_buffers: u32,
    pub(super) reserved: [u32; 5],
}

impl CreateBuffers {
    /// A request for one buffer.
    pub(super) fn one(memory: Memory, format: Format) -> Self {
        Self {
            index: 0,
            count: 1,
            memory: memory as u32,
            format,
            capabilities: 0,
            flags: 0,
            max_num_buffers: 0,
            reserved: [0; 5],
        }
    }
}

/// `struct v4l2_remove_buffers`.
#[repr(C)]
#[derive(Default)]
pub(super) struct RemoveBuffers {
    pub(super) index: u32,
    pub(super) count: u32,
    pub(super) kind: u32,
    pub(super) reserved: [u32; 13],
}

/// `struct v4l2_buffer`.
#[repr(C)]
#[derive(Default)]
pub(super) struct Buffer {
    pub(super) index: u32,
    pub(super) kind: u32,
    pub(super) bytes_used: u32,
    pub(super) flags: u32,
    pub(super) field: u32,
    pub(super) timestamp: [i64; 2],
    pub(super) timecode: [u32; 4],
    pub(super) sequence: u32,
    pub(super) memory: u32,
    /// The union `m`: for dma-bufs the descriptor, in its first four bytes.
    pub(super) fd: i32,
    pub(super) m_rest: u32,
    pub(super) length: u32,
    pub(super) reserved2: u32,
    pub(super) request_fd: i32,
    pub(super) padding: u32,
}

/// `struct v4l2_exportbuffer`.
#[repr(C)]
#[derive(Default)]
pub(super) struct ExportBuffer {
    pub(super) kind: u32,
    pub(super) index: u32,
    pub(super) plane: u32,
    pub(super) flags: u32,
    pub(super) fd: i32,
    pub(super) reserved: [u32; 11],
}

/// `struct v4l2_control`.
#[repr(C)]
pub(super) struct Control {
    pub(super) id: u32,
    pub(super) value: i32,
}

// As on every 64-bit architecture; an ioctl's number holds its argument's size, so a wrong one is
// refused by the kernel.
const _: () = {
    assert!(size_of::<Capability>() == 104);
    assert!(size_of::<FormatDescription>() == 64);
    assert!(size_of::<PixFormat>() == 48);
    assert!(size_of::<Format>() == 208);
    assert!(size_of::<RequestBuffers>() == 20);
    assert!(size_of::<CreateBuffers>() == 256);
    assert!(size_of::<RemoveBuffers>() == 64);
    assert!(size_of::<Buffer>() == 88);
    assert!(size_of::<ExportBuffer>() == 64);
    assert!(size_of::<Control>() == 8);
};
