//! Sets of ports, and the masked matches that they take.

use crate::model::Protocol;

/// Ports that one match finds: those of the protocol that agree with `port` where the mask has ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PortMatch {
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    /// A prefix; zero for every packet of the protocol.
    pub(crate) mask: u16,
}

/// A set of ports, as runs that neither meet nor overlap, in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PortSet(Box<[(Protocol, u16, u16)]>);

impl PortSet {
    /// The union of these runs; one whose end is before its start is empty.
    pub(crate) fn new(runs: impl IntoIterator<Item = (Protocol, u16, u16)>) -> Self {
        let mut runs: Vec<_> = runs
            .into_iter()
            .filter(|(_, from, to)| from <= to)
            .collect();
        runs.sort_unstable();
        let mut merged: Vec<(Protocol, u16, u16)> = Vec::with_capacity(runs.len());
        for (protocol, from, to) in runs {
            match merged.last_mut() {
                Some((p, _, last)) if *p == protocol && u32::from(from) <= u32::from(*last) + 1 => {
                    *last = to.max(*last);
                }
                _ => merged.push((protocol, from, to)),
            }
        }
        Self(merged.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn runs(&self) -> &[(Protocol, u16, u16)] {
        &self.0
    }

    pub(crate) fn contains(&self, protocol: Protocol, port: u16) -> bool {
        let within =
            |(p, from, to): &(Protocol, u16, u16)| *p == protocol && (*from..=*to).contains(&port);
        self.0.iter().any(within)
    }

    /// As few matches as it takes.
    pub(crate) fn matches(&self) -> Vec<PortMatch> {
        let mut matches = Vec::with_capacity(self.0.len());
        for (protocol, from, to) in &self.0 {
            let (mut from, to) = (u32::from(*from), u32::from(*to));
            while from <= to {
                // The largest aligned block that starts here and does not end behind the run.
                let aligned = from.trailing_zeros().min(16);
                let fits = (to - from + 1).ilog2();
                let size = 1u32 << aligned.min(fits);
                matches.push(PortMatch {
                    protocol: *protocol,
                    port: u16::try_from(from).unwrap_or(u16::MAX),
                    mask: u16::try_from(0x1_0000 - size).unwrap_or(0),
                });
                from += size;
            }
        }
        matches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_merged() {
        let set = PortSet::new([
            (Protocol::Tcp, 81, 90),
            (Protocol::Udp, 80, 80),
            (Protocol::Tcp, 80, 80),
            (Protocol::Tcp, 85, 95),
            (Protocol::Tcp, 97, 96),
        ]);
        assert_eq!(
            set.runs(),
            [(Protocol::Tcp, 80, 95), (Protocol::Udp, 80, 80)]
        );
        assert_eq!(set.matches().len(), 2);
    }

    #[test]
    fn matches_cover_a_run_and_no_more() {
        for (from, to, expected) in [
            (0u16, 65535u16, 1),
            (1, 65535, 16),
            (1, 65534, 30),
            (80, 80, 1),
            (1000, 1999, 7),
            (65535, 65535, 1),
        ] {
            let matches = PortSet::new([(Protocol::Tcp, from, to)]).matches();
            assert_eq!(matches.len(), expected, "{from}-{to}");
            for port in 0..=u16::MAX {
                let found = matches.iter().filter(|m| port & m.mask == m.port).count();
                assert_eq!(found, usize::from((from..=to).contains(&port)), "{port}");
            }
        }
    }
}
