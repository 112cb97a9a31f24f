//! Random groups and meters in text, compared with what the installed `ovs-ofctl` sends for them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "flows/oracle.rs"]
#[allow(dead_code)]
mod oracle;
mod support {
    pub mod generate;
}

use openflow::message::{BandKind, MeterBand, MeterFlags, MeterId, MeterMod};
use openflow::{GroupCommand, GroupMod, GroupType, Message};
use support::generate::{Rng, group_mod, meter};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// What `ovs-ofctl` sends beside what we would.
#[derive(Default)]
struct Compared {
    valid: u32,
    differences: Vec<String>,
}

impl Compared {
    fn compare(
        &mut self,
        text: &str,
        theirs: Result<Vec<u8>, String>,
        ours: Result<Vec<u8>, String>,
    ) {
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) => {
                self.valid += 1;
                if theirs[8..] != ours[8..] {
                    let (theirs, ours) = (hex(&theirs), hex(&ours));
                    self.differences
                        .push(format!("{text}\n  {theirs}\n  {ours}"));
                }
            }
            (Err(_), Err(_)) => {}
            (theirs, ours) => self
                .differences
                .push(format!("{text}\n  {theirs:?}\n  {ours:?}")),
        }
    }

    /// No differences, and enough to say so.
    fn assert(&self, least: u32) {
        assert!(
            self.differences.is_empty(),
            "{}",
            self.differences.join("\n")
        );
        assert!(self.valid > least, "only {} were valid", self.valid);
    }
}

/// A group that is its own canonical form, as text for `add-group`.
fn group(r: &mut Rng) -> (GroupMod, String) {
    loop {
        let mut group = group_mod(r);
        group.command = GroupCommand::Add;
        for bucket in &mut group.buckets {
            bucket.actions = openflow::action::canonical(&bucket.actions);
        }
        let text = group.to_string();
        let text = text.strip_prefix("ADD ").unwrap().to_owned();
        // Experimenters that nobody knows have no text form; what is loaded in a way of its own has not that one, nor have
        // some actions within a clone; of an odd number of digits ovs-ofctl reads one less than it prints.
        let fits = group.type_ != GroupType::Indirect || group.buckets.len() == 1;
        let shown = format!("{group:?}");
        if fits
            && !["Unknown", "Load2", "Clone", "NshTlv"]
                .iter()
                .any(|a| shown.contains(a))
        {
            return (group, text);
        }
    }
}

#[test]
fn groups_are_sent_as_ovs_ofctl_sends_them() {
    let mut r = Rng::from_env();
    let dir = tempfile::tempdir().unwrap();
    let mut taken = Compared::default();
    for _ in 0..250 {
        let (_, text) = group(&mut r);
        let theirs = oracle::send_one(dir.path(), "add-group", &text);
        let ours = GroupMod::parse(GroupCommand::Add, &text)
            .map_err(|e| e.to_string())
            .map(|group| Message::GroupMod(group).to_bytes(0).unwrap());
        taken.compare(&text, theirs, ours);
    }
    taken.assert(100);
}

fn meter_text(meter: &MeterMod) -> String {
    let config = &meter.config;
    let flags = [
        (MeterFlags::KBPS, "kbps"),
        (MeterFlags::PKTPS, "pktps"),
        (MeterFlags::BURST, "burst"),
        (MeterFlags::STATS, "stats"),
    ];
    let flags = flags.iter().filter(|(bit, _)| config.flags.0 & bit != 0);
    let flags: Vec<_> = flags.map(|(_, name)| *name).collect();
    let band = |band: &MeterBand| {
        let (type_, level) = match band.kind {
            BandKind::Drop => ("drop", String::new()),
            BandKind::DscpRemark { prec_level } => {
                ("dscp_remark", format!(",prec_level={prec_level}"))
            }
            // Which has no text form, and is refused.
            BandKind::Experimenter { .. } => ("experimenter", String::new()),
        };
        let burst = match band.burst_size {
            0 => String::new(),
            burst => format!(",burst_size={burst}"),
        };
        format!("type={type_},rate={}{burst}{level}", band.rate)
    };
    let bands: Vec<_> = config.bands.iter().map(band).collect();
    let (flags, bands) = (flags.join(","), bands.join(","));
    format!("meter={},{flags},bands={bands}", config.meter.0)
}

#[test]
fn meters_are_sent_as_ovs_ofctl_sends_them() {
    let mut r = Rng::from_env();
    let dir = tempfile::tempdir().unwrap();
    let mut taken = Compared::default();
    for _ in 0..250 {
        let mut config = meter(&mut r);
        let burst = config.flags.0 & MeterFlags::BURST != 0;
        if !burst {
            config.bands.iter_mut().for_each(|band| band.burst_size = 0);
        }
        // Of half of them nothing is missing.
        if r.chance(2) {
            config.meter = MeterId(1 + r.below(9) as u32);
            for band in &mut config.bands {
                band.rate |= 1;
                band.burst_size |= u32::from(burst);
                band.kind = match band.kind {
                    BandKind::DscpRemark { prec_level } => BandKind::DscpRemark {
                        prec_level: prec_level | 1,
                    },
                    _ => BandKind::Drop,
                };
            }
        }
        let command = openflow::message::MeterCommand::Add;
        let text = meter_text(&MeterMod { command, config });
        let theirs = oracle::send_one(dir.path(), "add-meter", &text);
        let ours = text
            .parse()
            .map_err(|e: openflow::ParseError| e.to_string());
        let ours = ours.map(|meter| Message::MeterMod(meter).to_bytes(0).unwrap());
        taken.compare(&text, theirs, ours);
    }
    taken.assert(40);
}

#[test]
fn what_is_printed_of_a_group_is_read_back() {
    let mut r = Rng::from_env();
    let mut read = 0;
    for _ in 0..3000 {
        let (group, text) = group(&mut r);
        let Ok(parsed) = GroupMod::parse(GroupCommand::Add, &text) else {
            continue;
        };
        read += 1;
        // What has two spellings on the wire comes back as the usual one.
        assert_eq!(parsed.to_string(), format!("ADD {text}"), "{group:?}");
    }
    assert!(read > 1000, "only {read} could be read");
}

/// What is spelt with the letters of an address but is none: `ovs-ofctl` passes over it.
#[test]
fn addresses_that_are_none_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut taken = Compared::default();
    for range in [
        ":80",
        ":0",
        "80",
        "1.2.3:80",
        "abc",
        "[:80]",
        "[12",
        "[:80]:80",
        "12-10.0.0.1",
        "g",
    ] {
        let text = format!("group_id=1,type=all,bucket=actions=ct(commit,nat(dst={range}))");
        let theirs = oracle::send_one(dir.path(), "add-group", &text);
        let ours = GroupMod::parse(GroupCommand::Add, &text)
            .map_err(|e| e.to_string())
            .map(|group| Message::GroupMod(group).to_bytes(0).unwrap());
        taken.compare(&text, theirs, ours);
    }
    taken.assert(5);
}
