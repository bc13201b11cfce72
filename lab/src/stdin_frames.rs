//! The command's standard input, carried over the guest's second console.
//!
//! A console has no end of file that leaves it usable, so the stream is cut into frames: a length
//! (32 bits, little endian) and that many bytes; length 0 is the end.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::Command;

/// Largest frame, in bytes.
const FRAME: usize = 2048;

/// Host side: sends `source` to its end into `console`.
pub(crate) fn encode(mut source: impl Read, mut console: impl Write) {
    let mut piece = [0; FRAME];
    loop {
        let length = match source.read(&mut piece) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // An unreadable standard input ends like an empty one.
            Err(_) => 0,
        };
        let prefix = u32::try_from(length).unwrap_or(0).to_le_bytes();
        let frame = piece.get(..length).unwrap_or_default();
        // A guest that has ended reads no more: nothing is left to do.
        if console.write_all(&prefix).is_err() || console.write_all(frame).is_err() || length == 0 {
            return;
        }
    }
}

/// Guest side: writes what comes over the console `path` into `command`, and closes it at the end.
/// Makes the file `ready` once the host may send.
pub(crate) fn decode(path: &str, ready: &Path, command: impl Write) {
    let Ok(console) = File::open(path) else {
        return;
    };
    // Every byte as it is: no line editing, no echo, no signals.
    let raw = OpenOptions::new().read(true).write(true).open(path);
    let set = raw.and_then(|raw| Command::new("stty").args(["raw", "-echo"]).stdin(raw).status());
    if set.is_ok_and(|status| status.success()) && File::create(ready).is_ok() {
        copy_frames(console, command);
    }
}

/// Copies frames from `console` to `command` until the end frame.
fn copy_frames(mut console: impl Read, mut command: impl Write) {
    let mut writable = true;
    loop {
        let mut prefix = [0; 4];
        if console.read_exact(&mut prefix).is_err() {
            return;
        }
        let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(0);
        if length == 0 || length > FRAME {
            return;
        }
        let mut frame = vec![0; length];
        if console.read_exact(&mut frame).is_err() {
            return;
        }
        // A command that has closed its input still lets the host send the rest.
        writable = writable && command.write_all(&frame).is_ok() && command.flush().is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives() {
        let input: Vec<u8> = (0..=255).cycle().take(3 * FRAME + 17).collect();
        let mut wire = Vec::new();
        encode(input.as_slice(), &mut wire);
        wire.extend_from_slice(b"later");
        let mut output = Vec::new();
        copy_frames(wire.as_slice(), &mut output);
        assert_eq!(output, input);
    }

    #[test]
    fn empty_input_is_one_end_frame() {
        let mut wire = Vec::new();
        encode(std::io::empty(), &mut wire);
        assert_eq!(wire, [0; 4]);
    }
}
