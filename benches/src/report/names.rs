//! What operations and sides are called, for people.

use crate::Size;

/// Sides that a bench may be named after: `OPERATION/BY/SIZE`.
const SIDES: [&str; 6] = [
    "dmashare",
    "floor",
    "checked_floor",
    "smithay",
    "gbm",
    "wgpu",
];

/// Those with whom the library is compared, beyond the floors.
pub(super) const PEERS: [&str; 3] = ["smithay", "gbm", "wgpu"];

/// Whether this is one of those who do operations.
pub(super) fn is_side(name: &str) -> bool {
    SIDES.contains(&name)
}

/// Whether this is the same work written by hand, and not a peer.
pub(super) fn is_floor(side: &str) -> bool {
    matches!(side, "floor" | "checked_floor")
}

/// A side, as the head of a column.
pub(super) fn side(name: &str) -> &str {
    match name {
        "checked_floor" => "floor with safeties",
        "smithay" => "Smithay",
        "gbm" => "GBM",
        other => other,
    }
}

/// A side within a sentence.
pub(super) fn side_in_words(name: &str) -> &str {
    match name {
        "floor" => "the floor",
        "checked_floor" => "the floor with the same safeties",
        other => side(other),
    }
}

/// Under which head an operation is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// Memory becomes a dma-buf, a dma-buf an image or a framebuffer, and so on.
    Sharing,
    /// What is done beyond a floor, by itself.
    Safeties,
    /// A frame from who draws it to who reads it.
    Handoff,
    /// Fences.
    Fences,
    /// Memory moves.
    Moves,
    /// What sharing replaces.
    Copies,
    /// Not known here.
    Other,
}

/// What is known of an operation.
pub(super) struct Name {
    key: &'static str,
    pub(super) title: &'static str,
    pub(super) what: &'static str,
    pub(super) topic: Topic,
}

const fn name(key: &'static str, title: &'static str, what: &'static str, topic: Topic) -> Name {
    Name {
        key,
        title,
        what,
        topic,
    }
}

/// Every operation, in the order in which they are shown.
pub(super) const NAMES: [Name; 25] = [
    name(
        "export",
        "export",
        "a Vulkan image is made, exported as a dma-buf with its modifier and planes, and freed",
        Topic::Sharing,
    ),
    name(
        "first_use",
        "first use",
        "an image that was exported just now is mapped by its own device, which releases it to everyone; \
         the end of that work is not waited for",
        Topic::Sharing,
    ),
    name(
        "check_descriptor",
        "check",
        "`fstat`: whether a descriptor is a dma-buf (drivers import a memfd, and answer questions about a \
         pipe), which one, by which it is recognised when it comes again, and how large it is, against \
         which every plane is checked. Once for each export and each first import",
        Topic::Safeties,
    ),
    name(
        "keep_descriptor",
        "keep",
        "`fcntl` and `close`: Vulkan takes the descriptor that it imports away, so that a second device, a \
         display or another process gets one that was kept. Once for each first import",
        Topic::Safeties,
    ),
    name(
        "name_dmabuf",
        "name",
        "`DMA_BUF_SET_NAME`: the name under which the kernel lists the memory, by which a leak is found. \
         Once for each export",
        Topic::Safeties,
    ),
    name(
        "import",
        "first import",
        "a received dma-buf becomes an image of a second Vulkan device, with a view, and is freed",
        Topic::Sharing,
    ),
    name(
        "known_import",
        "known import",
        "a dma-buf that the device has seen before is asked for once more, as an image",
        Topic::Sharing,
    ),
    name(
        "framebuffer",
        "framebuffer",
        "a dma-buf becomes a framebuffer of a display (PRIME import, ADDFB2 with modifiers), and goes",
        Topic::Sharing,
    ),
    name(
        "known_framebuffer",
        "known framebuffer",
        "a dma-buf that the display has seen before is asked for once more, as a framebuffer",
        Topic::Sharing,
    ),
    name(
        "flip",
        "flip",
        "the commit of a steady flip with a fence; waiting for the display is not timed",
        Topic::Sharing,
    ),
    name(
        "known_buffer",
        "use of a known buffer",
        "map, submission, an empty vkQueueSubmit2, commit; the floor is the bare vkQueueSubmit2",
        Topic::Sharing,
    ),
    name(
        "handoff",
        "handoff",
        "one Vulkan device draws a frame and another reads it, in one process",
        Topic::Handoff,
    ),
    name(
        "handoff_processes",
        "handoff between processes",
        "the same with the reader in another process",
        Topic::Handoff,
    ),
    name(
        "handoff_display",
        "handoff to a display",
        "a Vulkan device draws a frame and a display shows it",
        Topic::Handoff,
    ),
    name(
        "fence_create",
        "fence: create",
        "a fence is made for work on a queue",
        Topic::Fences,
    ),
    name(
        "fence_merge",
        "fence: merge",
        "several fences become one; the size is how many",
        Topic::Fences,
    ),
    name(
        "fence_wait",
        "fence: wait",
        "a fence that has signalled is waited for the first time",
        Topic::Fences,
    ),
    name(
        "fence_wait_pending",
        "fence: wait for another thread",
        "a thread is asked to signal a fence, which is waited for",
        Topic::Fences,
    ),
    name(
        "fence_convert",
        "fence: convert",
        "a fence becomes one of another kind: a semaphore's point and a sync_file",
        Topic::Fences,
    ),
    name(
        "eviction",
        "move out and back",
        "a buffer is moved out of the device's memory and back, into memory from the pool; the floor is \
         a memcpy of its bytes, out and back",
        Topic::Moves,
    ),
    name(
        "fresh_eviction",
        "move into fresh memory",
        "a buffer is moved out and back into memory that is made for each move; the floor is the same memcpy",
        Topic::Moves,
    ),
    name(
        "copy_gpu",
        "copy by the GPU",
        "a queue copies the image into another in device memory, and is waited for",
        Topic::Copies,
    ),
    name(
        "copy_staging",
        "copy through staging memory",
        "a queue copies the image to host memory, and another copies it from there",
        Topic::Copies,
    ),
    name(
        "copy_memcpy",
        "copy by the CPU",
        "a memcpy of the image's bytes",
        Topic::Copies,
    ),
    name(
        "copy_socket",
        "copy through a socket",
        "the image's bytes are sent to another process through a socket",
        Topic::Copies,
    ),
];

/// What is known of an operation.
pub(super) fn known(operation: &str) -> Option<&'static Name> {
    NAMES.iter().find(|name| name.key == operation)
}

/// Where an operation comes in a report.
pub(super) fn position(operation: &str) -> usize {
    let found = NAMES.iter().position(|name| name.key == operation);
    found.unwrap_or(NAMES.len())
}

/// An operation's title.
pub(super) fn operation(operation: &str) -> String {
    match known(operation) {
        Some(name) => name.title.to_owned(),
        None => operation.replace('_', " "),
    }
}

/// The topic under which an operation is shown.
pub(super) fn topic(operation: &str) -> Topic {
    known(operation).map_or(Topic::Other, |name| name.topic)
}

/// A size, as people write it: `1920×1080`.
pub(super) fn size(size: &str) -> String {
    match size.parse::<Size>() {
        Ok(size) => format!("{}×{}", size.width, size.height),
        Err(_) => size.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{By, OperationKind};

    #[test]
    fn everyone_and_everything_that_is_measured_has_a_name() {
        for kind in OperationKind::ALL {
            assert!(known(&kind.to_string()).is_some(), "{kind}");
        }
        for by in By::PEERS {
            assert!(PEERS.contains(&&*by.to_string()), "{by}");
            assert!(is_side(&by.to_string()));
        }
        assert!(is_side(&By::Dmashare.to_string()) && is_floor(&By::Floor.to_string()));
    }

    #[test]
    fn unknown_operations_are_shown_by_their_own_name() {
        assert_eq!(operation("import"), "first import");
        assert_eq!(operation("other_thing"), "other thing");
        assert_eq!(topic("other_thing"), Topic::Other);
        assert_eq!(size("1920x1080"), "1920×1080");
        assert_eq!(size("8"), "8");
    }
}
