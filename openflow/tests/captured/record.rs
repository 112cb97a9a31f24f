//! Stands between a program and the switch and keeps each message that passes, once.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use openflow::message::{Hello, HelloElement};
use openflow::{Message, header};

use super::file::{Vector, hex};
use super::switch::{Switch, output, wait_for};

/// Longer messages are not kept if more of the kind follow: the features of 254 tables are all the same.
const LONGEST: usize = 16_000;

/// What passed on one connection, and whether the switch sent it.
type Passed = Arc<Mutex<Vec<(bool, Vec<u8>)>>>;

pub(crate) struct Recorder<'a> {
    pub(crate) switch: &'a Switch,
    pub(crate) vectors: Vec<Vector>,
    version: String,
    seen: HashSet<Vec<u8>>,
    tap: PathBuf,
    listener: UnixListener,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(switch: &'a Switch) -> Self {
        let version = output(switch.command("ovs-ofctl").arg("--version"));
        let version = version.lines().next().and_then(|l| l.rsplit(' ').next());
        let tap = switch.path("tap");
        let listener = UnixListener::bind(&tap).expect("a socket");
        listener.set_nonblocking(true).expect("a socket to poll");
        Recorder {
            switch,
            vectors: Vec::new(),
            version: version.expect("a version").to_owned(),
            seen: HashSet::new(),
            listener,
            tap,
        }
    }

    fn target(&self) -> String {
        format!("unix:{}", self.tap.display())
    }

    /// `ovs-ofctl` with the arguments, in which `br0` is the switch.
    fn ofctl(&self, args: &[&str]) -> Command {
        let mut command = self.switch.command("ovs-ofctl");
        command.args(["--no-names", "-O", "OpenFlow13"]);
        for arg in args {
            command.arg(if *arg == "br0" {
                self.target()
            } else {
                (*arg).to_owned()
            });
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs `ovs-ofctl` to its end and keeps what passes. A refusal by the switch is worth keeping too.
    pub(crate) fn run(&mut self, args: &[&str]) {
        let child = self.ofctl(args).spawn();
        let mut child = child.expect("ovs-ofctl is not installed: these tests need Open vSwitch");
        let passed = Passed::default();
        let mut connections = Vec::new();
        wait_for("ovs-ofctl to end", || {
            let ended = child.try_wait().expect("a child").is_some();
            // Some commands connect more than once.
            while let Ok((program, _)) = self.listener.accept() {
                connections.extend(self.serve(&program, &passed));
            }
            ended
        });
        for connection in connections {
            connection.join().expect("the connection ends");
        }
        let passed = std::mem::take(&mut *passed.lock().expect("no panic"));
        assert!(
            passed.len() > 2,
            "{args:?}: ovs-ofctl did not get as far as to ask"
        );
        self.keep(&command_line(args), "ovs-ofctl", &passed);
    }

    /// Runs `ovs-ofctl monitor` while `act` makes something happen, until so many messages of each of `kinds` passed.
    pub(crate) fn monitor(
        &mut self,
        args: &[&str],
        kinds: &[(&str, usize)],
        act: impl FnOnce(&Switch),
    ) {
        let mut child = self.ofctl(args).spawn().expect("ovs-ofctl starts");
        let passed = Passed::default();
        let seen = |name: &str| {
            let passed = passed.lock().expect("no panic");
            let decoded = passed.iter().filter_map(|(_, m)| Message::decode(m).ok());
            decoded.filter(|(_, m)| m.name() == name).count()
        };
        let mut connections = Vec::new();
        // Its last request is the sign that it listens.
        wait_for("the monitor", || {
            if let Ok((program, _)) = self.listener.accept() {
                connections.extend(self.serve(&program, &passed));
            }
            seen("OFPT_SET_CONFIG") + seen("ONFST_FLOW_MONITOR reply") > 0
        });
        self.barrier();
        act(self.switch);
        for (kind, n) in kinds {
            wait_for(kind, || seen(kind) >= *n);
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        for connection in connections {
            connection.join().expect("the connection ends");
        }
        let passed = std::mem::take(&mut *passed.lock().expect("no panic"));
        self.keep(&command_line(args), "ovs-ofctl", &passed);
    }

    /// A connection of our own, for what none of Open vSwitch's programs sends.
    pub(crate) fn client(&self) -> Client {
        let stream = UnixStream::connect(self.switch.path("br0.mgmt")).expect("connects");
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("a time limit");
        let hello = Hello {
            version: header::VERSION,
            elements: vec![HelloElement::Versions(vec![1 << header::VERSION])],
        };
        let mut client = Client {
            stream,
            passed: Vec::new(),
            xid: 0,
        };
        client.send(&Message::Hello(hello));
        client
    }

    /// Keeps what passed on a connection of our own.
    pub(crate) fn keep_client(&mut self, about: &str, client: &mut Client) {
        let passed = std::mem::take(&mut client.passed);
        self.keep(about, "the recorder", &passed);
    }

    /// Waits until the switch has done what it was told.
    fn barrier(&self) {
        let mut client = self.client();
        client.send(&Message::BarrierRequest);
        client.until("OFPT_BARRIER_REPLY");
    }

    /// Stands between a program and the switch until one of them has enough.
    fn serve(&self, program: &UnixStream, passed: &Passed) -> [thread::JoinHandle<()>; 2] {
        program
            .set_nonblocking(false)
            .expect("a socket to wait for");
        let switch = UnixStream::connect(self.switch.path("br0.mgmt")).expect("connects");
        [
            pass(&switch, program, true, Arc::clone(passed)),
            pass(program, &switch, false, Arc::clone(passed)),
        ]
    }

    fn keep(&mut self, about: &str, program: &str, passed: &[(bool, Vec<u8>)]) {
        for (from_switch, bytes) in passed {
            // Whatever its transaction id, the same message is not worth keeping twice.
            let identity = [&bytes[..4], &bytes[8..]].concat();
            let more = bytes[1] == header::MsgType::MULTIPART_REPLY.0 && bytes[11] & 1 != 0;
            if (bytes.len() > LONGEST && more) || !self.seen.insert(identity) {
                continue;
            }
            let sender = match (from_switch, program) {
                (true, _) => format!("ovs-vswitchd {}", self.version),
                (false, "ovs-ofctl") => format!("ovs-ofctl {}", self.version),
                (false, other) => other.to_owned(),
            };
            let print = self
                .switch
                .command("ovs-ofctl")
                .arg("ofp-print")
                .arg(hex(bytes))
                .output();
            let print = print.expect("ovs-ofctl runs").stdout;
            self.vectors.push(Vector {
                origin: format!("{sender}, {about}"),
                bytes: bytes.clone(),
                print: String::from_utf8(print).expect("UTF-8"),
                line: 0,
            });
        }
    }
}

fn command_line(args: &[&str]) -> String {
    let mut line = "ovs-ofctl -O OpenFlow13".to_owned();
    for arg in args {
        let plain = arg
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_:=,.!/".contains(c));
        line += &if plain {
            format!(" {arg}")
        } else {
            format!(" '{arg}'")
        };
    }
    line
}

/// Hands on each message of `from` to `to`, and the end of the stream too.
fn pass(
    from: &UnixStream,
    to: &UnixStream,
    from_switch: bool,
    passed: Passed,
) -> thread::JoinHandle<()> {
    let mut from = from.try_clone().expect("a second handle");
    let mut to = to.try_clone().expect("a second handle");
    thread::spawn(move || {
        while let Some(message) = read(&mut from) {
            let sent = to.write_all(&message);
            passed
                .lock()
                .expect("no panic")
                .push((from_switch, message));
            if sent.is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    })
}

fn read(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut message = vec![0; header::HEADER_LEN];
    stream.read_exact(&mut message).ok()?;
    let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
    message.resize(length, 0);
    stream.read_exact(&mut message[header::HEADER_LEN..]).ok()?;
    Some(message)
}

/// A connection of our own.
pub(crate) struct Client {
    stream: UnixStream,
    pub(crate) passed: Vec<(bool, Vec<u8>)>,
    xid: u32,
}

impl Client {
    pub(crate) fn send(&mut self, message: &Message) {
        self.xid += 1;
        let bytes = message.to_bytes(self.xid).expect("encodes");
        self.stream.write_all(&bytes).expect("sent");
        self.passed.push((false, bytes));
    }

    /// Reads until a message of that name comes.
    pub(crate) fn until(&mut self, name: &str) {
        loop {
            let message = read(&mut self.stream).unwrap_or_else(|| panic!("no {name} comes"));
            let found = Message::decode(&message).is_ok_and(|(_, m)| m.name() == name);
            self.passed.push((true, message));
            if found {
                return;
            }
        }
    }

    /// Sends messages and waits until they are done.
    pub(crate) fn ask(&mut self, messages: &[Message]) {
        for message in messages {
            self.send(message);
        }
        self.send(&Message::BarrierRequest);
        self.until("OFPT_BARRIER_REPLY");
    }
}
