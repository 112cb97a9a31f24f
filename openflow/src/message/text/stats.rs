//! The text of multipart bodies, ports and meters.

use std::fmt::Write as _;

use super::{
    Printed, Printer, alternate_hex, bit_names, c_string, counter, duration, put, removed_reason,
    table_features,
};
use crate::flow::FlowStats;
use crate::group::GroupDesc;
use crate::instruction::verify;
use crate::message::meter::{
    BandKind, MeterBand, MeterCommand, MeterConfig, MeterFlags, MeterId, MeterMod,
};
use crate::message::monitor::{FlowEvent, FlowMonitorRequest, FlowUpdate};
use crate::message::port::{PortDesc, PortMod};
use crate::message::{
    AggregateStats, DescStats, FlowRequest, GroupFeatures, GroupStats, IpfixFlowStats, IpfixStats,
    MeterFeatures, MeterStats, PortStats, QueueStats, TableFeatures, TableStats,
};
use crate::text::{Names, Port, Print, Table};
use crate::types::{GroupId, PortNo, QueueId};

const PORT_CONFIG: [(u32, &str); 4] = [
    (1, "PORT_DOWN"),
    (1 << 2, "NO_RECV"),
    (1 << 5, "NO_FWD"),
    (1 << 6, "NO_PACKET_IN"),
];
const PORT_STATE: [(u32, &str); 3] = [(1, "LINK_DOWN"), (1 << 1, "BLOCKED"), (1 << 2, "LIVE")];
const PORT_FEATURES: [(u32, &str); 16] = [
    (1, "10MB-HD"),
    (1 << 1, "10MB-FD"),
    (1 << 2, "100MB-HD"),
    (1 << 3, "100MB-FD"),
    (1 << 4, "1GB-HD"),
    (1 << 5, "1GB-FD"),
    (1 << 6, "10GB-FD"),
    (1 << 7, "40GB-FD"),
    (1 << 8, "100GB-FD"),
    (1 << 9, "1TB-FD"),
    (1 << 10, "OTHER"),
    (1 << 11, "COPPER"),
    (1 << 12, "FIBER"),
    (1 << 13, "AUTO_NEG"),
    (1 << 14, "AUTO_PAUSE"),
    (1 << 15, "AUTO_PAUSE_ASYM"),
];

fn port_features(out: &mut String, features: u32) {
    bit_names(out, features & 0xffff, &PORT_FEATURES, ' ');
    out.push('\n');
}

fn port_config(out: &mut String, config: u32) {
    bit_names(out, config, &PORT_CONFIG, ' ');
    out.push('\n');
}

pub(super) fn port_desc(out: &mut String, port: &PortDesc) {
    let name: String = c_string(&port.name)
        .chars()
        .take(15)
        .take_while(|c| matches!(c, ' '..='~'))
        .collect();
    let _ = writeln!(out, " {}({name}): addr:{}", port.port, port.hw_addr);
    out.push_str("     config:     ");
    port_config(out, port.config & 0x65);
    out.push_str("     state:      ");
    bit_names(out, port.state & 0x7, &PORT_STATE, ' ');
    out.push('\n');
    for (name, features) in [
        ("     current:    ", port.current),
        ("     advertised: ", port.advertised),
        ("     supported:  ", port.supported),
        ("     peer:       ", port.peer),
    ] {
        if features & 0xffff != 0 {
            out.push_str(name);
            port_features(out, features);
        }
    }
    let _ = writeln!(
        out,
        "     speed: {} Mbps now, {} Mbps max",
        port.current_speed / 1000,
        port.max_speed / 1000
    );
}

pub(super) fn port_mod(out: &mut String, port: &PortMod, names: &dyn Names) {
    let mask = port.mask & 0x65;
    let _ = writeln!(
        out,
        " port: {}: addr:{}",
        Port(port.port, names),
        port.hw_addr
    );
    out.push_str("     config: ");
    port_config(out, port.config & mask);
    out.push_str("     mask:   ");
    port_config(out, mask);
    out.push_str("     advertise: ");
    if port.advertise & 0xffff == 0 {
        out.push_str("UNCHANGED\n");
    } else {
        port_features(out, port.advertise);
    }
}

fn meter_id(meter: MeterId, separator: char) -> String {
    let name = match meter {
        MeterId::SLOWPATH => "slowpath",
        MeterId::CONTROLLER => "controller",
        MeterId::ALL => "all",
        MeterId(id) if id <= 0xffff_0000 => return format!("meter{separator}{id}"),
        MeterId(_) => "unknown",
    };
    format!("meter{separator}{name}")
}

pub(super) fn meter_mod(out: &mut String, meter: &MeterMod) {
    out.push_str(match meter.command {
        MeterCommand::Add => " ADD ",
        MeterCommand::Modify => " MOD ",
        MeterCommand::Delete => " DEL ",
    });
    if meter.command == MeterCommand::Delete {
        // Open vSwitch ignores flags and bands of what it deletes.
        meter_config(
            out,
            &MeterConfig {
                flags: MeterFlags(0),
                meter: meter.config.meter,
                bands: Vec::new(),
            },
        );
    } else {
        meter_config(out, &meter.config);
    }
}

fn meter_config(out: &mut String, meter: &MeterConfig) {
    out.push_str(&meter_id(meter.meter, '='));
    out.push(' ');
    let flags = meter.flags.0;
    const NAMES: [(u16, &str); 4] = [
        (MeterFlags::KBPS, "kbps "),
        (MeterFlags::PKTPS, "pktps "),
        (MeterFlags::BURST, "burst "),
        (MeterFlags::STATS, "stats "),
    ];
    for (bit, name) in NAMES {
        if flags & bit != 0 {
            out.push_str(name);
        }
    }
    if flags & !0xf != 0 {
        let _ = write!(out, "flags:{:#x} ", flags & !0xf);
    }
    out.push_str("bands=");
    for band in &meter.bands {
        let type_ = match band.kind {
            BandKind::Drop => "drop",
            BandKind::DscpRemark { .. } => "dscp_remark",
            BandKind::Experimenter { .. } => "experimenter",
        };
        let _ = write!(out, "\ntype={type_} rate={}", band.rate);
        if flags & MeterFlags::BURST != 0 {
            let _ = write!(out, " burst_size={}", band.burst_size);
        }
        if let BandKind::DscpRemark { prec_level } = band.kind {
            let _ = write!(out, " prec_level={prec_level}");
        }
    }
    out.push('\n');
}

fn port_stats(out: &mut String, stats: &PortStats, names: &dyn Names) {
    let space = if stats.port.to_u16().is_some_and(|p| p < 10) {
        " "
    } else {
        ""
    };
    let _ = write!(out, "  port {space}{}: rx ", Port(stats.port, names));
    let list = |out: &mut String, counters: &[(&str, u64)]| {
        for (i, (name, value)) in counters.iter().enumerate() {
            let _ = write!(
                out,
                "{}{name}={}",
                if i > 0 { ", " } else { "" },
                counter(*value)
            );
        }
        out.push('\n');
    };
    list(
        out,
        &[
            ("pkts", stats.rx_packets),
            ("bytes", stats.rx_bytes),
            ("drop", stats.rx_dropped),
            ("errs", stats.rx_errors),
            ("frame", stats.rx_frame_err),
            ("over", stats.rx_over_err),
            ("crc", stats.rx_crc_err),
        ],
    );
    out.push_str("           tx ");
    list(
        out,
        &[
            ("pkts", stats.tx_packets),
            ("bytes", stats.tx_bytes),
            ("drop", stats.tx_dropped),
            ("errs", stats.tx_errors),
            ("coll", stats.collisions),
        ],
    );
    if stats.duration_sec != u32::MAX {
        let _ = writeln!(
            out,
            "           duration={}",
            duration(stats.duration_sec, stats.duration_nsec)
        );
    }
}

fn queue_id(queue: QueueId) -> String {
    if queue == QueueId::ALL {
        "ALL".to_owned()
    } else {
        queue.0.to_string()
    }
}

fn group_id(group: GroupId) -> String {
    match group {
        GroupId::ALL => "ALL".to_owned(),
        GroupId::ANY => "ANY".to_owned(),
        GroupId(id) => id.to_string(),
    }
}

fn ipfix(out: &mut String, stats: &IpfixStats, indent: usize) {
    let _ = writeln!(
        out,
        "flows={}, current flows={}, sampled pkts={}, ipv4 ok={}, ipv6 ok={}, tx pkts={}",
        counter(stats.total_flows),
        counter(stats.current_flows),
        counter(stats.pkts),
        counter(stats.ipv4_pkts),
        counter(stats.ipv6_pkts),
        counter(stats.tx_pkts),
    );
    let _ = writeln!(
        out,
        "{:indent$}pkts errs={}, ipv4 errs={}, ipv6 errs={}, tx errs={}",
        "",
        counter(stats.error_pkts),
        counter(stats.ipv4_error_pkts),
        counter(stats.ipv6_error_pkts),
        counter(stats.tx_errors),
    );
}

impl Printer<'_> {
    pub(super) fn multipart_flags(&mut self, flags: u16) {
        if flags != 0 {
            self.out.push_str(" flags=");
            if flags & 1 != 0 {
                self.out.push_str("[more]");
            }
            if flags & !1 != 0 {
                put!(self, "[***unknown flags 0x{:04x}***]", flags & !1);
            }
        }
    }

    pub(in crate::message) fn port_no(&mut self, port: &PortNo) -> Printed {
        put!(self, " port_no={}", Port(*port, self.names));
        Ok(())
    }

    pub(in crate::message) fn queue_no(&mut self, port: &PortNo, queue: &QueueId) -> Printed {
        put!(
            self,
            " port={} queue={}",
            Port(*port, self.names),
            queue_id(*queue)
        );
        Ok(())
    }

    pub(in crate::message) fn group_no(&mut self, group: &GroupId) -> Printed {
        put!(self, " group_id={}", group_id(*group));
        Ok(())
    }

    pub(in crate::message) fn all_groups(&mut self) -> Printed {
        self.out.push_str(" group_id=ALL");
        Ok(())
    }

    pub(in crate::message) fn meter_no(&mut self, meter: &MeterId) -> Printed {
        put!(self, " {}", meter_id(*meter, '='));
        Ok(())
    }

    pub(in crate::message) fn all_ports(&mut self) -> Printed {
        self.out.push_str(" port=ANY");
        Ok(())
    }

    pub(in crate::message) fn table_features(&mut self, tables: &[TableFeatures]) -> Printed {
        table_features::print(self.out, tables)
    }

    pub(in crate::message) fn monitors(&mut self, monitors: &[FlowMonitorRequest]) -> Printed {
        monitors.iter().for_each(|m| self.monitor(m));
        Ok(())
    }

    pub(in crate::message) fn flows(&mut self, flows: &[FlowStats]) -> Printed {
        for flow in flows {
            flow.flags.checked().map_err(|e| e.kind.name())?;
            verify(&flow.instructions).map_err(|e| e.kind.name())?;
            put!(self, "\n {}", flow.with_names(self.names));
        }
        Ok(())
    }

    pub(in crate::message) fn aggregate(&mut self, stats: &AggregateStats) -> Printed {
        put!(
            self,
            " packet_count={} byte_count={}",
            stats.packet_count,
            stats.byte_count
        );
        put!(self, " flow_count={}", stats.flow_count);
        Ok(())
    }

    pub(in crate::message) fn port_stats(&mut self, ports: &[PortStats]) -> Printed {
        put!(self, " {} ports\n", ports.len());
        if self.verbosity > 0 {
            ports
                .iter()
                .for_each(|port| port_stats(self.out, port, self.names));
        }
        Ok(())
    }

    pub(in crate::message) fn queue_stats(&mut self, queues: &[QueueStats]) -> Printed {
        put!(self, " {} queues\n", queues.len());
        if self.verbosity > 0 {
            for stats in queues {
                put!(
                    self,
                    "  port {} queue {}: ",
                    Port(stats.port, self.names),
                    queue_id(stats.queue)
                );
                put!(
                    self,
                    "bytes={}, pkts={}, ",
                    counter(stats.tx_bytes),
                    counter(stats.tx_packets)
                );
                let age = match stats.duration_sec {
                    u32::MAX => "?".to_owned(),
                    seconds => duration(seconds, stats.duration_nsec),
                };
                put!(
                    self,
                    "errors={}, duration={age}\n",
                    counter(stats.tx_errors)
                );
            }
        }
        Ok(())
    }

    pub(in crate::message) fn group_stats(&mut self, groups: &[GroupStats]) -> Printed {
        for group in groups {
            put!(self, "\n group_id={},", group.group.0);
            if group.duration_sec != u32::MAX {
                put!(
                    self,
                    "duration={},",
                    duration(group.duration_sec, group.duration_nsec)
                );
            }
            put!(
                self,
                "ref_count={},packet_count={},",
                group.ref_count,
                group.packet_count
            );
            put!(self, "byte_count={}", group.byte_count);
            for (i, bucket) in group
                .buckets
                .iter()
                .enumerate()
                .filter(|(_, b)| b.packet_count != u64::MAX)
            {
                put!(self, ",bucket{i}:packet_count={},", bucket.packet_count);
                put!(self, "byte_count={}", bucket.byte_count);
            }
        }
        Ok(())
    }

    pub(in crate::message) fn groups(&mut self, groups: &[GroupDesc]) -> Printed {
        for group in groups {
            for bucket in &group.buckets {
                super::verify(&bucket.actions)?;
            }
            put!(self, "\n {}", group.with_names(self.names));
        }
        Ok(())
    }

    pub(in crate::message) fn meter_stats(&mut self, meters: &[MeterStats]) -> Printed {
        for meter in meters {
            put!(
                self,
                "\n{} flow_count:{} ",
                meter_id(meter.meter, ':'),
                meter.flow_count
            );
            put!(
                self,
                "packet_in_count:{} byte_in_count:{} ",
                meter.packet_in_count,
                meter.byte_in_count
            );
            put!(
                self,
                "duration:{} bands:\n",
                duration(meter.duration_sec, meter.duration_nsec)
            );
            for (i, (packets, bytes)) in meter.bands.iter().enumerate() {
                put!(self, "{i}: packet_count:{packets} byte_count:{bytes}\n");
            }
        }
        Ok(())
    }

    pub(in crate::message) fn meters(&mut self, meters: &[MeterConfig]) -> Printed {
        for meter in meters {
            MeterBand::check(&meter.bands).map_err(|error| error.kind.name())?;
            self.out.push('\n');
            meter_config(self.out, meter);
        }
        Ok(())
    }

    pub(in crate::message) fn ports(&mut self, ports: &[PortDesc]) -> Printed {
        self.out.push('\n');
        let mut ports: Vec<_> = ports.iter().collect();
        ports.sort_by_key(|p| p.port.to_u16());
        ports.into_iter().for_each(|port| port_desc(self.out, port));
        Ok(())
    }

    pub(in crate::message) fn flow_updates(&mut self, updates: &[FlowUpdate]) -> Printed {
        for update in updates {
            if let FlowUpdate::Full(full) = update {
                verify(&full.instructions).map_err(|e| e.kind.name())?;
            }
            self.flow_update(update);
        }
        Ok(())
    }

    pub(in crate::message) fn ipfix_bridge(&mut self, stats: &IpfixStats) -> Printed {
        self.out.push_str("\n  bridge ipfix: ");
        ipfix(self.out, stats, 16);
        Ok(())
    }

    pub(in crate::message) fn ipfix_flows(&mut self, all: &[IpfixFlowStats]) -> Printed {
        put!(self, " {} ids\n", all.len());
        for stats in all {
            put!(self, "  id {:3}: ", stats.collector_set_id);
            ipfix(self.out, stats, 10);
        }
        Ok(())
    }

    pub(in crate::message) fn table_stats(&mut self, tables: &[TableStats]) -> Printed {
        table_features::print_stats(self.out, tables);
        Ok(())
    }

    pub(in crate::message) fn flow_request(&mut self, request: &FlowRequest) -> Printed {
        if request.table.0 != 0xff {
            put!(self, " table={}", Table(request.table, self.names));
        }
        if request.out_port != PortNo::ANY {
            put!(self, " out_port={}", Port(request.out_port, self.names));
        }
        self.out.push(' ');
        self.match_text(&request.match_, 0x8000);
        Ok(())
    }

    pub(in crate::message) fn desc(&mut self, desc: &DescStats) -> Printed {
        put!(self, "\nManufacturer: {}\n", c_string(&desc.mfr_desc));
        put!(self, "Hardware: {}\n", c_string(&desc.hw_desc));
        put!(self, "Software: {}\n", c_string(&desc.sw_desc));
        put!(self, "Serial Num: {}\n", c_string(&desc.serial_num));
        put!(self, "DP Description: {}\n", c_string(&desc.dp_desc));
        Ok(())
    }

    pub(in crate::message) fn group_features(&mut self, features: &GroupFeatures) -> Printed {
        put!(
            self,
            "\n Group table:\n    Types:  0x{:x}\n    Capabilities:  0x{:x}\n",
            features.types,
            features.capabilities
        );
        let names = ["all", "select", "indirect", "fast failover"];
        let limits = features.max_groups.iter().zip(&features.actions);
        for (i, (name, (max, actions))) in names.iter().zip(limits).enumerate() {
            if features.types & (1 << i) != 0 {
                put!(
                    self,
                    "    {name} group:\n       max_groups={}\n       actions: ",
                    alternate_hex(*max)
                );
                self.out.push_str(&table_features::action_names(*actions));
                self.out.push('\n');
            }
        }
        Ok(())
    }

    pub(in crate::message) fn meter_features(&mut self, features: &MeterFeatures) -> Printed {
        put!(
            self,
            "\nmax_meter:{} max_bands:{}",
            features.max_meter,
            features.max_bands
        );
        put!(self, " max_color:{}\nband_types: ", features.max_color);
        bit_names(
            self.out,
            features.band_types,
            &[(2, "drop"), (4, "dscp_remark")],
            ' ',
        );
        self.out.push_str("\ncapabilities: ");
        bit_names(
            self.out,
            features.capabilities,
            &[(1, "kbps"), (2, "pktps"), (4, "burst"), (8, "stats")],
            ' ',
        );
        self.out.push('\n');
        Ok(())
    }

    fn monitor(&mut self, monitor: &FlowMonitorRequest) {
        put!(self, "\n id={} flags=", monitor.id);
        const NAMES: [(u32, &str); 6] = [
            (1, "initial"),
            (1 << 1, "add"),
            (1 << 2, "delete"),
            (1 << 3, "modify"),
            (1 << 4, "actions"),
            (1 << 5, "own"),
        ];
        bit_names(self.out, u32::from(monitor.flags.0), &NAMES, ',');
        if monitor.out_port != PortNo::ANY {
            put!(self, " out_port={}", Port(monitor.out_port, self.names));
        }
        if monitor.table.0 != 0xff {
            put!(self, " table={}", Table(monitor.table, self.names));
        }
        self.out.push(' ');
        self.match_text(&monitor.match_, 0x8000);
        super::chomp(self.out, ' ');
    }

    fn flow_update(&mut self, update: &FlowUpdate) {
        let full = match update {
            FlowUpdate::Abbreviated { xid } => {
                put!(self, "\n event=ABBREV xid={xid:#x}");
                return;
            }
            FlowUpdate::Full(full) => full,
        };
        self.out.push_str("\n event=");
        match full.event {
            FlowEvent::Added => self.out.push_str("ADDED"),
            FlowEvent::Deleted => {
                put!(
                    self,
                    "DELETED reason={}",
                    removed_reason(u32::from(full.reason))
                );
            }
            FlowEvent::Modified => self.out.push_str("MODIFIED"),
        }
        put!(self, " table={}", Table(full.table, self.names));
        if full.idle_timeout != 0 {
            put!(self, " idle_timeout={}", full.idle_timeout);
        }
        if full.hard_timeout != 0 {
            put!(self, " hard_timeout={}", full.hard_timeout);
        }
        put!(self, " cookie={} ", alternate_hex(full.cookie));
        self.match_text(&full.match_, 0x8000);
        if !full.instructions.is_empty() {
            if !self.out.ends_with(' ') {
                self.out.push(' ');
            }
            self.out.push_str("actions=");
            struct All<'a>(&'a [crate::instruction::Instruction], &'a dyn Names);
            impl std::fmt::Display for All<'_> {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    crate::instruction::print_all(f, self.1, self.0)
                }
            }
            put!(self, "{}", All(&full.instructions, self.names));
        }
    }
}
