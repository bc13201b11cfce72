//! The command's standard input, carried to the guest as small files in the state folder.
//!
//! A guest's console drops bytes when it is flooded, and hostfs has no pipes. So the host cuts the
//! stream into numbered files, the agent removes each one it has read, and the host keeps only a
//! few ahead. An empty file is the end of the stream.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest piece, in bytes.
const PIECE: usize = 1 << 16;
/// How many pieces may wait to be read.
const AHEAD: u64 = 4;
/// Longest time between two looks for the next piece, or for room for one.
const INTERVAL: Duration = Duration::from_millis(20);

/// The piece `number` in `folder`.
fn piece(folder: &Path, number: u64) -> PathBuf {
    folder.join(number.to_string())
}

/// Host side: cuts `source` into files in `folder`; returns at the stream's end, or when the
/// folder has gone, because the run is over then.
pub(crate) fn send(mut source: impl Read, folder: &Path) {
    let mut bytes = vec![0; PIECE];
    for number in 0.. {
        let length = match source.read(&mut bytes) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // An unreadable standard input ends like an empty one.
            Err(_) => 0,
        };
        while number >= AHEAD && piece(folder, number - AHEAD).exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        // Renamed when whole: the agent never sees half a piece.
        let half = folder.join("half");
        let written = fs::write(&half, bytes.get(..length).unwrap_or_default())
            .and_then(|()| fs::rename(&half, piece(folder, number)));
        if written.is_err() || length == 0 {
            return;
        }
    }
}

/// Guest side: writes the pieces in `folder` to `command` until the end, and closes it.
pub(crate) fn receive(folder: &Path, mut command: impl Write) {
    let mut writable = true;
    for number in 0.. {
        let path = piece(folder, number);
        let mut pause = Duration::from_micros(500);
        let mut file = loop {
            match File::open(&path) {
                Ok(file) => break file,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    std::thread::sleep(pause);
                    pause = INTERVAL.min(pause * 2);
                }
                Err(_) => return,
            }
        };
        let mut bytes = Vec::with_capacity(PIECE);
        if file.read_to_end(&mut bytes).is_err() || bytes.is_empty() {
            return;
        }
        // A command that has closed its input still lets the host send the rest.
        writable = writable && command.write_all(&bytes).is_ok() && command.flush().is_ok();
        if fs::remove_file(&path).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carry(input: &[u8]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| send(input, folder.path()));
            receive(folder.path(), &mut output);
        });
        output
    }

    #[test]
    fn every_byte_arrives_in_order() {
        let input: Vec<u8> = (0..=255).cycle().take(11 * PIECE + 17).collect();
        assert!(carry(&input) == input);
    }

    #[test]
    fn empty_input_ends_at_once() {
        assert!(carry(b"").is_empty());
    }

    #[test]
    fn sending_ends_with_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        folder.close().unwrap();
        send(std::io::repeat(1), &path);
    }
}
