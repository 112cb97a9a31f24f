//! The example `ofp` on what people and scripts feed to it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn ofp() -> Command {
    // Beside the directory of this test's own executable.
    let mut path: PathBuf = std::env::current_exe().expect("a path");
    path.pop();
    path.pop();
    Command::new(path.join("examples/ofp"))
}

fn with_lines(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = ofp()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example is built with the tests");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("ends");
    writer.join().expect("a thread").expect("writes");
    output
}

/// The lines of an output, each ended.
fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty() || output.stdout.ends_with(b"\n"));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

const BARRIER: &str = "04140008deadbe01";

#[test]
fn each_line_is_answered_by_one_in_the_same_order() {
    let huge = "04".repeat(300_000);
    let input = [
        BARRIER.as_bytes(),
        b"\n\n0\nxyz\n \t \n",
        b"0414 0008 dead be01\r\n",
        b"\xff\xfe\n",
        huge.as_bytes(),
        b"\n",
        // A HELLO, whose text has lines of its own; and no newline at the end.
        b"0400000800000001",
    ]
    .concat();
    let printed = lines(&with_lines(&["print", "-"], &input));
    assert_eq!(printed.len(), 9);
    let barrier = "OFPT_BARRIER_REQUEST (OF1.3) (xid=0xdeadbe01):";
    assert_eq!(printed[0], barrier);
    assert_eq!(printed[1], "OpenFlow message is empty");
    assert_eq!(printed[2], "error: an odd number of hexadecimal digits");
    assert!(printed[3].starts_with("error: "), "{}", printed[3]);
    assert_eq!(printed[4], "OpenFlow message is empty");
    assert_eq!(printed[5], barrier);
    assert!(printed[6].starts_with("error: "), "{}", printed[6]);
    assert!(printed[7].starts_with("(***only uses 1028 bytes out of 300000***)\\n"));
    assert!(printed[8].starts_with("OFPT_HELLO (OF1.3) (xid=0x1):\\n version bitmap: 0x01"));

    let again = lines(&with_lines(&["reencode", "-"], &input));
    assert_eq!(again.len(), 9);
    assert_eq!((again[0].as_str(), again[5].as_str()), (BARRIER, BARRIER));
    for at in [1, 2, 3, 4, 6, 7] {
        assert!(again[at].starts_with("error: "), "{}", again[at]);
    }
}

#[test]
fn flows_are_read_line_by_line() {
    let input =
        b"actions=drop\ntcp,tp_dst=80,actions=normal\r\n\nnonsense\nactions=output:\xff\nip";
    let sent = lines(&with_lines(&["flow-mod", "--names", "-"], input));
    assert_eq!(sent.len(), 6);
    assert!(sent[0].starts_with("040e0038"), "{}", sent[0]);
    assert!(sent[1].starts_with("040e0060"), "{}", sent[1]);
    for line in &sent[2..] {
        assert!(line.starts_with("error: "), "{line}");
    }
    assert!(lines(&with_lines(&["flow-mod", "-"], b"")).is_empty());
}

#[test]
fn one_argument_is_answered_by_its_text_and_tells_of_failure() {
    let good = ofp().args(["print", BARRIER]).output().expect("runs");
    assert!(good.status.success());
    let bad = ofp().args(["print", "0g"]).output().expect("runs");
    assert!(!bad.status.success());
    assert!(bad.stdout.starts_with(b"error: "));
    for wrong in [
        &["print"][..],
        &[],
        &["frobnicate", "00"],
        &["print", "00", "00"],
    ] {
        let output = ofp().args(wrong).output().expect("runs");
        assert!(!output.status.success());
        assert!(output.stderr.starts_with(b"usage: "), "{output:?}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"\xff\xff");
        let output = ofp().arg("print").arg(name).output().expect("runs");
        assert!(output.stdout.starts_with(b"error: "), "{output:?}");
    }
}
