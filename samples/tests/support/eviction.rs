//! The program `evict`, which must lose nothing.

use serde_json::Value;

use super::{dmabufs_named, eventually, run};

/// Runs `evict` and demands that nothing went wrong.
#[track_caller]
pub fn evicts(arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    let json = run("evict", &all).good_json();
    assert_eq!(json["failures"], serde_json::json!([]), "{json}");
    assert_eq!(json["frames"], json["flips"], "{json}");
    assert_eq!(json["captured"], json["captures_expected"], "{json}");
    assert_eq!(json["pixel_errors"], 0, "{json}");
    assert_eq!(json["hash_errors"], 0, "{json}");
    assert_eq!(json["pins_left"], 0, "{json}");
    assert_eq!(json["attachments_left"], 0, "{json}");
    assert_eq!(json["dmabufs_leaked"], 0, "{json}");
    eventually("every dma-buf is gone", || dmabufs_named("evict ") == 0);
    json
}

/// A number in what `evict` says.
pub fn number(json: &Value, key: &str) -> u64 {
    json[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} in {json}"))
}
