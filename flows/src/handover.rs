//! Under which addresses the host hands over to the switch what it gets at its own.
//!
//! A packet for an address of the node ends up in the host, which translates the address so that it does not. Node
//! ports are the same at all addresses, and [`NODE_PORT`] stands for all of them. What else Services listen at, a
//! load balancer's address or an externalIP that is the node's as well, is the Service of that address alone: each
//! has an address of its own here.
//!
//! Must not know Services, nor how the host translates.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::cookie::fnv1a;

/// The address that stands for all addresses of the node on which node ports are served; one per family.
pub const NODE_PORT: [IpAddr; 2] = [address(false, 2), address(true, 2)];

/// The first and the last number of those that stand for one address of the node. More of its addresses than that
/// would share [`NODE_PORT`].
const FIRST: u8 = 3;
const LAST: u8 = 254;

const fn address(v6: bool, number: u8) -> IpAddr {
    if v6 {
        let [a, b, c] = [0xfd53, 0x4c55, 0x4943];
        IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, number as u16))
    } else {
        IpAddr::V4(Ipv4Addr::new(169, 254, 83, number))
    }
}

/// The address that stands for each of the node's own. It is of the address itself; where two would have the same one,
/// of all of them: so that as few as possible change when others come and go.
pub fn handovers(own: &[IpAddr]) -> BTreeMap<IpAddr, IpAddr> {
    let mut sorted = own.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut taken = [[false; 256]; 2];
    let mut handovers = BTreeMap::new();
    for ip in sorted {
        let v6 = usize::from(ip.is_ipv6());
        let count = u64::from(LAST - FIRST) + 1;
        let wanted = u8::try_from(fnv1a(&ip.to_string()) % count).unwrap_or_default();
        let numbers = (FIRST + wanted..=LAST).chain(FIRST..FIRST + wanted);
        let mut free = numbers.filter(|number| !taken[v6][usize::from(*number)]);
        let to = match free.next() {
            Some(number) => {
                taken[v6][usize::from(number)] = true;
                address(ip.is_ipv6(), number)
            }
            None => NODE_PORT[v6],
        };
        handovers.insert(ip, to);
    }
    handovers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(count: u16) -> Vec<IpAddr> {
        let v4 = |n: u16| IpAddr::from([192, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
        let v6 = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]);
        (0..count).flat_map(|n| [v4(n), v6(n)]).collect()
    }

    #[test]
    fn each_address_has_one_of_its_own() {
        let full = u16::from(LAST - FIRST) + 1;
        for count in [0, 1, 30, full] {
            let handovers = handovers(&own(count));
            let mut used: Vec<IpAddr> = handovers.values().copied().collect();
            used.sort_unstable();
            used.dedup();
            assert_eq!(
                (handovers.len(), used.len()),
                (2 * usize::from(count), 2 * usize::from(count))
            );
            assert!(!used.iter().any(|ip| NODE_PORT.contains(ip)));
            assert!(
                handovers
                    .iter()
                    .all(|(own, to)| own.is_ipv6() == to.is_ipv6())
            );
        }
        let shared = handovers(&own(full + 10));
        let of_all = shared.values().filter(|to| NODE_PORT.contains(to));
        assert_eq!(of_all.count(), 20);
    }

    #[test]
    fn the_order_is_nothing_and_few_change_when_one_comes() {
        let mut all = own(20);
        let before = handovers(&all);
        all.reverse();
        assert_eq!(handovers(&all), before);
        all.push(IpAddr::from([10, 0, 0, 1]));
        let after = handovers(&all);
        let moved = before.iter().filter(|(own, to)| after[*own] != **to);
        assert!(moved.count() <= 1);
    }
}
