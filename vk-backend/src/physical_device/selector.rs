//! Selectors for one of the machine's Vulkan devices.

use std::fmt;
use std::str::FromStr;

use nix::sys::stat::{SFlag, major, minor, stat};

/// The numbers of a DRM device node, as `ls -l /dev/dri` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DrmNode {
    /// Major number; 226 for DRM.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
}

impl fmt::Display for DrmNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// An invalid selector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// stat(2) failed for the path.
    #[error("stat of {path} failed")]
    Path {
        /// The path.
        path: String,
        /// The error of stat(2).
        source: nix::Error,
    },
    /// The path is not a device node.
    #[error("{path} is not a device node")]
    NotANode {
        /// The path.
        path: String,
    },
    /// The text is not a UUID of 32 hexadecimal digits.
    #[error("'{text}' is not a UUID: give 32 hexadecimal digits")]
    NotAUuid {
        /// The given text.
        text: String,
    },
}

/// Selects one of the machine's Vulkan devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceSelector {
    /// The first that can export and import, in the order discrete, integrated, virtual, software.
    #[default]
    Any,
    /// The first whose name or driver name contains this text, ignoring case.
    Name(String),
    /// The one with this `deviceUUID`.
    Uuid([u8; 16]),
    /// The one with this primary or render node (`VK_EXT_physical_device_drm`).
    DrmNode(DrmNode),
}

impl DeviceSelector {
    /// Selects the device with the node `path`, such as `/dev/dri/renderD128`.
    ///
    /// # Errors
    /// [`SelectorError::Path`], [`SelectorError::NotANode`].
    pub fn from_node_path(path: &str) -> Result<Self, SelectorError> {
        let stat = stat(path).map_err(|source| SelectorError::Path {
            path: path.to_owned(),
            source,
        })?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFCHR {
            return Err(SelectorError::NotANode {
                path: path.to_owned(),
            });
        }
        Ok(Self::DrmNode(DrmNode {
            major: major(stat.st_rdev),
            minor: minor(stat.st_rdev),
        }))
    }
}

impl fmt::Display for DeviceSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Name(name) => f.write_str(name),
            Self::Uuid(uuid) => {
                f.write_str("uuid:")?;
                uuid.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::DrmNode(node) => node.fmt(f),
        }
    }
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut uuid = [0; 16];
    for (byte, pair) in uuid.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(uuid)
}

impl FromStr for DeviceSelector {
    type Err = SelectorError;

    /// Parses `any`, a UUID (32 hexadecimal digits, optionally with dashes and the prefix `uuid:`),
    /// the path (`/dev/dri/renderD128`) or numbers (`226:128`) of a node, or else a part of a name.
    ///
    /// # Errors
    /// [`SelectorError`]: a path that is not a device node, or `uuid:` without a UUID.
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if text == "any" {
            return Ok(Self::Any);
        }
        if let Some(uuid) = text.strip_prefix("uuid:") {
            let uuid = parse_uuid(uuid).ok_or_else(|| SelectorError::NotAUuid {
                text: uuid.to_owned(),
            })?;
            return Ok(Self::Uuid(uuid));
        }
        if let Some(uuid) = parse_uuid(text) {
            return Ok(Self::Uuid(uuid));
        }
        if text.starts_with('/') {
            return Self::from_node_path(text);
        }
        let numbers = text
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        Ok(match numbers {
            Some((major, minor)) => Self::DrmNode(DrmNode { major, minor }),
            None => Self::Name(text.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_kind() {
        let parse = |text: &str| text.parse::<DeviceSelector>().unwrap();
        assert_eq!(parse("any"), DeviceSelector::Any);
        assert_eq!(parse("llvmpipe"), DeviceSelector::Name("llvmpipe".into()));
        let node = DrmNode {
            major: 226,
            minor: 128,
        };
        assert_eq!(parse("226:128"), DeviceSelector::DrmNode(node));
        let uuid = parse("00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(parse(&uuid.to_string()), uuid);
        assert!(matches!(uuid, DeviceSelector::Uuid(bytes) if bytes[1] == 0x11));
    }

    #[test]
    fn refuses_what_is_neither() {
        let parse = |text: &str| text.parse::<DeviceSelector>().unwrap_err();
        assert!(matches!(parse("uuid:12"), SelectorError::NotAUuid { .. }));
        assert!(matches!(parse("/nowhere"), SelectorError::Path { .. }));
        assert!(matches!(parse("/"), SelectorError::NotANode { .. }));
    }
}
