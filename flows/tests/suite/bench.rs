//! A real Open vSwitch that real packets go through: what goes in, and what comes out of every port.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use openflow::Field;
use sluice_flows::interpreter::Packet;

use crate::frames::{captured, encode, hex};
use crate::switch::Switch;

/// The ports that packets come in and go out by.
pub(crate) const PORTS: [u32; 4] = [1, 2, 3, 4];
/// Every packet has to leave by it, to say that it has been handled.
pub(crate) const PROBE: u32 = 99;

/// A switch whose ports remember what left by them.
pub(crate) struct Bench {
    pub(crate) switch: Switch,
    seen: BTreeMap<u32, usize>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let ports = [PORTS.as_slice(), &[PROBE]].concat();
        let switch = Switch::start(&ports, 0);
        switch.capture(&ports);
        let seen = ports.into_iter().map(|p| (p, 0)).collect();
        let mut bench = Self { switch, seen };
        bench.warm_up();
        bench
    }

    /// A switch that is still setting up its ports loses packets.
    fn warm_up(&mut self) {
        let ports: Vec<String> = self.seen.keys().map(|p| format!("output:{p}")).collect();
        let actions = format!("actions=load:0->NXM_OF_IN_PORT[],{}", ports.join(","));
        self.switch.add_flows(&actions);
        let end = Instant::now() + Duration::from_secs(20);
        let quiet = |bench: &Self| {
            bench
                .seen
                .keys()
                .any(|port| bench.left_by(*port).is_empty())
        };
        while quiet(self) {
            assert!(Instant::now() < end, "the switch is not ready");
            for port in PORTS {
                let frame = "0a00000000020a000000000188b5".to_owned() + &"00".repeat(50);
                self.switch
                    .appctl("netdev-dummy/receive", &[&format!("p{port}"), &frame]);
            }
        }
        // The frames are handled in order: what is before this one has left.
        let last = "0a00000000020a000000000188b5".to_owned() + &"01".repeat(50);
        self.switch.appctl("netdev-dummy/receive", &["p4", &last]);
        while self.left_by(PROBE).last().map(|f| hex(f)) != Some(last.clone()) {
            assert!(Instant::now() < end, "the switch is not ready");
            self.switch.appctl("version", &[]);
        }
        self.switch.appctl("version", &[]);
        let ports: Vec<u32> = self.seen.keys().copied().collect();
        for port in ports {
            *self.seen.get_mut(&port).unwrap() += self.left_by(port).len();
        }
    }

    fn left_by(&self, port: u32) -> Vec<Vec<u8>> {
        let frames = captured(&self.switch.left_by(port));
        frames[self.seen[&port]..].to_vec()
    }

    /// Sends a packet, and returns what left by which port because of it.
    pub(crate) fn send(&mut self, packet: &Packet) -> BTreeMap<u32, Vec<Vec<u8>>> {
        let port = packet.get(Field::IN_PORT).to_u32();
        let frame = hex(&encode(packet));
        self.switch
            .appctl("netdev-dummy/receive", &[&format!("p{port}"), &frame]);
        let end = Instant::now() + Duration::from_secs(10);
        while self.left_by(PROBE).is_empty() {
            if Instant::now() >= end {
                let trace = self
                    .switch
                    .appctl("ofproto/trace", &["br0", &packet.to_string()]);
                let flows = self.switch.ofctl(&[], "dump-flows", &[]);
                panic!("{packet} never came through:\n{trace}\n{flows}");
            }
            // The switch handles packets between two commands.
            self.switch.appctl("version", &[]);
        }
        // It sends port by port what one packet gave rise to, in any order, and answers commands after that.
        self.switch.appctl("version", &[]);
        let ports: Vec<u32> = self.seen.keys().copied().collect();
        let mut left = BTreeMap::new();
        for port in ports {
            let frames = self.left_by(port);
            *self.seen.get_mut(&port).unwrap() += frames.len();
            left.insert(port, frames);
        }
        left
    }

    pub(crate) fn connections(&mut self) -> BTreeSet<String> {
        let all = self.switch.appctl("dpctl/dump-conntrack", &[]);
        all.lines()
            .map(|line| line.split(",protoinfo").next().unwrap().to_owned())
            .collect()
    }
}
