//! Compiles the samples' shader from WGSL to SPIR-V, so that no shader compiler has to be installed
//! and no compiled shader is kept in the tree.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use naga::back::spv;
use naga::front::wgsl;
use naga::valid::{Capabilities, ValidationFlags, Validator};

const SHADER: &str = "shaders/picture.wgsl";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SHADER}");
    let source = fs::read_to_string(SHADER)?;
    let words = compile(&source)?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let folder = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?;
    fs::write(Path::new(&folder).join("picture.spv"), bytes)?;
    Ok(())
}

fn compile(source: &str) -> Result<Vec<u32>, Box<dyn Error>> {
    let module = wgsl::parse_str(source).map_err(|e| e.emit_to_string_with_path(source, SHADER))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::IMMEDIATES)
        .validate(&module)
        .map_err(|e| e.emit_to_string_with_path(source, SHADER))?;
    let options = spv::Options {
        lang_version: (1, 3),
        // The defaults flip y and convert half floats for another coordinate system than Vulkan's
        // own; the shader is written for Vulkan's.
        flags: spv::WriterFlags::empty(),
        // Every divisor in the shader is at least 1.
        emit_int_div_checks: false,
        ..spv::Options::default()
    };
    Ok(spv::write_vec(&module, &info, &options, None)?)
}
