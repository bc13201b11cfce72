//! What the library does beyond its floor, each by itself.

use std::fmt;
use std::os::fd::AsFd;

use anyhow::{Context, Result};

use super::first_release::FirstRelease;
use super::{Exported, Exporter, descriptor};
use crate::{Machine, Operation, Size};

/// A new image leaves layout `UNDEFINED` and is released to everyone.
#[derive(Debug)]
pub struct FirstUse {
    // Before the images: it waits for its last work.
    first_release: FirstRelease,
    exporter: Exporter,
    fresh: Vec<Exported>,
    used: Vec<Exported>,
}

impl FirstUse {
    /// # Errors
    /// When the device can share no image of this size.
    pub fn open(machine: &Machine, size: Size) -> Result<Self> {
        Ok(Self {
            first_release: FirstRelease::new(machine.exporter())?,
            exporter: machine.floor_exporter(size)?,
            fresh: Vec::new(),
            used: Vec::new(),
        })
    }
}

impl Operation for FirstUse {
    fn prepare(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.fresh.push(self.exporter.export()?);
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let exported = self.fresh.pop().context("no image was prepared")?;
        self.first_release.release(&exported.image)?;
        self.used.push(exported);
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.first_release.wait()?;
        self.used.clear();
        Ok(())
    }
}

/// Something that is done with a descriptor.
pub struct Descriptor {
    exported: Exported,
    what: fn(&Exported) -> Result<()>,
}

impl Descriptor {
    fn open(machine: &Machine, size: Size, what: fn(&Exported) -> Result<()>) -> Result<Self> {
        Ok(Self {
            exported: machine.floor_exporter(size)?.export()?,
            what,
        })
    }

    /// Whether it can be a dma-buf, and of which size.
    ///
    /// # Errors
    /// When the device can share no image of this size.
    pub fn check(machine: &Machine, size: Size) -> Result<Self> {
        Self::open(machine, size, |exported| {
            descriptor::check(exported.fd.as_fd(), 1)
        })
    }

    /// It is duplicated, and the duplicate closed.
    ///
    /// # Errors
    /// When the device can share no image of this size.
    pub fn keep(machine: &Machine, size: Size) -> Result<Self> {
        Self::open(machine, size, |exported| {
            drop(exported.fd.try_clone()?);
            Ok(())
        })
    }

    /// Its dma-buf is named.
    ///
    /// # Errors
    /// When the device can share no image of this size.
    pub fn name(machine: &Machine, size: Size) -> Result<Self> {
        Self::open(machine, size, |exported| {
            descriptor::set_name(exported.fd.as_fd(), c"named")
        })
    }
}

impl Operation for Descriptor {
    fn run(&mut self) -> Result<()> {
        (self.what)(&self.exported)
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor")
            .field("exported", &self.exported)
            .finish_non_exhaustive()
    }
}
