//! The text of actions with one argument or none.

use super::{Outer, Parser, Result, inconsistent};
use crate::action::{Action, canonical};
use crate::error::{ParseError, parse_error};
use crate::field::{Field, Prerequisite as P};
use crate::match_::Facts;
use crate::text::scan;
use crate::types::{GroupId, QueueId};

type Parsed = Result<Action>;

impl Parser {
    pub(in crate::action) fn group(&self, arg: &str) -> Parsed {
        Ok(Action::Group(GroupId(scan::u32(arg)?)))
    }

    pub(in crate::action) fn set_queue(&self, arg: &str) -> Parsed {
        Ok(Action::SetQueue(QueueId(scan::u32(arg)?)))
    }

    pub(in crate::action) fn set_tunnel(&self, arg: &str) -> Parsed {
        Ok(Action::set(Field::TUN_ID, scan::u64(arg)?))
    }

    pub(in crate::action) fn push(&self, arg: &str) -> Parsed {
        Ok(Action::Push(self.source(scan::subfield(arg)?)?))
    }

    pub(in crate::action) fn pop(&self, arg: &str) -> Parsed {
        Ok(Action::Pop(self.destination(scan::subfield(arg)?)?))
    }

    pub(in crate::action) fn note(&self, arg: &str) -> Result<Vec<Action>> {
        match scan::hex_bytes(arg) {
            (bytes, "") => Ok(canonical(&[Action::Note(bytes)])),
            _ => Err(ParseError::new("bad hex digit in `note' argument")),
        }
    }

    pub(in crate::action) fn clone_(&self, arg: &str) -> Parsed {
        let mut inner = self.clone();
        Ok(Action::Clone(inner.actions(arg, Outer::Clone)?))
    }

    pub(in crate::action) fn delete_field(&self, arg: &str) -> Parsed {
        let field = scan::field(arg).ok_or_else(|| parse_error!("unknown field `{arg}'"))?;
        if self.facts.is_some() && !field.is_variable() {
            return Err(inconsistent("OFPBAC_BAD_ARGUMENT"));
        }
        Ok(Action::DeleteField(field))
    }

    pub(in crate::action) fn push_vlan(&mut self, arg: &str) -> Parsed {
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
        Ok(Action::PushVlan(t))
    }

    pub(in crate::action) fn pop_vlan(&mut self, key: &str, _: &str) -> Parsed {
        self.allow(key, Facts::has_vlan)?;
        if let Some(facts) = &mut self.facts {
            let [_, inner] = facts.vlans;
            facts.vlans = [inner, false];
        }
        Ok(Action::PopVlan)
    }

    pub(in crate::action) fn push_mpls(&mut self, key: &str, arg: &str) -> Parsed {
        self.needs(P::Ethernet, key)?;
        let t = scan::u16(arg, "push_mpls")?;
        if let Some(facts) = &mut self.facts {
            facts.dl_type = t;
            facts.nw_proto = 0;
        }
        Ok(Action::PushMpls(t))
    }

    pub(in crate::action) fn pop_mpls(&mut self, key: &str, arg: &str) -> Parsed {
        self.needs(P::Ethernet, key)?;
        self.needs(P::Mpls, key)?;
        let t = scan::u16(arg, "pop_mpls")?;
        if let Some(facts) = &mut self.facts {
            facts.dl_type = t;
        }
        Ok(Action::PopMpls(t))
    }

    pub(in crate::action) fn set_mpls_ttl(&self, key: &str, arg: &str) -> Parsed {
        self.needs(P::Mpls, key)?;
        Ok(Action::SetMplsTtl(scan::u8(arg, "MPLS TTL")?))
    }

    pub(in crate::action) fn dec_mpls_ttl(&self, key: &str, _: &str) -> Parsed {
        self.needs(P::Mpls, key)?;
        Ok(Action::DecMplsTtl)
    }

    pub(in crate::action) fn set_mpls_label(&self, key: &str, arg: &str) -> Parsed {
        self.needs(P::Mpls, key)?;
        match scan::u32(arg)? {
            label if label <= 0xf_ffff => Ok(Action::set(Field::MPLS_LABEL, label)),
            _ => Err(parse_error!("{arg}: not a valid MPLS label")),
        }
    }

    pub(in crate::action) fn set_mpls_tc(&self, key: &str, arg: &str) -> Parsed {
        self.needs(P::Mpls, key)?;
        match scan::u8(arg, "MPLS TC")? {
            tc if tc <= 7 => Ok(Action::set(Field::MPLS_TC, tc)),
            _ => Err(parse_error!("{arg}: not a valid MPLS TC")),
        }
    }

    pub(in crate::action) fn set_nw_ttl(&self, key: &str, arg: &str) -> Parsed {
        self.needs(P::Ip, key)?;
        Ok(Action::SetNwTtl(scan::u8(arg, "TTL")?))
    }

    pub(in crate::action) fn dec_nsh_ttl(&self, key: &str, _: &str) -> Parsed {
        self.allow(key, |f| f.packet_type == 0x1894f || f.dl_type == 0x894f)?;
        Ok(Action::DecNshTtl)
    }

    pub(in crate::action) fn mod_dl_src(&self, arg: &str) -> Parsed {
        Ok(Action::set(Field::ETH_SRC, scan::mac_prefix(arg)?))
    }

    pub(in crate::action) fn mod_dl_dst(&self, arg: &str) -> Parsed {
        Ok(Action::set(Field::ETH_DST, scan::mac_prefix(arg)?))
    }

    pub(in crate::action) fn mod_nw_src(&self, key: &str, arg: &str) -> Parsed {
        self.needs(P::Ipv4, key)?;
        Ok(Action::set(Field::IPV4_SRC, scan::ipv4(arg)?))
    }

    pub(in crate::action) fn mod_nw_dst(&self, key: &str, arg: &str) -> Parsed {
        self.needs(P::Ipv4, key)?;
        Ok(Action::set(Field::IPV4_DST, scan::ipv4(arg)?))
    }

    pub(in crate::action) fn mod_nw_tos(&self, key: &str, arg: &str) -> Parsed {
        self.needs(P::Ip, key)?;
        match scan::u8(arg, "TOS")? {
            tos if tos & 3 == 0 => Ok(Action::set(Field::IP_DSCP, tos >> 2)),
            _ => Err(parse_error!("{arg}: not a valid TOS")),
        }
    }

    pub(in crate::action) fn mod_nw_ecn(&self, key: &str, arg: &str) -> Parsed {
        self.needs(P::Ip, key)?;
        match scan::u8(arg, "ECN")? {
            ecn if ecn <= 3 => Ok(Action::set(Field::IP_ECN, ecn)),
            _ => Err(parse_error!("{arg}: not a valid ECN")),
        }
    }
}
