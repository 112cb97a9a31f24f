//! Table Dnat: to the endpoint at an index. One flow per endpoint of a Service, and for an index without one as many as
//! it is shared out to.
//!
//! Every packet to a Service comes here, and what it meets is the endpoint for a new connection: one that exists keeps
//! its own.

use std::net::IpAddr;

use openflow::action::{Learn, LearnSource, LearnSpec, LearnTarget};
use openflow::{Action, Field, FlowStats, Instruction, Subfield, Value};

use crate::cookie::Cookie;
use crate::fragment::{Fragment, MatchExt, Steps, any, drop_for};
use crate::model::{Backend, ServicePort};
use crate::pipeline::{BEFORE_ROUTE, INDEX, Mark, PICK, SERVICE_ID, SERVICE_ID_HALVES, Table};
use crate::reason::DropReason;
use crate::service::{LEARNED, SHORT, Slot};

const HOLE: u16 = 300;
const ENDPOINT: u16 = 200;
const ELSE: u16 = 0;

/// The bits of [`PICK`] that hold those of the source port.
const PICK_BITS: u32 = 0xff;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(
        Table::Dnat,
        ELSE,
        any(),
        drop_for(DropReason::NoServicePort),
    );
}

/// `number` is that of the Service's set of endpoints, and `index` that of the endpoint.
pub(crate) fn endpoint(
    port: &ServicePort,
    number: u64,
    slot: Slot,
    backend: &Backend,
    index: u16,
    f: &mut Fragment,
) {
    let at = any()
        .family(port.v6)
        .eq(SERVICE_ID, number)
        .eq(INDEX, u32::from(slot.index));
    let at = match slot.bits {
        None => at,
        Some(bits) => at.masked(PICK, u32::from(bits), PICK_BITS),
    };
    let mut steps = Steps::new().mark(&[Mark::Dnated]);
    if let Some(seconds) = port.affinity {
        steps = steps.learn(learn(port, backend, index, seconds));
    }
    f.flow(
        Table::Dnat,
        if slot.hole { HOLE } else { ENDPOINT },
        at,
        steps.translate_to(backend.ip, backend.port, BEFORE_ROUTE),
    );
}

/// The client keeps this endpoint. Only new connections come here if the Service wants that, so that the flow is idle
/// while there is none.
fn learn(port: &ServicePort, backend: &Backend, index: u16, seconds: u32) -> Learn {
    let same = |field: Field| LearnSpec {
        n_bits: field.bits(),
        src: LearnSource::Field(Subfield::all(field)),
        dst: LearnTarget::Match(Subfield::all(field)),
    };
    let (eth_type, client) = if port.v6 {
        (0x86ddu16, Field::IPV6_SRC)
    } else {
        (0x0800, Field::IPV4_SRC)
    };
    let family = LearnSpec {
        n_bits: 16,
        src: LearnSource::Value(Value::from(eth_type)),
        dst: LearnTarget::Match(Subfield::all(Field::ETH_TYPE)),
    };
    let remember = LearnSpec {
        n_bits: 32,
        src: LearnSource::Value(Value::from(u32::from(index))),
        dst: LearnTarget::Load(Subfield::all(INDEX)),
    };
    let [high, low] = SERVICE_ID_HALVES;
    let idle_timeout = u16::try_from(seconds).unwrap_or(SHORT);
    Learn {
        idle_timeout,
        priority: LEARNED,
        cookie: Cookie::affinity(&port.id, backend).to_u64(),
        table: Table::Affinity.id(),
        send_flow_rem: seconds > u32::from(SHORT),
        specs: vec![family, same(high), same(low), same(client), remember],
        ..Learn::default()
    }
}

/// What a flow of this table in a switch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) number: u64,
    pub(crate) index: u16,
    pub(crate) hole: bool,
    pub(crate) backend: Backend,
}

/// Reads a flow of this table, by whichever version of this program it was made.
pub(crate) fn read(flow: &FlowStats) -> Option<Read> {
    let exact = |field: Field| {
        let (value, mask) = flow.match_.get(field)?;
        mask.is_ones().then(|| value.to_u64())
    };
    let [high, low] = SERVICE_ID_HALVES;
    let hole = match flow.priority {
        HOLE => true,
        ENDPOINT => false,
        _ => return None,
    };
    Some(Read {
        number: exact(high)? << 32 | exact(low)?,
        index: u16::try_from(exact(INDEX)?).ok()?,
        hole,
        backend: flow.instructions.iter().find_map(translation)?,
    })
}

fn translation(instruction: &Instruction) -> Option<Backend> {
    let Instruction::ApplyActions(actions) = instruction else {
        return None;
    };
    let ct = actions.iter().find_map(|action| match action {
        Action::Ct(ct) => Some(ct),
        _ => None,
    })?;
    let nat = ct.actions.iter().find_map(|action| match action {
        Action::Nat(nat) => Some(nat),
        _ => None,
    })?;
    let (ip, None): (IpAddr, _) = nat.addrs? else {
        return None;
    };
    let (port, None) = nat.ports? else {
        return None;
    };
    Some(Backend { ip, port })
}
