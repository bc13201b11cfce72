//! What the kernel or the Vulkan validation layers complain about fails a run, even if the command
//! itself succeeds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_program;

use std::path::PathBuf;

use lab_program::{expect_status, lab, run_script, stderr, stdout};

#[test]
fn a_warning_of_the_kernel_is_shown_and_fails_the_run() {
    let output = run_script(
        &[],
        "echo WARNING > /sys/kernel/debug/provoke-crash/DIRECT; echo survived",
    );
    expect_status(&output, 125);
    assert_eq!(stdout(&output), "survived\n");
    let said = stderr(&output);
    assert!(
        said.contains("WARNING: drivers/misc/lkdtm/bugs.c"),
        "{said}"
    );
    assert!(
        said.contains("the command's own exit status is 0"),
        "{said}"
    );
}

#[test]
fn a_bug_and_a_lockdep_report_fail_the_run() {
    for (crash, words) in [
        ("BUG", "BUG: failure at drivers/misc/lkdtm"),
        // Returns with a spinlock held.
        ("SPINLOCKUP", "[ BUG: Invalid wait context ]"),
    ] {
        let script = format!("echo {crash} > /sys/kernel/debug/provoke-crash/DIRECT");
        let output = run_script(&["--timeout", "10"], &script);
        let said = stderr(&output);
        assert!(matches!(output.status.code(), Some(124 | 125)), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_panic_is_shown_and_fails_the_run() {
    let output = run_script(
        &[],
        "echo before; sleep 0.5; echo c > /proc/sysrq-trigger; sleep 1000",
    );
    expect_status(&output, 125);
    assert_eq!(stdout(&output), "before\n");
    let said = stderr(&output);
    assert!(said.contains("Kernel panic"), "{said}");
}

#[test]
fn other_kernel_messages_go_to_the_log_only() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let options = ["--displays", "2", "--kernel-log", log.to_str().unwrap()];
    let output = run_script(&options, "echo '<4>lab: a mere warning' > /dev/kmsg");
    expect_status(&output, 0);
    assert_eq!(stderr(&output), "");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("lab: a mere warning"), "{log}");
}

/// The example that uses Vulkan wrongly, which cargo builds with these tests.
fn invalid_vulkan() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_dmashare-lab"));
    program.with_file_name("examples").join("invalid_vulkan")
}

#[test]
fn a_validation_message_is_shown_and_fails_the_run() {
    let program = invalid_vulkan();
    let program = program.to_str().unwrap();
    let output = lab(&["run", "--validate", "--", program]).output().unwrap();
    expect_status(&output, 125);
    let said = stderr(&output);
    assert!(
        said.contains("VUID-VkApplicationInfo-sType-sType"),
        "{said}"
    );
    // Without the layers, nobody notices.
    let output = lab(&["run", "--", program]).output().unwrap();
    expect_status(&output, 0);
}

#[test]
fn a_valid_program_passes_under_the_layers() {
    let output = lab(&["run", "--validate", "--", "vulkaninfo", "--summary"])
        .output()
        .unwrap();
    expect_status(&output, 0);
    let said = stdout(&output);
    assert!(said.contains("VK_LAYER_KHRONOS_validation"), "{said}");
    assert!(said.contains("llvmpipe"), "{said}");
}
