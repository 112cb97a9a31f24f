//! What the installed `ovs-ofctl` sends and prints.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output};

/// Reads one OpenFlow message; `None` at the end of the stream.
fn message(s: &mut UnixStream) -> Option<Vec<u8>> {
    let mut m = vec![0; 8];
    s.read_exact(&mut m).ok()?;
    let len = u16::from_be_bytes([m[2], m[3]]) as usize;
    m.resize(len, 0);
    s.read_exact(&mut m[8..]).ok()?;
    Some(m)
}

/// A switch of few words: greets, answers barriers, echoes, and remembers all changes of flows, groups and meters.
fn serve(mut s: UnixStream) -> Vec<Vec<u8>> {
    let mut mods = vec![];
    let reply = |s: &mut UnixStream, type_: u8, m: &[u8]| {
        let _ = s.write_all(&[4, type_, 0, 8, m[4], m[5], m[6], m[7]]);
    };
    while let Some(m) = message(&mut s) {
        match m[1] {
            0 => reply(&mut s, 0, &m),
            2 => reply(&mut s, 3, &m),
            14 | 15 | 29 => mods.push(m),
            20 => reply(&mut s, 21, &m),
            other => panic!("ovs-ofctl sent a message of type {other}"),
        }
    }
    mods
}

fn ofctl(args: &[&str]) -> Output {
    let out = Command::new("ovs-ofctl")
        .args(["-vOFF"])
        .args(args)
        .output();
    out.expect("ovs-ofctl is needed for this test: apt-get install openvswitch-switch")
}

/// The FLOW_MODs for `flows`, one a line, or what `ovs-ofctl` says is wrong.
pub(crate) fn send(dir: &Path, flows: &[String]) -> Result<Vec<Vec<u8>>, String> {
    let (socket, file) = (dir.join("switch"), dir.join("flows"));
    let _ = std::fs::remove_file(&socket);
    std::fs::write(&file, flows.join("\n") + "\n").unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || listener.accept().map(|(s, _)| serve(s)).unwrap());
    let target = format!("unix:{}", socket.display());
    let out = ofctl(&[
        "-O",
        "OpenFlow13",
        "--no-names",
        "add-flows",
        &target,
        file.to_str().unwrap(),
    ]);
    if out.status.success() {
        return Ok(server.join().unwrap());
    }
    // Wake the server if ovs-ofctl never connected.
    let _ = UnixStream::connect(&socket);
    let _ = server.join();
    Err(String::from_utf8_lossy(&out.stderr).into_owned())
}

/// The message that `command` sends for `text`, or what `ovs-ofctl` says is wrong.
#[allow(dead_code, reason = "each test uses some of this")]
pub(crate) fn send_one(dir: &Path, command: &str, text: &str) -> Result<Vec<u8>, String> {
    let socket = dir.join("switch");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || listener.accept().map(|(s, _)| serve(s)).unwrap());
    let target = format!("unix:{}", socket.display());
    let out = ofctl(&["-O", "OpenFlow13", "--no-names", command, &target, text]);
    if out.status.success() {
        return Ok(server.join().unwrap().remove(0));
    }
    // Wake the server if ovs-ofctl never connected.
    let _ = UnixStream::connect(&socket);
    let _ = server.join();
    Err(String::from_utf8_lossy(&out.stderr).into_owned())
}

/// What `ovs-ofctl ofp-parse` prints for each of `messages`, which are FLOW_MODs.
pub(crate) fn print(dir: &Path, messages: &[Vec<u8>]) -> Vec<String> {
    let file = dir.join("messages");
    std::fs::write(&file, messages.concat()).unwrap();
    let out = ofctl(&["--no-names", "ofp-parse", file.to_str().unwrap()]);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let mut printed: Vec<String> = vec![];
    for line in String::from_utf8(out.stdout).unwrap().lines() {
        // What cannot be decoded is followed by lines of hexadecimal.
        match printed.last_mut() {
            Some(last) if !line.starts_with("OFPT_FLOW_MOD") => *last += &format!("\n{line}"),
            _ => printed.push(line.to_owned()),
        }
    }
    printed
}
