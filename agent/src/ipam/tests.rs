use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;

use super::*;

fn cidr(text: &str) -> IpNet {
    text.parse().expect("a CIDR")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn one_of_each_family_v4_first() {
    let mut ipam = Ipam::new(&[cidr("fd00:1::/64"), cidr("10.1.2.0/24")], []);
    assert_eq!(ipam.allocate(), Ok(vec![ip("10.1.2.2"), ip("fd00:1::2")]));
    assert_eq!(ipam.allocate(), Ok(vec![ip("10.1.2.3"), ip("fd00:1::3")]));
}

#[test]
fn the_gateway_is_the_first_address() {
    assert_eq!(gateway_address(cidr("10.1.2.0/24")), Some(ip("10.1.2.1")));
    assert_eq!(gateway_address(cidr("fd00:1::/64")), Some(ip("fd00:1::1")));
    assert_eq!(gateway_address(cidr("10.1.2.3/32")), None);
}

#[test]
fn exhaustion_names_the_cidr_and_takes_nothing() {
    let mut ipam = Ipam::new(&[cidr("10.1.2.0/29"), cidr("fd00:1::/64")], []);
    for _ in 0..5 {
        ipam.allocate().expect("a free address");
    }
    let error = ipam.allocate().expect_err("the /29 holds five pods");
    assert_eq!(
        error.to_string(),
        "no free address in 10.1.2.0/29: all 5 are in use"
    );
    assert_eq!(ipam.check(), Err(error));
    let used: Vec<usize> = ipam.usage().iter().map(|usage| usage.used).collect();
    assert_eq!(used, [5, 5]);
    ipam.release(&[ip("10.1.2.4")]);
    assert_eq!(ipam.allocate(), Ok(vec![ip("10.1.2.4"), ip("fd00:1::7")]));
}

#[test]
fn tiny_cidrs_hold_no_pod() {
    for text in [
        "10.0.0.0/32",
        "10.0.0.0/31",
        "10.0.0.0/30",
        "fd00::/128",
        "fd00::/127",
    ] {
        let mut ipam = Ipam::new(&[cidr(text)], []);
        let pods = std::iter::from_fn(|| ipam.allocate().ok()).count();
        assert_eq!(pods, usize::from(text.ends_with("/30")), "{text}");
    }
    assert_eq!(Ipam::new(&[], []).allocate(), Err(IpamError::NoCidr));
}

#[test]
fn the_whole_address_space_is_not_too_large() {
    let mut ipam = Ipam::new(&[cidr("::/0"), cidr("0.0.0.0/0")], []);
    assert_eq!(ipam.allocate(), Ok(vec![ip("0.0.0.2"), ip("::2")]));
}

#[test]
fn what_is_taken_at_start_is_not_handed_out_and_the_rest_follows_behind() {
    let mut ipam = Ipam::new(
        &[cidr("10.1.2.0/24")],
        [ip("10.1.2.9"), ip("10.1.2.4"), ip("10.9.9.9")],
    );
    assert_eq!(ipam.allocate(), Ok(vec![ip("10.1.2.10")]));
}

#[test]
fn a_change_of_cidrs_keeps_what_is_in_use() {
    let mut ipam = Ipam::new(&[cidr("10.1.2.0/24")], []);
    assert_eq!(ipam.allocate(), Ok(vec![ip("10.1.2.2")]));
    ipam.set_cidrs(&[cidr("10.1.3.0/24")]);
    assert_eq!(ipam.allocate(), Ok(vec![ip("10.1.3.2")]));
    ipam.set_cidrs(&[cidr("10.1.2.0/24"), cidr("10.1.2.0/24")]);
    assert_eq!(ipam.allocate(), Ok(vec![ip("10.1.2.3")]));
}

#[derive(Clone, Debug)]
enum Step {
    Allocate,
    /// Releases one of the addresses in use, chosen by this number.
    Release(usize),
    /// Forgets everything but the list of addresses in use.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Allocate),
        4 => any::<usize>().prop_map(Step::Release),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 0..200)
}

fn cidrs() -> impl Strategy<Value = Vec<IpNet>> {
    let v4 = (any::<u32>(), 20u8..=30)
        .prop_map(|(bits, len)| IpNet::new(Ipv4Addr::from(bits).into(), len));
    let v6 = (any::<u128>(), 60u8..=126)
        .prop_map(|(bits, len)| IpNet::new(Ipv6Addr::from(bits).into(), len));
    (proptest::option::of(v4), v6).prop_map(|(v4, v6)| {
        v4.into_iter()
            .chain([v6])
            .map(|net| net.expect("a length in range"))
            .collect()
    })
}

proptest! {
    #[test]
    fn no_address_is_handed_out_twice_or_is_not_a_pods(cidrs in cidrs(), steps in steps()) {
        let mut ipam = Ipam::new(&cidrs, []);
        let mut in_use: Vec<Vec<IpAddr>> = Vec::new();
        for step in steps {
            match step {
                Step::Allocate => {
                    let Ok(addresses) = ipam.allocate() else { continue };
                    prop_assert_eq!(addresses.len(), cidrs.len());
                    for address in &addresses {
                        prop_assert!(!in_use.iter().flatten().any(|other| other == address));
                        let cidr = cidrs.iter().find(|cidr| cidr.contains(address));
                        let cidr = cidr.expect("an address of a CIDR").trunc();
                        prop_assert_ne!(*address, cidr.network());
                        prop_assert_ne!(*address, cidr.broadcast());
                        prop_assert_ne!(Some(*address), gateway_address(cidr));
                    }
                    in_use.push(addresses);
                }
                Step::Release(which) if !in_use.is_empty() => {
                    let gone = in_use.remove(which % in_use.len());
                    ipam.release(&gone);
                }
                Step::Release(_) => {}
                Step::Restart => ipam = Ipam::new(&cidrs, in_use.iter().flatten().copied()),
            }
            let used: usize = ipam.usage().iter().map(|usage| usage.used).sum();
            prop_assert_eq!(used, in_use.iter().flatten().count());
        }
    }

    #[test]
    fn every_address_of_a_cidr_can_be_used_and_is_reused_last(len in 24u8..=29, held in 0usize..3) {
        let net = IpNet::new(ip("10.4.0.0"), len).expect("a length in range");
        let mut ipam = Ipam::new(&[net], []);
        let capacity = ipam.usage().first().expect("one pool").capacity;
        prop_assert_eq!(capacity, (1u128 << (32 - len)) - 3);
        // With `held` pods at any time, an address returns only after all others were handed out.
        let mut window = VecDeque::new();
        let mut seen = HashSet::new();
        for _ in 0..capacity {
            let addresses = ipam.allocate().expect("a free address");
            prop_assert!(seen.insert(addresses.clone()));
            window.push_back(addresses);
            if window.len() > held && let Some(gone) = window.pop_front() {
                ipam.release(&gone);
            }
        }
    }
}
