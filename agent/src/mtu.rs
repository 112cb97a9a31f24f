//! How large a pod's packets may be: one function of the underlay's MTU and what the tunnel adds to a packet.
//!
//! Must not know where the underlay's MTU comes from, and sets nothing.

use sluice_flows::model::TunnelKind;

/// The address family that tunnel packets travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4; its header takes 20 bytes.
    V4,
    /// IPv6; its header takes 40 bytes, and no link may have an MTU below 1280 (RFC 8200, section 5).
    V6,
}

/// The smallest MTU over which IPv4 must work (RFC 791: every host takes 576 bytes) and over which we attach pods.
pub const MIN_MTU: u16 = 576;

/// The Ethernet header of the pod's frame, which travels inside the tunnel.
const INNER_ETHERNET: u16 = 14;

/// The bytes that `kind` puts around a pod's IP packet.
///
/// * `vxlan`: UDP 8, VXLAN 8 (RFC 7348, section 5).
/// * `geneve`: UDP 8, base header 8 (RFC 8926, section 3.4); we send no options.
/// * `gre`: base header 4 and key 4 (RFC 2890, section 2): with `key=flow` Open vSwitch always sends a key, and
///   neither checksum nor sequence number unless told to.
/// * `stt`: a header that looks like TCP's, 20, and STT's own 18 with its padding (draft-davie-stt, section 3).
pub fn overhead(kind: TunnelKind, underlay: Family) -> u16 {
    let ip = match underlay {
        Family::V4 => 20,
        Family::V6 => 40,
    };
    let tunnel = match kind {
        TunnelKind::Vxlan => 8 + 8,
        TunnelKind::Geneve => 8 + 8,
        TunnelKind::Gre => 4 + 4,
        TunnelKind::Stt => 20 + 18,
    };
    ip + tunnel + INNER_ETHERNET
}

/// The MTU of pods and of the gateway device, in bytes: what fits through the underlay once wrapped. Without a
/// tunnel it is the underlay's own.
pub fn pod_mtu(underlay_mtu: u16, tunnel: Option<TunnelKind>, underlay: Family) -> u16 {
    let around = tunnel.map_or(0, |kind| overhead(kind, underlay));
    underlay_mtu.saturating_sub(around).max(MIN_MTU)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Family::{V4, V6};
    use TunnelKind::{Geneve, Gre, Stt, Vxlan};

    #[test]
    fn what_a_tunnel_adds() {
        for (kind, underlay, expected) in [
            (Vxlan, V4, 50),
            (Vxlan, V6, 70),
            (Geneve, V4, 50),
            (Geneve, V6, 70),
            (Gre, V4, 42),
            (Gre, V6, 62),
            (Stt, V4, 72),
            (Stt, V6, 92),
        ] {
            assert_eq!(
                overhead(kind, underlay),
                expected,
                "{kind} over {underlay:?}"
            );
        }
    }

    #[test]
    fn what_is_left_for_pods() {
        for (underlay_mtu, tunnel, family, expected) in [
            (1500, None, V4, 1500),
            (1500, Some(Vxlan), V4, 1450),
            (1500, Some(Vxlan), V6, 1430),
            (1500, Some(Geneve), V4, 1450),
            (1500, Some(Gre), V4, 1458),
            (1500, Some(Stt), V4, 1428),
            (1460, Some(Vxlan), V4, 1410),
            (9000, Some(Geneve), V6, 8930),
            (u16::MAX, Some(Vxlan), V4, 65_485),
            (576, Some(Vxlan), V4, MIN_MTU),
            (0, Some(Stt), V6, MIN_MTU),
        ] {
            assert_eq!(
                pod_mtu(underlay_mtu, tunnel, family),
                expected,
                "{underlay_mtu} {tunnel:?} {family:?}"
            );
        }
    }
}
