//! Hotplug detection through kernel uevents.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};

use crate::kms::output::OutputId;

/// Multicast group of the kernel's own uevents. udev rebroadcasts them in another group.
const KERNEL_GROUP: u32 = 1;

/// A socket that receives the kernel's uevents (`NETLINK_KOBJECT_UEVENT`).
#[derive(Debug)]
pub(crate) struct Uevents {
    socket: OwnedFd,
}

/// A hotplug event of one card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hotplug {
    /// The connector, if the kernel names it.
    pub(crate) connector: Option<OutputId>,
}

impl Uevents {
    /// Opens a non-blocking socket and joins the kernel's multicast group.
    pub(crate) fn open() -> nix::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Self { socket })
    }

    /// Reads all pending uevents and calls `visit` for each hotplug event of the card with this device
    /// number. Does not block.
    pub(crate) fn read(
        &self,
        number: (u64, u64),
        mut visit: impl FnMut(Hotplug),
    ) -> nix::Result<()> {
        let mut message = [0_u8; 8192];
        loop {
            match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut message) {
                // Only the kernel has netlink port 0. Messages from other ports may be forged.
                Ok((length, Some(sender))) if sender.pid() == 0 => {
                    if let Some(hotplug) = parse(&message[..length], number) {
                        visit(hotplug);
                    }
                }
                Ok(_) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                // Events were lost, possibly one of this card.
                Err(Errno::ENOBUFS) => visit(Hotplug { connector: None }),
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Parses one uevent: `ACTION@PATH`, then `KEY=VALUE` fields, each terminated by a zero byte.
fn parse(message: &[u8], number: (u64, u64)) -> Option<Hotplug> {
    let mut hotplug = false;
    let (mut major, mut minor, mut connector) = (None, None, None);
    for field in message.split(|byte| *byte == 0) {
        let Some((key, value)) = std::str::from_utf8(field)
            .ok()
            .and_then(|field| field.split_once('='))
        else {
            continue;
        };
        match key {
            "SUBSYSTEM" if value != "drm" => return None,
            "HOTPLUG" => hotplug = value == "1",
            "MAJOR" => major = value.parse().ok(),
            "MINOR" => minor = value.parse().ok(),
            "CONNECTOR" => connector = value.parse().ok().map(OutputId::new),
            _ => {}
        }
    }
    (hotplug && (major, minor) == (Some(number.0), Some(number.1))).then_some(Hotplug { connector })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHANGE: &[u8] = b"change@/devices/faux/vkms/drm/card1\0ACTION=change\0\
        DEVPATH=/devices/faux/vkms/drm/card1\0SUBSYSTEM=drm\0HOTPLUG=1\0MAJOR=226\0MINOR=1\0\
        DEVNAME=dri/card1\0DEVTYPE=drm_minor\0SEQNUM=900\0";

    #[test]
    fn a_hotplug_of_this_card_is_told() {
        assert_eq!(parse(CHANGE, (226, 1)), Some(Hotplug { connector: None }));
        assert_eq!(parse(CHANGE, (226, 0)), None);
        let mut named = CHANGE.to_vec();
        named.extend(b"CONNECTOR=42\0");
        assert_eq!(
            parse(&named, (226, 1)),
            Some(Hotplug {
                connector: Some(OutputId::new(42))
            })
        );
    }

    #[test]
    fn other_events_are_not() {
        let leased = b"change@/x\0SUBSYSTEM=drm\0LEASE=1\0MAJOR=226\0MINOR=1\0";
        assert_eq!(parse(leased, (226, 1)), None);
        let block = b"change@/x\0SUBSYSTEM=block\0HOTPLUG=1\0MAJOR=226\0MINOR=1\0";
        assert_eq!(parse(block, (226, 1)), None);
        assert_eq!(parse(b"", (226, 1)), None);
    }

    #[test]
    fn the_socket_opens_and_has_nothing_for_a_card_that_is_not_there() {
        let uevents = Uevents::open().expect("every kernel supports uevents");
        uevents
            .read((9999, 9999), |_| panic!("no such card"))
            .expect("an empty socket reads as empty");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, (226, 1));
        }
    }
}
