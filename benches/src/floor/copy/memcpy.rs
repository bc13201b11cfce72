//! The least that a copy by the CPU can cost.

use std::hint::black_box;

use anyhow::{Result, ensure};

use super::pattern;
use crate::{Operation, Size};

/// A memcpy between two blocks of heap memory.
#[derive(Debug)]
pub struct Memcpy {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Memcpy {
    /// # Errors
    /// When the copy is not what was copied.
    pub fn open(size: Size) -> Result<Self> {
        let bytes = usize::try_from(size.bytes())?;
        let mut from = vec![0; bytes];
        pattern(&mut from);
        // Touched: memory that is only reserved would be made by the first copy.
        let to = vec![1; bytes];
        let mut this = Self { from, to };
        this.run()?;
        ensure!(this.from == this.to, "the copy is not what was copied");
        Ok(this)
    }
}

impl Operation for Memcpy {
    fn run(&mut self) -> Result<()> {
        // Otherwise the compiler knows that copying again changes nothing, and leaves it out.
        self.to.copy_from_slice(black_box(&self.from));
        black_box(&mut self.to);
        Ok(())
    }

    fn bytes_copied(&self) -> Option<u64> {
        Some(self.from.len() as u64)
    }
}
