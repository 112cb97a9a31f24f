//! Counters of the IPFIX exporters (Nicira extension to multipart).

use crate::error::{DecodeError, EncodeError};
use crate::wire::{Reader, Writer};

/// `nx_ipfix_stats_reply`. A counter the switch does not keep is `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpfixStats {
    /// Flow records sent.
    pub total_flows: u64,
    /// Flow records in the cache.
    pub current_flows: u64,
    /// Packets sampled.
    pub pkts: u64,
    /// IPv4 packets among them.
    pub ipv4_pkts: u64,
    /// IPv6 packets among them.
    pub ipv6_pkts: u64,
    /// Packets that could not be sampled.
    pub error_pkts: u64,
    /// IPv4 packets among them.
    pub ipv4_error_pkts: u64,
    /// IPv6 packets among them.
    pub ipv6_error_pkts: u64,
    /// IPFIX packets sent.
    pub tx_pkts: u64,
    /// IPFIX packets that could not be sent.
    pub tx_errors: u64,
    /// The collector set, for flow exporters.
    pub collector_set_id: u32,
}

/// The same, of one collector set.
pub type IpfixFlowStats = IpfixStats;

impl IpfixStats {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stats = IpfixStats {
            total_flows: r.u64()?,
            current_flows: r.u64()?,
            pkts: r.u64()?,
            ipv4_pkts: r.u64()?,
            ipv6_pkts: r.u64()?,
            error_pkts: r.u64()?,
            ipv4_error_pkts: r.u64()?,
            ipv6_error_pkts: r.u64()?,
            tx_pkts: r.u64()?,
            tx_errors: r.u64()?,
            collector_set_id: r.u32()?,
        };
        r.skip(4)?;
        Ok(stats)
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        for counter in [
            self.total_flows,
            self.current_flows,
            self.pkts,
            self.ipv4_pkts,
            self.ipv6_pkts,
            self.error_pkts,
            self.ipv4_error_pkts,
            self.ipv6_error_pkts,
            self.tx_pkts,
            self.tx_errors,
        ] {
            w.u64(counter);
        }
        w.u32(self.collector_set_id);
        w.zeros(4);
        Ok(())
    }
}
