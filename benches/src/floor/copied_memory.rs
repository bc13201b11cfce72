//! What a move cannot do without: its bytes are copied.

use crate::Size;

/// Two pieces of ordinary memory of an image's size.
#[derive(Debug)]
pub struct CopiedMemory {
    first: Vec<u8>,
    second: Vec<u8>,
}

impl CopiedMemory {
    /// Memory for an image with four bytes a pixel, every page of it touched.
    pub fn new(size: Size) -> Self {
        let bytes = size.width as usize * size.height as usize * 4;
        Self {
            first: vec![1; bytes],
            second: vec![2; bytes],
        }
    }

    /// Copies one to the other and back (memcpy).
    pub fn out_and_back(&mut self) {
        self.second.copy_from_slice(&self.first);
        std::hint::black_box(&mut self.second);
        self.first.copy_from_slice(&self.second);
        std::hint::black_box(&mut self.first);
    }
}
