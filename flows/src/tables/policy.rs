//! The tables of policy, the same for both directions: who must be judged (EgressPoliced, IngressPoliced) and, once
//! conntrack has been asked, as which subject (EgressSubject, IngressSubject), of which class an address is
//! (EgressClass, IngressClass), and what the rules allow (EgressPolicy, IngressPolicy).
//!
//! A local pod to which any policy applies is marked in both directions: to know a reply, the connection must have
//! been seen. In the direction in which it is not isolated it is no subject, and the class and policy tables of that
//! direction are passed by.
//!
//! Conntrack cuts a packet's way in two, which the switch remembers apart. When policies change, it goes on for
//! milliseconds by the first half of the old flows and the second half of the new ones. So no number that a change of
//! policies may take away is carried across: all that is, is that the packet must be judged.
//!
//! What no rule allows is dropped; if the packet is of a connection that was allowed once, the connection is marked,
//! and its replies stop too.

use ipnet::IpNet;
use openflow::{Action, Field, Match};

use crate::cookie::{Cookie, PolicyPart};
use crate::fragment::CtState::{Established, Reply, Tracked};
use crate::fragment::{Fragment, MatchExt, Steps, any, drop_for, goto, in_port};
use crate::model::Protocol;
use crate::pipeline::{
    AFTER_POLICY, CLASS_DST, CLASS_SRC, Mark, OUT_PORT, RULE_DST, RULE_SRC, SUBJECT_DST,
    SUBJECT_SRC, Source, Table, ZONE_TRACK, ZONE_WIRE, block,
};
use crate::policy::{Clause, Direction, Key, PortMatch, Value};
use crate::reason::DropReason;

// The tables before conntrack.
const TO_ITSELF: u16 = 200;
const POLICED: u16 = 100;

// The subject tables.
const LATER_FRAGMENT: u16 = 4000;
const NODE: u16 = 2500;
const SUBJECT: u16 = 100;

// The class tables.
/// Plus the length of the prefix.
const PREFIX: u16 = 1000;

// The policy tables. Flows that may match one packet differ in priority, so that it does not depend on luck which
// one counts it; plus the length of the port's mask, where there is one.
const CLASS_AND_PORT: u16 = 600;
const CLASS_ONLY: u16 = 580;
const PORT_ONLY: u16 = 560;
const OPEN: u16 = 550;
/// Plus the number of the bank, at most 255.
const CONJUNCTION: u16 = 100;
const CONJUNCTION_MET: u16 = 50;
const REVOKED_OF_SERVICE: u16 = 12;
const REVOKED: u16 = 11;
const ISOLATED: u16 = 10;
const ELSE: u16 = 0;

/// What differs between the directions.
pub(crate) struct Names {
    policed: Table,
    after_policed: Table,
    mark: Mark,
    pub(crate) subjects: Table,
    pub(crate) classes: Table,
    pub(crate) rules: Table,
    /// After a packet was allowed, or need not be, in this direction.
    after_rules: Table,
    subject: Field,
    class: Field,
    rule: Field,
    pub(crate) reason: DropReason,
}

/// The names of a direction.
pub(crate) const fn names(direction: Direction) -> Names {
    match direction {
        Direction::Egress => Names {
            policed: Table::EgressPoliced,
            after_policed: Table::IngressPoliced,
            mark: Mark::SrcPoliced,
            subjects: Table::EgressSubject,
            classes: Table::EgressClass,
            rules: Table::EgressPolicy,
            after_rules: Table::IngressSubject,
            subject: SUBJECT_SRC,
            class: CLASS_DST,
            rule: RULE_SRC,
            reason: DropReason::EgressIsolation,
        },
        Direction::Ingress => Names {
            policed: Table::IngressPoliced,
            after_policed: Table::ConntrackIn,
            mark: Mark::DstPoliced,
            subjects: Table::IngressSubject,
            classes: Table::IngressClass,
            rules: Table::IngressPolicy,
            after_rules: AFTER_POLICY,
            subject: SUBJECT_DST,
            class: CLASS_SRC,
            rule: RULE_DST,
            reason: DropReason::IngressIsolation,
        },
    }
}

/// What every node has before conntrack, for a direction.
pub(crate) fn policed_base(direction: Direction, f: &mut Fragment) {
    let names = names(direction);
    f.flow(names.policed, ELSE, any(), goto(names.after_policed));
}

/// What every node has in the subject table of a direction.
pub(crate) fn subject_base(direction: Direction, f: &mut Fragment) {
    let names = names(direction);
    if direction == Direction::Egress {
        // They have no ports to judge by, and are of no use without the first one, which is judged.
        for family in [any().ipv4(), any().ipv6()] {
            let later = family.later_fragment().ct_state(&[Tracked], &[]);
            f.flow(names.subjects, LATER_FRAGMENT, later, goto(AFTER_POLICY));
        }
    }
    if direction == Direction::Ingress {
        // The node may reach its own pods.
        let of_node = any().marks_from(Source::Gateway, &[Mark::Own], &[]);
        f.flow(names.subjects, NODE, of_node, goto(AFTER_POLICY));
    }
    f.flow(names.subjects, ELSE, any(), goto(names.after_rules));
}

/// What every node has in the class table of a direction.
pub(crate) fn class_base(direction: Direction, f: &mut Fragment) {
    let names = names(direction);
    f.flow(names.classes, ELSE, any(), goto(names.rules));
}

/// What every node has in the policy table of a direction: a subject without flows is isolated.
pub(crate) fn rules_base(direction: Direction, f: &mut Fragment) {
    let names = names(direction);
    f.flow(names.rules, ELSE, any(), drop_for(names.reason));
}

/// A pod to which policies apply; its subjects for egress and ingress, zero where it is not isolated.
pub(crate) fn pod(ofport: u32, subjects: [u32; 2], f: &mut Fragment) {
    let itself = in_port(ofport).eq(OUT_PORT, ofport);
    f.flow(
        Table::EgressPoliced,
        TO_ITSELF,
        itself,
        goto(Table::ConntrackIn),
    );
    for direction in Direction::ALL {
        let names = names(direction);
        let end = || match direction {
            Direction::Egress => in_port(ofport),
            Direction::Ingress => any().eq(OUT_PORT, ofport),
        };
        let policed = Steps::new().mark(&[names.mark]).goto(names.after_policed);
        f.flow(names.policed, POLICED, end(), policed);
        let subject = subjects[direction.index()];
        if subject != 0 {
            let steps = Steps::new().set(names.subject, subject).goto(names.classes);
            f.flow(names.subjects, SUBJECT, end(), steps);
        }
    }
}

/// The class of a prefix.
pub(crate) fn class(direction: Direction, net: IpNet, class: u32, f: &mut Fragment) {
    let names = names(direction);
    let (match_, part) = match direction {
        Direction::Egress => (any().destination(net), PolicyPart::EgressClass),
        Direction::Ingress => (any().source(net), PolicyPart::IngressClass),
    };
    let priority = PREFIX + u16::from(net.prefix_len());
    let steps = match class {
        0 => goto(names.rules),
        class => Steps::new().set(names.class, class).goto(names.rules),
    };
    f.flow_of(
        Cookie::policy_part(part, class),
        names.classes,
        priority,
        match_,
        steps,
    );
}

/// Which address families flows that look at more than addresses are made for: those of the local pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Families {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
}

/// A flow of a policy table, in both families if it looks at ports.
pub(crate) fn rule(
    direction: Direction,
    families: Families,
    key: &Key,
    value: &Value,
    f: &mut Fragment,
) {
    let names = names(direction);
    let of_rule = |number: u32| Cookie::policy_rule(direction, number);
    let allow = |number: u32| Steps::new().set(names.rule, number).goto(names.after_rules);
    let shared = |part| Cookie::policy_part(part, 0);
    match (key, value) {
        (Key::Isolated(subject), _) => isolated(direction, families, *subject, f),
        (Key::Open(subject), Value::Rule(number)) => {
            let match_ = any().eq(names.subject, *subject);
            f.flow_of(of_rule(*number), names.rules, OPEN, match_, allow(*number));
        }
        (Key::Direct(subject, class, port), Value::Rule(number)) => {
            let mut match_ = any().eq(names.subject, *subject);
            if let Some(class) = class {
                match_ = match_.eq(names.class, *class);
            }
            let base = match (class, port) {
                (Some(_), Some(_)) => CLASS_AND_PORT,
                (Some(_), None) => CLASS_ONLY,
                (None, _) => PORT_ONLY,
            };
            for (match_, length) in in_families(match_, *port, families) {
                let priority = base + length;
                f.flow_of(
                    of_rule(*number),
                    names.rules,
                    priority,
                    match_,
                    allow(*number),
                );
            }
        }
        (Key::Subject(bank, subject), Value::Clauses(clauses)) => {
            let match_ = any().eq(names.subject, *subject);
            let cookie = Cookie::policy_part(subject_part(direction), *subject);
            f.flow_of(
                cookie,
                names.rules,
                in_bank(*bank),
                match_,
                conjunctions(clauses),
            );
        }
        (Key::Class(bank, class), Value::Clauses(clauses)) => {
            let match_ = any().eq(names.class, *class);
            let part = match direction {
                Direction::Egress => PolicyPart::EgressClass,
                Direction::Ingress => PolicyPart::IngressClass,
            };
            let cookie = Cookie::policy_part(part, *class);
            f.flow_of(
                cookie,
                names.rules,
                in_bank(*bank),
                match_,
                conjunctions(clauses),
            );
        }
        (Key::Port(bank, port), Value::Clauses(clauses)) => {
            for (match_, _) in in_families(any(), Some(*port), families) {
                let cookie = shared(PolicyPart::Ports);
                f.flow_of(
                    cookie,
                    names.rules,
                    in_bank(*bank),
                    match_,
                    conjunctions(clauses),
                );
            }
        }
        (Key::Rule(number), _) => {
            let match_ = any().eq(Field::CONJ_ID, *number);
            f.flow_of(
                of_rule(*number),
                names.rules,
                CONJUNCTION_MET,
                match_,
                allow(*number),
            );
        }
        _ => debug_assert!(false, "{key:?} does not do {value:?}"),
    }
}

fn subject_part(direction: Direction) -> PolicyPart {
    match direction {
        Direction::Egress => PolicyPart::EgressSubject,
        Direction::Ingress => PolicyPart::IngressSubject,
    }
}

fn in_bank(bank: u32) -> u16 {
    CONJUNCTION + u16::try_from(bank).unwrap_or(u16::from(u8::MAX))
}

fn conjunctions(clauses: &[Clause]) -> Steps {
    let actions = clauses.iter().map(|clause| Action::Conjunction {
        id: clause.rule,
        clause: clause.clause,
        n_clauses: clause.of,
    });
    Steps::new().actions(actions)
}

/// A match on ports, once for each family, and how many bits of the port it looks at.
fn in_families(
    match_: Match,
    port: Option<PortMatch>,
    families: Families,
) -> impl Iterator<Item = (Match, u16)> {
    let Some(port) = port else {
        return vec![(match_, 0)].into_iter();
    };
    let length = u16::try_from(port.mask.count_ones()).unwrap_or(16);
    let mut matches = Vec::with_capacity(2);
    for (wanted, family) in [(families.v4, any().ipv4()), (families.v6, any().ipv6())] {
        if wanted {
            let field = match port.protocol {
                Protocol::Tcp => Field::TCP_DST,
                Protocol::Udp => Field::UDP_DST,
                Protocol::Sctp => Field::SCTP_DST,
            };
            let mut all = family.protocol(port.protocol);
            for (field, value, mask) in match_.iter() {
                all.set(field, value.clone(), mask.clone());
            }
            if port.mask != 0 {
                all = all.masked(field, port.port, port.mask);
            }
            matches.push((all, length));
        }
    }
    matches.into_iter()
}

/// What no rule allows is dropped, and a connection that was allowed once is marked.
fn isolated(direction: Direction, families: Families, subject: u32, f: &mut Fragment) {
    let names = names(direction);
    let cookie = Cookie::policy_part(subject_part(direction), subject);
    let match_ = any().eq(names.subject, subject);
    // A connection to a Service is another one on the wire. One that keeps its source is known as either; only what
    // comes from outside does.
    type Connections = (&'static [Mark], &'static [Mark], &'static [u16]);
    let to_service: &[Connections] = match direction {
        Direction::Egress => &[(&[Mark::Dnated], &[], &[ZONE_WIRE])],
        Direction::Ingress => &[
            (&[Mark::Dnated], &[Mark::Keep], &[ZONE_WIRE]),
            (&[Mark::Dnated, Mark::Keep], &[], &[ZONE_WIRE, ZONE_TRACK]),
        ],
    };
    let block = |zones: &[u16]| {
        let zones = zones.iter().map(|zone| block(*zone));
        Steps::new().actions(zones).then(drop_for(names.reason))
    };
    for (wanted, family) in [(families.v4, any().ipv4()), (families.v6, any().ipv6())] {
        if wanted {
            let revoked = family
                .eq(names.subject, subject)
                .ct_state(&[Tracked, Established], &[Reply]);
            let mut flow = |priority, match_, steps| {
                f.flow_of(cookie, names.rules, priority, match_, steps);
            };
            for (with, without, zones) in to_service {
                let match_ = revoked.clone().marks(with, without);
                flow(REVOKED_OF_SERVICE, match_, block(zones));
            }
            flow(REVOKED, revoked, block(&[ZONE_TRACK]));
        }
    }
    f.flow_of(
        cookie,
        names.rules,
        ISOLATED,
        match_,
        drop_for(names.reason),
    );
}
