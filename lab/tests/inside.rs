//! What a command finds in the guest: displays, devices, the host's folders, its environment.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_program;

use std::path::{Path, PathBuf};

use lab_program::{expect_status, lab, run_script, stdout, with_input};

#[test]
fn every_kernel_option_asked_for_is_set() {
    let output = lab(&["setup", "--json"]).output().unwrap();
    expect_status(&output, 0);
    let built: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let kernel = Path::new(built["kernel"].as_str().unwrap());
    let config = std::fs::read_to_string(kernel.join("config")).unwrap();
    let set: Vec<&str> = config.lines().collect();
    let asked = include_str!("../kernel.config");
    let mut options = 0;
    for line in asked.lines().filter(|line| line.starts_with("CONFIG_")) {
        options += 1;
        match line.strip_suffix("=n") {
            Some(name) => assert!(!config.contains(&format!("\n{name}=")), "{line}"),
            None => assert!(set.contains(&line), "{line}"),
        }
    }
    assert!(options > 60, "only {options} options");
}

#[test]
fn devices_and_file_systems_are_there() {
    let output = run_script(
        &[],
        "set -e
         for file in /dev/udmabuf /dev/dma_heap/system /dev/dri/renderD128 /dev/dri/card1 \
            /sys/kernel/debug/sync/sw_sync /sys/kernel/debug/dma_buf/bufinfo \
            /sys/kernel/tracing/events/dma_buf /proc/thread-self/fail-nth \
            /sys/kernel/config/vkms/display0/connectors/connector/status /dev/shm /dev/pts/ptmx
         do test -e $file || { echo missing $file; exit 1; }; done
         test $(ulimit -Hn) -ge 1048576
         test $(hostname) = dmashare-lab
         test $(nproc) = 1
         test $(cat /proc/sys/kernel/prove_locking) = 1
         ip -brief link show lo | grep -q UP",
    );
    expect_status(&output, 0);
}

#[test]
fn there_are_as_many_displays_as_asked_for_each_with_writeback() {
    for (displays, cards) in [("0", 0), ("3", 3)] {
        // vgem is a card, too, without a connector.
        let output = run_script(
            &["--displays", displays],
            "ls -d /sys/class/drm/card*-Virtual-* 2>/dev/null | wc -l
             ls -d /sys/class/drm/card*-Writeback-* 2>/dev/null | wc -l",
        );
        expect_status(&output, 0);
        assert_eq!(stdout(&output), format!("{cards}\n{cards}\n"));
    }
}

#[test]
fn a_display_can_be_unplugged() {
    let output = run_script(
        &[],
        "set -e
         echo detect > /sys/class/drm/card1-Virtual-1/status
         cat /sys/class/drm/card1-Virtual-1/status
         echo 2 > /sys/kernel/config/vkms/display0/connectors/connector/status
         echo detect > /sys/class/drm/card1-Virtual-1/status
         cat /sys/class/drm/card1-Virtual-1/status",
    );
    expect_status(&output, 0);
    assert_eq!(stdout(&output), "connected\ndisconnected\n");
}

#[test]
fn the_tree_is_at_its_own_path_and_can_be_written() {
    let here = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = here.join("written-in-the-guest");
    let _ = std::fs::remove_file(&file);
    let output = lab(&[
        "run",
        "--",
        "sh",
        "-c",
        "pwd; echo content > written-in-the-guest",
    ])
    .current_dir(&here)
    .output()
    .unwrap();
    expect_status(&output, 0);
    assert_eq!(stdout(&output).trim(), here.to_str().unwrap());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "content\n");
}

#[test]
fn one_more_folder_can_be_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let output = run_script(&["--mount", path], &format!("echo x > {path}/file"));
    expect_status(&output, 0);
    assert!(folder.path().join("file").exists());
    let output = run_script(&["--mount", "/usr"], "true");
    expect_status(&output, 125);
}

#[test]
fn what_concerns_the_guest_is_passed_on() {
    let output = lab(&["run", "--env", "GIVEN=a=b", "--", "env"])
        .env("RUST_LOG", "debug")
        .env("SECRET", "s")
        .output()
        .unwrap();
    expect_status(&output, 0);
    let environment = stdout(&output);
    for line in ["GIVEN=a=b", "RUST_LOG=debug", "DMASHARE_LAB=1"] {
        assert!(environment.lines().any(|l| l == line), "{environment}");
    }
    assert!(!environment.contains("SECRET"), "{environment}");
}

#[test]
fn own_binaries_are_found_by_name() {
    let output = lab(&["run", "--", "dmashare-lab", "--version"])
        .output()
        .unwrap();
    expect_status(&output, 0);
    assert!(stdout(&output).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_shell_without_a_terminal_reads_its_commands() {
    let output = with_input(&mut lab(&["shell"]), b"echo $((6*7)); hostname\nexit 3\n");
    expect_status(&output, 3);
    assert_eq!(stdout(&output), "42\ndmashare-lab\n");
}

#[test]
fn bad_arguments_are_refused_with_a_reason() {
    for (arguments, reason) in [
        (&["run", "--mem", "4T", "--", "true"][..], "4T"),
        (&["run", "--cpus", "0", "--", "true"][..], "1..=8"),
        (&["run", "--timeout", "0", "--", "true"][..], "seconds"),
        (&["run"][..], "COMMAND"),
    ] {
        let output = lab(arguments).output().unwrap();
        expect_status(&output, 2);
        assert!(
            lab_program::stderr(&output).contains(reason),
            "{arguments:?}"
        );
    }
    let output = lab(&["run", "--mem", "1024G", "--", "true"])
        .output()
        .unwrap();
    expect_status(&output, 125);
    assert!(lab_program::stderr(&output).contains("--mem"));
}

#[test]
fn the_doctor_finds_everything_after_set_up() {
    let output = lab(&["doctor", "--json"]).output().unwrap();
    expect_status(&output, 0);
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1);
    let diagnosis: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(diagnosis["doctor_errors"], 0, "{text}");
    assert!(diagnosis["findings"].as_array().unwrap().len() >= 7);
}
