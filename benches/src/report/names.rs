//! What operations and sides are called, for people.

use clap::ValueEnum as _;

use crate::{By, OperationKind, Size, Suite};

/// Those with whom the library is compared, beyond the floors.
pub(super) const PEERS: [&str; 3] = ["smithay", "gbm", "wgpu"];

/// Whether this is one of those who do operations: a bench is named `OPERATION/BY/SIZE`.
pub(super) fn is_side(name: &str) -> bool {
    By::from_str(name, false).is_ok()
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

/// The topic under which an operation is shown.
pub(super) fn topic(operation: &str) -> Topic {
    let Some(kind) = OperationKind::named(operation) else {
        return Topic::Other;
    };
    match kind.suite() {
        Suite::Safeties if kind != OperationKind::FirstUse => Topic::Safeties,
        Suite::Safeties | Suite::ExportImport => Topic::Sharing,
        Suite::Handoff => Topic::Handoff,
        Suite::Fences => Topic::Fences,
        Suite::Eviction => Topic::Moves,
        Suite::Copy => Topic::Copies,
    }
}

/// Where an operation comes in a report: unknown ones come last.
pub(super) fn position(operation: &str) -> (bool, Option<OperationKind>) {
    let kind = OperationKind::named(operation);
    (kind.is_none(), kind)
}

/// An operation's title.
pub(super) fn operation(operation: &str) -> String {
    match OperationKind::named(operation) {
        Some(kind) => kind.title().to_owned(),
        None => operation.replace('_', " "),
    }
}

/// An operation's title in the first of its rows, and nothing in the others.
pub(super) fn first(is_first: bool, name: &str) -> String {
    if is_first {
        operation(name)
    } else {
        String::new()
    }
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

    #[test]
    fn everything_that_is_measured_has_a_name_and_a_meaning() {
        for kind in OperationKind::all() {
            assert_eq!(OperationKind::named(&kind.to_string()), Some(*kind));
            let meaning = kind.meaning();
            assert!(
                !meaning.is_empty() && !meaning.ends_with('.'),
                "{kind}: {meaning}"
            );
        }
        for by in By::PEERS {
            assert!(PEERS.contains(&&*by.to_string()), "{by}");
            assert!(is_side(&by.to_string()));
        }
        assert!(is_side(&By::Dmashare.to_string()) && is_floor(&By::Floor.to_string()));
    }

    #[test]
    fn unknown_operations_are_shown_by_their_own_name_after_the_others() {
        assert_eq!(operation("import"), "first import");
        assert_eq!(operation("other_thing"), "other thing");
        assert_eq!(topic("other_thing"), Topic::Other);
        assert!(position("other_thing") > position("copy_socket"));
        assert!(position("export") < position("import"));
        assert_eq!(size("1920x1080"), "1920×1080");
        assert_eq!(size("8"), "8");
    }
}
