//! The names of ovs-actions(7), each with what it makes of its argument.

use super::{Item, Outer, Parser, Result, complex, inconsistent};
use crate::action::{Action, canonical};
use crate::error::{ParseError, parse_error};
use crate::field::{Field, Prerequisite};
use crate::instruction::Instruction;
use crate::match_::Facts;
use crate::text::scan;
use crate::types::{GroupId, QueueId};
use crate::value::Value;

impl Parser {
    #[allow(
        clippy::too_many_lines,
        reason = "one line for each name of ovs-actions(7)"
    )]
    pub(super) fn word(&mut self, key: &str, arg: &str) -> Result<Item> {
        use Prerequisite as P;
        let set = |field: Field, v: Value| Item::from(Action::set(field, v));
        Ok(match key.to_ascii_lowercase().as_str() {
            "output" | "output_reg" => self.output(arg)?.into(),
            "group" => Action::Group(GroupId(scan::u32(arg)?)).into(),
            "controller" => complex::controller(arg)?.into(),
            "enqueue" => Item::Actions(self.enqueue(arg)?),
            "bundle" => self.bundle(arg, false)?.into(),
            "bundle_load" => self.bundle(arg, true)?.into(),
            "set_field" => Item::Actions(self.set_field(arg)?),
            "load" => Item::Actions(self.load(arg)?),
            "move" => self.move_(arg)?.into(),
            "push" => Action::Push(self.source(scan::subfield(arg)?)?).into(),
            "pop" => Action::Pop(self.destination(scan::subfield(arg)?)?).into(),
            "set_vlan_vid" => Item::Actions(self.vlan_vid(arg, false)?),
            "mod_vlan_vid" => Item::Actions(self.vlan_vid(arg, true)?),
            "set_vlan_pcp" => Item::Actions(self.vlan_pcp(arg, false)?),
            "mod_vlan_pcp" => Item::Actions(self.vlan_pcp(arg, true)?),
            "strip_vlan" | "pop_vlan" => {
                self.allow(key, Facts::has_vlan)?;
                if let Some(facts) = &mut self.facts {
                    let [_, inner] = facts.vlans;
                    facts.vlans = [inner, false];
                }
                Action::PopVlan.into()
            }
            "push_vlan" => {
                let t = scan::u16(arg, "ethertype")?;
                if !matches!(t, 0x8100 | 0x88a8) {
                    return Err(parse_error!("{arg}: not a valid VLAN ethertype"));
                }
                if let Some(facts) = &mut self.facts {
                    let [outer, inner] = facts.vlans;
                    if inner {
                        return Err(inconsistent("OFPBAC_BAD_TAG"));
                    }
                    facts.vlans = [true, outer];
                }
                Action::PushVlan(t).into()
            }
            "mod_dl_src" => set(Field::ETH_SRC, scan::mac_prefix(arg)?.into()),
            "mod_dl_dst" => set(Field::ETH_DST, scan::mac_prefix(arg)?.into()),
            "mod_nw_src" => {
                self.needs(P::Ipv4, key)?;
                set(Field::IPV4_SRC, scan::ipv4(arg)?.into())
            }
            "mod_nw_dst" => {
                self.needs(P::Ipv4, key)?;
                set(Field::IPV4_DST, scan::ipv4(arg)?.into())
            }
            "mod_nw_tos" => {
                self.needs(P::Ip, key)?;
                let tos = scan::u8(arg, "TOS")?;
                if tos & 3 != 0 {
                    return Err(parse_error!("{arg}: not a valid TOS"));
                }
                set(Field::IP_DSCP, (tos >> 2).into())
            }
            "mod_nw_ecn" => {
                self.needs(P::Ip, key)?;
                let ecn = scan::u8(arg, "ECN")?;
                if ecn > 3 {
                    return Err(parse_error!("{arg}: not a valid ECN"));
                }
                set(Field::IP_ECN, ecn.into())
            }
            "mod_nw_ttl" | "set_nw_ttl" => {
                self.needs(P::Ip, key)?;
                Action::SetNwTtl(scan::u8(arg, "TTL")?).into()
            }
            "mod_tp_src" => self
                .tp_port(arg, [Field::TCP_SRC, Field::UDP_SRC, Field::SCTP_SRC], true)?
                .into(),
            "mod_tp_dst" => self
                .tp_port(
                    arg,
                    [Field::TCP_DST, Field::UDP_DST, Field::SCTP_DST],
                    false,
                )?
                .into(),
            "dec_ttl" => {
                self.needs(P::Ip, key)?;
                complex::dec_ttl(arg)?.into()
            }
            "set_mpls_label" => {
                self.needs(P::Mpls, key)?;
                let label = scan::u32(arg)?;
                if label > 0xf_ffff {
                    return Err(parse_error!("{arg}: not a valid MPLS label"));
                }
                set(Field::MPLS_LABEL, label.into())
            }
            "set_mpls_tc" => {
                self.needs(P::Mpls, key)?;
                let tc = scan::u8(arg, "MPLS TC")?;
                if tc > 7 {
                    return Err(parse_error!("{arg}: not a valid MPLS TC"));
                }
                set(Field::MPLS_TC, tc.into())
            }
            "set_mpls_ttl" => {
                self.needs(P::Mpls, key)?;
                Action::SetMplsTtl(scan::u8(arg, "MPLS TTL")?).into()
            }
            "dec_mpls_ttl" => {
                self.needs(P::Mpls, key)?;
                Action::DecMplsTtl.into()
            }
            "push_mpls" => {
                self.needs(P::Ethernet, key)?;
                let t = scan::u16(arg, "push_mpls")?;
                if let Some(facts) = &mut self.facts {
                    facts.dl_type = t;
                    facts.nw_proto = 0;
                }
                Action::PushMpls(t).into()
            }
            "pop_mpls" => {
                self.needs(P::Ethernet, key)?;
                self.needs(P::Mpls, key)?;
                let t = scan::u16(arg, "pop_mpls")?;
                if let Some(facts) = &mut self.facts {
                    facts.dl_type = t;
                }
                Action::PopMpls(t).into()
            }
            "dec_nsh_ttl" => {
                self.allow(key, |f| f.packet_type == 0x1894f || f.dl_type == 0x894f)?;
                Action::DecNshTtl.into()
            }
            "delete_field" => {
                let field =
                    scan::field(arg).ok_or_else(|| parse_error!("unknown field `{arg}'"))?;
                if self.facts.is_some() && !field.is_variable() {
                    return Err(inconsistent("OFPBAC_BAD_ARGUMENT"));
                }
                Action::DeleteField(field).into()
            }
            "encap" => self.encap(arg)?.into(),
            "decap" => self.decap(arg)?.into(),
            "set_tunnel" | "set_tunnel64" => set(Field::TUN_ID, scan::u64(arg)?.into()),
            "set_queue" => Action::SetQueue(QueueId(scan::u32(arg)?)).into(),
            "pop_queue" => Action::PopQueue.into(),
            "fin_timeout" => {
                self.allow(key, |f| f.nw_proto == 6)?;
                complex::fin_timeout(arg)?.into()
            }
            "resubmit" => self.resubmit(arg)?.into(),
            "learn" => self.learn(arg)?.into(),
            "conjunction" => complex::conjunction(arg)?.into(),
            "multipath" => self.multipath(arg)?.into(),
            "note" => match scan::hex_bytes(arg) {
                (bytes, "") => canonical(&[Action::Note(bytes)])
                    .into_iter()
                    .next()
                    .map_or(Item::Drop, Item::from),
                _ => return Err(ParseError::new("bad hex digit in `note' argument")),
            },
            "exit" => Action::Exit.into(),
            "sample" => complex::sample(arg)?.into(),
            "unroll_xlate" => {
                return Err(ParseError::new(
                    "UNROLL is an internal action that shouldn't be used via OpenFlow",
                ));
            }
            "ct" => self.ct(arg)?.into(),
            "ct_clear" => Action::CtClear.into(),
            "nat" => Action::Nat(self.nat(arg)?).into(),
            "output_trunc" => return Err(parse_error!("unknown action {arg}")),
            "clone" => {
                let mut inner = self.clone();
                Action::Clone(inner.actions(arg, Outer::Clone)?).into()
            }
            "check_pkt_larger" => complex::check_pkt_larger(arg)?.into(),
            "debug_recirc" => Action::DebugRecirc.into(),
            "debug_slow" => Action::DebugSlow.into(),
            "meter" => {
                let meter = scan::u32(arg)?;
                if self.facts.is_some() && !(1..=0xffff_0000).contains(&meter) {
                    return Err(inconsistent("OFPMMFC_INVALID_METER"));
                }
                Item::Instruction(Instruction::Meter(meter))
            }
            "clear_actions" => Item::Instruction(Instruction::ClearActions),
            "write_actions" => {
                let mut inner = Parser {
                    lenient: true,
                    ..self.clone()
                };
                Item::Instruction(Instruction::WriteActions(
                    inner.actions(arg, Outer::WriteActions)?,
                ))
            }
            "write_metadata" => {
                let (metadata, mask) = match arg.split_once('/') {
                    Some((metadata, mask)) => (scan::u64(metadata)?, scan::u64(mask)?),
                    None => (scan::u64(arg)?, u64::MAX),
                };
                Item::Instruction(Instruction::WriteMetadata { metadata, mask })
            }
            "goto_table" => {
                let table =
                    scan::table(arg).ok_or_else(|| parse_error!("unknown table \"{arg}\""))?;
                if self.table.is_some_and(|t| t.0 != 0xff && table <= t) {
                    return Err(inconsistent("OFPBIC_BAD_TABLE_ID"));
                }
                Item::Instruction(Instruction::GotoTable(table))
            }
            "drop" => Item::Drop,
            "apply_actions" => {
                return Err(ParseError::new("apply_actions is the default instruction"));
            }
            _ => {
                let port = scan::port(key).ok_or_else(|| parse_error!("unknown action {key}"))?;
                self.check_port(port)?;
                Action::Output { port, max_len: 0 }.into()
            }
        })
    }
}
