//! The program `info`.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::process::Command;

use serde_json::Value;
use support::{Said, cards, dmabufs_named, run};

fn pair<'a>(json: &'a Value, exporter: &str, importer: &str) -> &'a Value {
    let pairs = json["pairs"].as_array().unwrap();
    let is = |name: &Value, part: &str| name.as_str().unwrap().contains(part);
    pairs
        .iter()
        .find(|pair| is(&pair["exporter"], exporter) && is(&pair["importer"], importer))
        .unwrap_or_else(|| panic!("no pair of {exporter} and {importer} in {json}"))
}

fn formats(pair: &Value) -> Vec<&str> {
    let formats = pair["formats"].as_array().unwrap();
    formats
        .iter()
        .map(|shared| shared["format"].as_str().unwrap())
        .collect()
}

#[test]
fn two_runs_agree() {
    let first = run("info", &["--json"]).good_json();
    let second = run("info", &["--json"]).good_json();
    assert_eq!(first, second);
    support::eventually("every dma-buf is gone", || dmabufs_named("info") == 0);
}

#[test]
fn devices_nodes_and_pairs_are_there() {
    let json = run("info", &["--json"]).good_json();
    let device = &json["vulkan_devices"][0];
    assert_eq!(
        device["missing_for_export"],
        Value::Array(Vec::new()),
        "{device}"
    );
    assert_eq!(
        device["missing_for_import"],
        Value::Array(Vec::new()),
        "{device}"
    );
    let described = device["formats"]
        .as_array()
        .unwrap()
        .iter()
        .find(|format| format["format"] == "XR24" && format["modifier"] == "LINEAR");
    let described = described.unwrap_or_else(|| panic!("no linear XR24 in {device}"));
    assert_eq!(described["export"], serde_json::json!(["render", "sample"]));
    assert_eq!(described["import"], serde_json::json!(["render", "sample"]));
    assert!(described["max_extent"][0].as_u64().unwrap() >= 4096);

    let nodes = json["drm_nodes"].as_array().unwrap();
    for card in cards("vkms") {
        let node = nodes.iter().find(|node| node["path"] == *card).unwrap();
        let output = &node["card"]["outputs"][0];
        assert_eq!(output["connected"], true, "{node}");
        assert!(
            output["writeback"]
                .as_array()
                .unwrap()
                .contains(&"XR24".into()),
            "{node}"
        );

        // What the display shows of what Vulkan exports, and the other way round.
        let shown = pair(&json, "Vulkan", &card);
        assert_eq!(shown["direct"], true, "{shown}");
        assert!(formats(shown).contains(&"XR24"), "{shown}");
        let back = json["pairs"].as_array().unwrap().iter().find(|pair| {
            pair["exporter"].as_str().unwrap().starts_with(&card)
                && pair["importer"].as_str().unwrap().starts_with("Vulkan")
        });
        assert_eq!(back.unwrap()["direct"], true, "{back:?}");
    }
    let render = nodes.iter().find(|node| node["kind"] == "render").unwrap();
    assert_eq!(render["card"], Value::Null);
    for exporter in ["dma-heap system", "udmabuf", "vgem dumb buffers", "Vulkan"] {
        let with_vulkan = pair(&json, exporter, "Vulkan");
        assert_eq!(with_vulkan["direct"], true, "{with_vulkan}");
        assert!(formats(with_vulkan).contains(&"XR24"), "{with_vulkan}");
    }
    // Who cannot share has a reason, and who can has none.
    for pair in json["pairs"].as_array().unwrap() {
        assert_eq!(
            pair["formats"].as_array().unwrap().is_empty(),
            pair["reason"].is_string(),
            "{pair}"
        );
    }
}

#[test]
fn the_tables_name_everyone() {
    let said = run("info", &[]);
    assert_eq!(said.status, Some(0), "{said:?}");
    for part in [
        "Vulkan devices",
        "DRM nodes",
        "card0",
        "udmabuf",
        "dma-heap",
        "Virtual-1",
        "direct",
        "Linux ",
    ] {
        assert!(said.stdout.contains(part), "no {part} in:\n{}", said.stdout);
    }
}

#[test]
fn what_may_not_be_opened_is_counted() {
    let all = run("info", &["--json"]).good_json();
    assert_eq!(all["examination_errors"], 0, "{all}");
    // As nobody, who may open none of the devices.
    let nobody = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        env!("CARGO_BIN_EXE_info"),
        "--json",
    ];
    let said = Said::of(Command::new("setpriv").args(nobody).output().unwrap());
    assert_eq!(said.status, Some(0), "{said:?}");
    let json = said.json();
    let unusable = json["unusable"].as_array().unwrap();
    let mut expected = vec!["dma-heap system".to_owned(), "udmabuf".to_owned()];
    expected.extend(cards("vgem"));
    expected.extend(cards("vkms"));
    for name in expected {
        let entry = unusable.iter().find(|entry| entry["name"] == name);
        let entry = entry.unwrap_or_else(|| panic!("no {name} in {json}"));
        assert_eq!(entry["failed"], true, "{json}");
        let reason = entry["reason"].as_str().unwrap();
        assert!(reason.contains("Permission denied"), "{json}");
    }
    let failed = unusable.iter().filter(|entry| entry["failed"] == true);
    assert_eq!(json["examination_errors"], failed.count(), "{json}");
}

/// The schema in the docs is that of this program: `info --schema > docs/info.schema.json`.
#[test]
fn the_schema_is_in_the_docs() {
    let said = run("info", &["--schema"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    let kept: Value = serde_json::from_str(include_str!("../../docs/info.schema.json")).unwrap();
    assert_eq!(said.json_document(), kept);
    // And it knows every key that a report has.
    let report = run("info", &["--json"]).good_json();
    for key in report.as_object().unwrap().keys() {
        assert!(kept["properties"][key].is_object(), "{key}");
    }
    for pair in report["pairs"].as_array().unwrap() {
        for key in pair.as_object().unwrap().keys() {
            assert!(
                kept["$defs"]["PairReport"]["properties"][key].is_object(),
                "{key}"
            );
        }
    }
}

/// Directly, nothing is copied, whatever the size.
#[test]
fn what_is_measured_copies_nothing_directly_and_a_frame_by_a_shadow() {
    let json = run("info", &["--json", "--measure"]).good_json();
    let mut measured = 0;
    for pair in json["pairs"].as_array().unwrap() {
        for shared in pair["formats"].as_array().unwrap() {
            let copied = shared["frame"]["bytes_copied"].as_u64().unwrap();
            assert_eq!(shared["route"] == "direct", copied == 0, "{pair}");
            assert!(shared["frame"]["microseconds"].as_f64().unwrap() > 0.0);
            measured += 1;
        }
    }
    assert!(measured > 20, "{json}");
}

/// SwiftShader, which has no dma-bufs, is beside llvmpipe.
#[test]
fn a_second_driver_has_its_routes_and_its_reasons() {
    let drivers =
        "/usr/share/vulkan/icd.d/lvp_icd.json:/usr/lib/swiftshader/vk_swiftshader_icd.json";
    let said = support::program("info")
        .arg("--json")
        .env("VK_DRIVER_FILES", drivers)
        // It imports by pointer without claiming it, which the validation layers tell.
        .env(
            "VK_LAYER_MESSAGE_ID_FILTER",
            "VUID-VkImageCreateInfo-pNext-00990,\
             VUID-VkImportMemoryWin32HandleInfoKHR-handleType-00658",
        )
        .output()
        .unwrap();
    let json = Said::of(said).good_json();
    assert_eq!(json["examination_errors"], 0, "{json}");
    let devices = json["vulkan_devices"].as_array().unwrap();
    assert_eq!(devices.len(), 2, "{json}");
    let lacks = &pair(&json, "SwiftShader", "SwiftShader")["reason"];
    assert!(lacks.as_str().unwrap().contains("it lacks VK_"), "{lacks}");
    let formats_of = |exporter| {
        let pair = pair(&json, exporter, "SwiftShader");
        pair["formats"].as_array().unwrap().clone()
    };
    let of = |formats: &[Value], code: &str| {
        let found = formats.iter().find(|shared| shared["format"] == code);
        found
            .unwrap_or_else(|| panic!("no {code} in {formats:?}"))
            .clone()
    };
    for exporter in ["dma-heap system", "udmabuf"] {
        let formats = formats_of(exporter);
        // Rows of 256 bytes are as the driver has them, rows of 128 bytes were padded.
        assert_eq!(of(&formats, "XR24")["route"], "direct", "{exporter}");
        let padded = of(&formats, "RG16");
        assert_eq!(padded["route"], "shadow", "{exporter}");
        let why = padded["shadow"].as_str().unwrap();
        let parts = [
            "VK_EXT_external_memory_dma_buf",
            "a stride of exactly 128 bytes",
        ];
        assert!(parts.iter().all(|part| why.contains(part)), "{why}");
    }
    let of_llvmpipe = of(&formats_of("llvmpipe"), "XR24");
    assert_eq!(of_llvmpipe["route"], "shadow");
    let why = of_llvmpipe["shadow"].as_str().unwrap();
    assert!(why.contains("VK_EXT_external_memory_dma_buf"), "{why}");
}

#[test]
fn nonsense_is_refused() {
    run("info", &["--color"]).failed_with(&["--color"]);
}
