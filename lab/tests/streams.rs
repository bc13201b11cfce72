//! Standard input, output, error and exit status cross the guest's border exactly.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_program;

use lab_program::{expect_status, lab, run_script, stderr, stdout, with_input};

#[test]
fn both_streams_and_the_exit_status_are_the_commands_own() {
    let output = run_script(&[], "printf 'out no newline'; printf 'err' >&2; exit 7");
    expect_status(&output, 7);
    assert_eq!(output.stdout, b"out no newline");
    assert_eq!(output.stderr, b"err");
}

#[test]
fn a_megabyte_of_every_byte_goes_in_and_comes_out() {
    let mut state = 1_u32;
    let input: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take((1 << 20) + 3)
    .collect();
    let output = with_input(&mut lab(&["run", "--timeout", "60", "--", "cat"]), &input);
    expect_status(&output, 0);
    assert!(output.stdout == input, "{} bytes came", output.stdout.len());
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_command_that_reads_no_input_ends_all_the_same() {
    let endless = std::fs::File::open("/dev/zero").unwrap();
    let output = lab(&["run", "--timeout", "60", "--", "head", "-c", "3"])
        .stdin(endless)
        .output()
        .unwrap();
    expect_status(&output, 0);
    assert_eq!(output.stdout, [0; 3]);
}

#[test]
fn output_of_a_process_left_behind_is_not_lost_and_not_waited_for() {
    let output = run_script(&[], "(echo early; sleep 1000) & sleep 0.3; echo done");
    expect_status(&output, 0);
    assert_eq!(stdout(&output), "early\ndone\n");
}

#[test]
fn a_signal_and_a_missing_program_have_a_shells_exit_status() {
    let output = run_script(&[], "kill -KILL $$");
    expect_status(&output, 128 + 9);
    let output = lab(&["run", "--", "no-such-program"]).output().unwrap();
    expect_status(&output, 127);
    assert!(stderr(&output).contains("no-such-program"));
    let output = lab(&["run", "--", "/etc/passwd"]).output().unwrap();
    expect_status(&output, 126);
}

#[test]
fn output_comes_while_the_command_runs() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let mut child = lab(&["run", "--timeout", "60", "--", "sh", "-c"])
        .arg("echo first; sleep 2; echo second")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    let first = std::time::Instant::now();
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    // Together, they would have come at the end.
    assert!(first.elapsed() > std::time::Duration::from_secs(1));
    assert!(child.wait().unwrap().success());
}
