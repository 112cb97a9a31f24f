//! The text of connection tracking flushes and of a port's queues.

use std::fmt::Write as _;

use super::{Printed, Printer, chomp, put};
use crate::message::{CtFlush, QueueGetConfigReply, QueueProperty};
use crate::text::Port;

impl Printer<'_> {
    pub(in crate::message) fn ct_flush(&mut self, flush: &CtFlush) -> Printed {
        put!(self, " zone={} ", flush.zone.unwrap_or(0));
        let tuples = [
            flush.orig.unwrap_or_default(),
            flush.reply.unwrap_or_default(),
        ];
        // The family is that of the last address that was given, IPv6 if none was.
        let addresses = tuples.iter().flat_map(|t| [t.src, t.dst]);
        let v4 = addresses.flatten().last().is_some_and(|a| a.is_ipv4());
        for (i, tuple) in tuples.iter().enumerate() {
            self.out.push_str(if i == 0 { "'" } else { " '" });
            let (src, dst) = if v4 {
                ("ct_nw_src", "ct_nw_dst")
            } else {
                ("ct_ipv6_src", "ct_ipv6_dst")
            };
            let text = |address: Option<std::net::IpAddr>| match address {
                Some(std::net::IpAddr::V4(a)) => a.to_string(),
                Some(std::net::IpAddr::V6(a)) => crate::text::Ipv6(a).to_string(),
                None => "::".to_owned(),
            };
            put!(self, "{src}={},{dst}={}", text(tuple.src), text(tuple.dst));
            // Open vSwitch keeps the identifier where the source port is, type and code where the destination port is.
            let src = tuple.icmp_id.or(tuple.src_port).unwrap_or(0);
            let [high, low] = tuple.dst_port.unwrap_or(0).to_be_bytes();
            let (high, low) = (
                tuple.icmp_code.unwrap_or(high),
                tuple.icmp_type.unwrap_or(low),
            );
            if matches!(flush.ip_proto, 1 | 58) {
                put!(self, ",icmp_id={src},icmp_type={low},icmp_code={high}");
            } else {
                let dst = u16::from_be_bytes([high, low]);
                put!(self, ",ct_tp_src={src},ct_tp_dst={dst}");
            }
            if i == 0 {
                put!(self, ",ct_nw_proto={}", flush.ip_proto);
            }
            self.out.push('\'');
        }
        Ok(())
    }

    pub(in crate::message) fn queues(&mut self, reply: &QueueGetConfigReply) -> Printed {
        self.out.push(' ');
        let mut queues: Vec<_> = reply.queues.iter().collect();
        queues.sort_by_key(|q| q.queue);
        if !queues.is_empty() && reply.port.0 != 0 {
            put!(self, "port={}\n", Port(reply.port, self.names));
        }
        for queue in queues {
            put!(self, "queue {}:", queue.queue.0);
            let (mut min, mut max) = (u16::MAX, u16::MAX);
            for property in &queue.properties {
                match property {
                    QueueProperty::MinRate(rate) => min = *rate,
                    QueueProperty::MaxRate(rate) => max = *rate,
                    QueueProperty::Other { .. } => {}
                }
            }
            for (name, rate) in [("min_rate", min), ("max_rate", max)] {
                match rate {
                    0..=1000 => {
                        put!(self, " {name}:{}.{}%", rate / 10, rate % 10);
                    }
                    u16::MAX => {}
                    _ => {
                        put!(self, " {name}:(disabled)");
                    }
                }
            }
            self.out.push('\n');
        }
        chomp(self.out, ' ');
        Ok(())
    }
}
