//! The canonical form of actions: the one that Open vSwitch echoes in OpenFlow 1.3 dumps.
//!
//! | given | echoed |
//! |---|---|
//! | `set_field` with a partial mask | one `load` for each run of bits, of at most 64 |
//! | the same, on a field without a 32-bit header, or of variable length | `Load2` |
//! | a setter of OpenFlow 1.1 | `set_field` |
//! | `set_tunnel`, `set_tunnel64` | `set_field` of `tun_id` |
//! | `note` | padded with zeros |

use super::{Action, Legacy};
use crate::field::{Field, Subfield};
use crate::types::MacAddr;
use crate::value::Value;

/// `actions` as Open vSwitch echoes them.
///
/// Comparing what was sent with what a switch holds is comparing their canonical forms.
#[must_use]
pub fn canonical(actions: &[Action]) -> Vec<Action> {
    let mut out = Vec::with_capacity(actions.len());
    actions.iter().for_each(|a| push(a, &mut out));
    out
}

fn push(action: &Action, out: &mut Vec<Action>) {
    match action {
        Action::SetField { field, value, mask } => match mask {
            Some(mask) if !mask.is_ones() => out.extend(masked_set(*field, value, mask)),
            _ => out.push(Action::SetField {
                field: *field,
                value: value.clone(),
                mask: None,
            }),
        },
        Action::SetTunnel(id) => out.push(Action::set(Field::TUN_ID, u64::from(*id))),
        Action::SetTunnel64(id) => out.push(Action::set(Field::TUN_ID, *id)),
        Action::Legacy(legacy) => out.push(modern(*legacy)),
        Action::Note(bytes) => {
            let mut bytes = bytes.clone();
            bytes.resize((bytes.len() + 10).next_multiple_of(8) - 10, 0);
            out.push(Action::Note(bytes));
        }
        Action::Ct(ct) => {
            let mut ct = ct.clone();
            ct.actions = canonical(&ct.actions).into();
            out.push(Action::Ct(ct));
        }
        Action::Clone(actions) => out.push(Action::Clone(canonical(actions))),
        other => out.push(other.clone()),
    }
}

/// `set_field` of some bits, as OpenFlow 1.3 can say it.
pub(super) fn masked_set(field: Field, value: &Value, mask: &Value) -> Vec<Action> {
    if field.nxm_header32().is_none() || field.is_variable() {
        if !field.is_variable() {
            return vec![Action::Load2 {
                field,
                value: value.clone(),
                mask: mask.clone(),
            }];
        }
        // Where the length varies, leading zeros are not sent, and a full mask is none.
        let (len, mask) = match mask.is_ones() {
            true => (value.significant_len(), mask.clone()),
            false => {
                let len = value.significant_len().max(mask.significant_len());
                (len, mask.resized(len))
            }
        };
        let value = value.resized(len);
        return vec![Action::Load2 { field, value, mask }];
    }
    let n_bits = u32::from(field.bits());
    let mut out = Vec::new();
    let mut start = mask.scan(true, 0, n_bits);
    while start < n_bits {
        let end = mask.scan(false, start + 1, n_bits.min(start + 64));
        out.push(load_bits(field, value, start, end));
        start = mask.scan(true, end, n_bits);
    }
    out
}

/// `load` of the bits `start..end` of `value`, at most 64.
fn load_bits(field: Field, value: &Value, start: u32, end: u32) -> Action {
    let bits = u64::try_from(value.bits(start, (end - start).min(64))).unwrap_or(u64::MAX);
    // Both are below the width of a field, 992 at most.
    let small = |n: u32| (n & 0xffff) as u16;
    let dst = Subfield {
        field,
        start_bit: small(start),
        n_bits: small(end - start),
    };
    Action::Load { dst, value: bits }
}

fn modern(legacy: Legacy) -> Action {
    let mac = |field, mac: MacAddr| Action::set(field, mac);
    match legacy {
        Legacy::VlanVid(v) => Action::set(Field::VLAN_VID, v | 0x1000),
        Legacy::VlanPcp(v) => Action::set(Field::VLAN_PCP, v),
        Legacy::DlSrc(v) => mac(Field::ETH_SRC, v),
        Legacy::DlDst(v) => mac(Field::ETH_DST, v),
        Legacy::NwSrc(v) => Action::set(Field::IPV4_SRC, v),
        Legacy::NwDst(v) => Action::set(Field::IPV4_DST, v),
        Legacy::NwTos(v) => Action::set(Field::IP_DSCP, v >> 2),
        Legacy::NwEcn(v) => Action::set(Field::IP_ECN, v),
        Legacy::MplsLabel(v) => Action::set(Field::MPLS_LABEL, v),
        Legacy::MplsTc(v) => Action::set(Field::MPLS_TC, v),
        // Which field it is depends on the match.
        Legacy::TpSrc(_) | Legacy::TpDst(_) => Action::Legacy(legacy),
    }
}
