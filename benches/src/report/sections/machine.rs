//! Where it was measured.

use super::super::markdown::Table;
use super::super::{Data, Report, figures, quantities};
use crate::MachineFacts;

/// The machine in a sentence or two; `None` if it was not noted.
pub(in super::super) fn machine_in_words(data: &Data) -> Option<String> {
    let machine = data.machine.as_ref()?;
    let mut text = format!(
        "Measured on {} with {} ({})",
        machine.date, machine.vulkan.device, machine.vulkan.kind
    );
    match &machine.card {
        Some(card) => text.push_str(&format!(" and a display of the driver `{}`", card.driver)),
        None => text.push_str(", without a display"),
    }
    text.push_str(&format!(", on {}.", machine.processor));
    if machine.user_mode_linux {
        text.push_str(
            " The kernel is user-mode Linux, an ordinary process, so that anyone can repeat this \
             without a GPU or a display. There, a system call costs about ten microseconds, and what the \
             library's checks ask the kernel weighs far more than on a kernel that runs by itself; and \
             the GPU is the CPU, so times say nothing about a GPU.",
        );
    }
    Some(text)
}

/// The machine as a table.
pub(in super::super) fn machine(data: &Data, report: &mut Report) {
    let Some(machine) = &data.machine else {
        return;
    };
    let mut table = Table::new(2, ["", ""]);
    for (name, value) in facts(machine) {
        table.push([name.to_owned(), value]);
    }
    if let Some(commit) = &data.commit {
        table.push(["commit".to_owned(), format!("`{commit}`")]);
    }
    for peer in &data.peers {
        table.push([format!("crate `{}`", peer.name), peer.version.clone()]);
    }
    report.section("Where it was measured");
    report.table(&table);
}

fn facts(machine: &MachineFacts) -> Vec<(&'static str, String)> {
    let vulkan = &machine.vulkan;
    let user_mode = if machine.user_mode_linux {
        ", user-mode Linux"
    } else {
        ""
    };
    let memory = quantities::bytes(figures::as_f64(machine.memory_kib) * 1024.0);
    vec![
        ("date", machine.date.clone()),
        ("processor", machine.processor.clone()),
        ("processors of this system", machine.processors.to_string()),
        ("memory of this system", memory),
        ("kernel", format!("{}{user_mode}", machine.kernel)),
        (
            "Vulkan device",
            format!("{}, {}", vulkan.device, vulkan.kind),
        ),
        (
            "Vulkan driver",
            format!("{} {}", vulkan.driver, vulkan.driver_info)
                .trim()
                .to_owned(),
        ),
        ("Vulkan version", vulkan.api_version.clone()),
        (
            "display",
            match &machine.card {
                Some(card) => format!("`{}`, driver `{}`", card.path, card.driver),
                None => "none".to_owned(),
            },
        ),
    ]
}

#[cfg(test)]
pub(in super::super) mod tests {
    use super::*;
    use crate::{CardFacts, VulkanFacts};

    /// A machine as the lab is.
    pub(in super::super::super) fn lab() -> MachineFacts {
        MachineFacts {
            date: "2026-01-31".to_owned(),
            processor: "A Processor".to_owned(),
            processors: 1,
            memory_kib: 2 << 20,
            kernel: "6.12.0".to_owned(),
            user_mode_linux: true,
            vulkan: VulkanFacts {
                device: "llvmpipe".to_owned(),
                kind: "software, on the CPU".to_owned(),
                driver: "llvmpipe".to_owned(),
                driver_info: "Mesa 25".to_owned(),
                api_version: "1.4.0".to_owned(),
            },
            card: Some(CardFacts {
                path: "/dev/dri/card0".to_owned(),
                driver: "vkms".to_owned(),
            }),
        }
    }

    #[test]
    fn a_reader_is_told_what_the_lab_is() {
        let mut data = Data::default();
        assert_eq!(machine_in_words(&data), None);
        data.machine = Some(lab());
        let text = machine_in_words(&data).unwrap();
        assert!(
            text.contains("llvmpipe") && text.contains("user-mode Linux"),
            "{text}"
        );
        let mut report = Report::default();
        machine(&data, &mut report);
        let table = report.text;
        for fact in ["A Processor", "2.00 GiB", "driver `vkms`", "Mesa 25"] {
            assert!(table.contains(fact), "{table}");
        }
    }
}
