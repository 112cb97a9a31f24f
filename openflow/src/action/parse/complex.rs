//! Reading the actions that have a syntax of their own.

use std::net::IpAddr;

use super::fields::split_arrow;
use super::{Outer, Parser, Result, inconsistent};
use crate::action::check;
use crate::action::{
    Action, Bundle, BundleAlgorithm, Controller, Ct, Encap, EncapProperty, HashFields, Multipath,
    MultipathAlgorithm, Nat, NatFlags, REASONS, Sample, SampleDirection,
};
use crate::error::{ParseError, parse_error};
use crate::field::Prerequisite;
use crate::text::scan::{self, KeyValues};
use crate::types::PortNo;

impl Parser {
    pub(in crate::action) fn controller(&self, arg: &str) -> Result<Action> {
        let mut c = Controller::default();
        let mut output = true;
        if arg.bytes().all(|b| b.is_ascii_digit()) {
            if !arg.is_empty() {
                c.max_len = scan::u16(arg, "max_len")?;
            }
        } else {
            for (key, value) in KeyValues(arg) {
                match key {
                    "reason" => {
                        let found = REASONS.iter().position(|r| r.eq_ignore_ascii_case(value));
                        let found = found.and_then(|i| u8::try_from(i).ok());
                        c.reason =
                            found.ok_or_else(|| parse_error!("unknown reason \"{value}\""))?;
                    }
                    "max_len" => c.max_len = scan::u16(value, "max_len")?,
                    "id" => c.id = scan::u16(value, "id")?,
                    "userdata" => {
                        output = false;
                        c.userdata = match scan::hex_bytes(value) {
                            (bytes, "") => bytes,
                            _ => {
                                return Err(ParseError::new(
                                    "bad hex digit in `controller' action `userdata'",
                                ));
                            }
                        };
                    }
                    "pause" => c.pause = true,
                    "meter_id" => c.meter_id = Some(scan::u32(value)?).filter(|m| *m != 0),
                    _ => {
                        return Err(parse_error!(
                            "unknown key \"{key}\" parsing controller action"
                        ));
                    }
                }
            }
        }
        if output && c.reason == 1 && c.id == 0 && !c.pause && c.meter_id.is_none() {
            return Ok(Action::Output {
                port: PortNo::CONTROLLER,
                max_len: c.max_len,
            });
        }
        Ok(Action::Controller(Box::new(c)))
    }

    pub(in crate::action) fn dec_ttl(&self, key: &str, arg: &str) -> Result<Action> {
        self.needs(Prerequisite::Ip, key)?;
        if arg.is_empty() {
            return Ok(Action::DecTtl);
        }
        let ids: Vec<u16> = arg
            .split([',', ' '])
            .filter(|s| !s.is_empty())
            .map(scan::atoi16)
            .collect();
        if ids.is_empty() {
            return Err(ParseError::new(
                "dec_ttl_cnt_ids: expected at least one controller id.",
            ));
        }
        Ok(Action::DecTtlCntIds(ids))
    }

    pub(in crate::action) fn fin_timeout(&self, word: &str, arg: &str) -> Result<Action> {
        self.allow(word, |f| f.nw_proto == 6)?;
        let (mut idle, mut hard) = (0, 0);
        for (key, value) in KeyValues(arg) {
            match key {
                "idle_timeout" => idle = scan::u16(value, key)?,
                "hard_timeout" => hard = scan::u16(value, key)?,
                _ => {
                    return Err(parse_error!(
                        "invalid key '{key}' in 'fin_timeout' argument"
                    ));
                }
            }
        }
        Ok(Action::FinTimeout { idle, hard })
    }

    /// `ID , CLAUSE / N`, with spaces where one likes.
    pub(in crate::action) fn conjunction(&self, arg: &str) -> Result<Action> {
        let syntax = || ParseError::new("\"conjunction\" syntax is \"conjunction(id,i/n)\"");
        let (id, rest) = scan::scan_int(arg, 0).ok_or_else(syntax)?;
        let (clause, n) = rest
            .trim_start()
            .strip_prefix(',')
            .and_then(|r| r.split_once('/'))
            .ok_or_else(syntax)?;
        let number = |s: &str| s.trim().parse::<u8>().map_err(|_| syntax());
        let (clause, n_clauses) = (number(clause)?, number(n)?);
        let problem = match () {
            () if n_clauses < 2 => "conjunction must have at least 2 clauses",
            () if n_clauses > 64 => "conjunction must have at most 64 clauses",
            () if clause < 1 => "clause index must be positive",
            () if clause > n_clauses => {
                "clause index must be less than or equal to number of clauses"
            }
            () => {
                let id = u32::try_from(id & 0xffff_ffff).unwrap_or(0);
                return Ok(Action::Conjunction {
                    id,
                    clause: clause - 1,
                    n_clauses,
                });
            }
        };
        Err(ParseError::new(problem))
    }

    pub(in crate::action) fn sample(&self, arg: &str) -> Result<Action> {
        let mut s = Sample {
            probability: 0,
            collector_set_id: 0,
            obs_domain_id: 0,
            obs_point_id: 0,
            sampling_port: PortNo::ANY,
            direction: SampleDirection::Default,
            form: 1,
        };
        for (key, value) in KeyValues(arg) {
            match key {
                "probability" => {
                    s.probability = scan::u16(value, key)?;
                    if s.probability == 0 {
                        return Err(parse_error!("invalid probability value \"{value}\""));
                    }
                }
                "collector_set_id" => s.collector_set_id = scan::u32(value)?,
                "obs_domain_id" => s.obs_domain_id = scan::u32(value)?,
                "obs_point_id" => s.obs_point_id = scan::u32(value)?,
                "sampling_port" => {
                    s.sampling_port =
                        scan::port(value).ok_or_else(|| parse_error!("{value}: unknown port"))?;
                }
                "ingress" => s.direction = SampleDirection::Ingress,
                "egress" => s.direction = SampleDirection::Egress,
                _ => return Err(parse_error!("invalid key \"{key}\" in \"sample\" argument")),
            }
        }
        if s.probability == 0 {
            return Err(ParseError::new(
                "non-zero \"probability\" must be specified on sample",
            ));
        }
        Ok(Action::Sample(Box::new(s)))
    }

    pub(in crate::action) fn check_pkt_larger(&self, arg: &str) -> Result<Action> {
        let (len, dst) = split_arrow(arg)?;
        let dst = scan::subfield(dst)?;
        if dst.n_bits != 1 {
            return Err(ParseError::new("Only 1-bit destination field is allowed"));
        }
        let len = len.strip_suffix(')').unwrap_or(len);
        Ok(Action::CheckPktLarger {
            dst,
            pkt_len: scan::u16(len, "length")?,
        })
    }
}

fn hash_fields(s: &str, word: &str) -> Result<HashFields> {
    let found = HashFields::ALL
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(word));
    found
        .map(|(f, _)| *f)
        .ok_or_else(|| parse_error!("{s}: unknown fields `{word}'"))
}

impl Parser {
    pub(in crate::action) fn multipath(&self, arg: &str) -> Result<Action> {
        let words: Vec<&str> = arg.split([',', ' ']).filter(|w| !w.is_empty()).collect();
        let [fields, basis, algorithm, n_links, algorithm_arg, dst, ..] = words.as_slice() else {
            return Err(parse_error!(
                "{arg}: not enough arguments to multipath action"
            ));
        };
        let found = MultipathAlgorithm::ALL
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(algorithm));
        let (algorithm, _) =
            *found.ok_or_else(|| parse_error!("{arg}: unknown algorithm `{algorithm}'"))?;
        let n_links = scan::atoi(n_links);
        if !(1..=65536).contains(&n_links) {
            return Err(parse_error!(
                "{arg}: n_links {n_links} is not in valid range 1 to 65536"
            ));
        }
        let dst_text = dst;
        let dst = scan::subfield(dst)?;
        if dst.field.nxm_header32().is_none() {
            return Err(parse_error!(
                "{arg}: experimenter OXM field '{dst_text}' not supported"
            ));
        }
        if dst.n_bits < 16 && n_links > 1 << dst.n_bits {
            return Err(parse_error!(
                "{arg}: {}-bit destination field has {} possible values, less than specified n_links {n_links}",
                dst.n_bits,
                1u32 << dst.n_bits
            ));
        }
        Ok(Action::Multipath(Box::new(Multipath {
            fields: hash_fields(arg, fields)?,
            basis: scan::atoi16(basis),
            algorithm,
            n_links,
            arg: scan::atoi(algorithm_arg),
            dst: self.destination(dst)?,
        })))
    }

    pub(in crate::action) fn bundle(&self, arg: &str) -> Result<Action> {
        self.any_bundle(arg, false)
    }

    pub(in crate::action) fn bundle_load(&self, arg: &str) -> Result<Action> {
        self.any_bundle(arg, true)
    }

    fn any_bundle(&self, arg: &str, load: bool) -> Result<Action> {
        let few = || parse_error!("{arg}: not enough arguments to bundle action");
        let mut rest = arg;
        let mut word = |ends: &[char]| {
            let s = rest.trim_start_matches(ends);
            let (word, tail) = s.split_at(s.find(ends).unwrap_or(s.len()));
            rest = tail.get(1..).unwrap_or("");
            if word.is_empty() {
                Err(few())
            } else {
                Ok(word)
            }
        };
        let comma = [',', ' '];
        let (fields, basis, algorithm, member_type) =
            (word(&comma)?, word(&comma)?, word(&comma)?, word(&comma)?);
        let dst = if load { Some(word(&comma)?) } else { None };
        let delimiter = word(&[':', ' '])?;
        if !["members", "slaves"]
            .iter()
            .any(|d| d.eq_ignore_ascii_case(delimiter))
        {
            return Err(parse_error!(
                "{arg}: missing member delimiter, expected `members', got `{delimiter}'"
            ));
        }
        let members = rest
            .split([',', ' ', '[', ']'])
            .filter(|m| !m.is_empty())
            .take(2048)
            .map(|m| {
                let port = scan::port(m).ok_or_else(|| parse_error!("{m}: bad port number"))?;
                if self.facts.is_some()
                    && (port == PortNo::CONTROLLER
                        || port != PortNo::ANY && self.check_port(port).is_err())
                {
                    return Err(inconsistent("OFPBAC_BAD_OUT_PORT"));
                }
                Ok(port)
            });
        let members = members.collect::<Result<_>>()?;
        let algorithm = match algorithm.to_ascii_lowercase().as_str() {
            "active_backup" => BundleAlgorithm::ActiveBackup,
            "hrw" => BundleAlgorithm::Hrw,
            _ => return Err(parse_error!("{arg}: unknown algorithm `{algorithm}'")),
        };
        if !member_type.eq_ignore_ascii_case("ofport") {
            return Err(parse_error!("{arg}: unknown member_type `{member_type}'"));
        }
        let dst = match dst {
            None => None,
            Some(text) => {
                let dst = scan::subfield(text)?;
                if dst.field.nxm_header32().is_none() {
                    return Err(parse_error!(
                        "{arg}: experimenter OXM field '{text}' not supported"
                    ));
                }
                Some(self.destination(dst)?)
            }
        };
        let fields = hash_fields(arg, fields)?;
        Ok(Action::Bundle(Box::new(Bundle {
            fields,
            basis: scan::atoi16(basis),
            algorithm,
            members,
            dst,
        })))
    }

    pub(in crate::action) fn ct(&mut self, arg: &str) -> Result<Action> {
        let mut ct = Ct::default();
        for (key, value) in KeyValues(arg) {
            match key {
                "commit" => ct.commit = true,
                "force" => ct.force = true,
                "table" => {
                    let table =
                        scan::table(value).ok_or_else(|| parse_error!("unknown table {value}"))?;
                    if table.0 == 0xff {
                        return Err(ParseError::new("invalid table 0xff"));
                    }
                    ct.table = Some(table);
                }
                "zone" => ct.zone = self.zone(value)?,
                "alg" => {
                    ct.alg = match value {
                        "ftp" => 21,
                        "tftp" => 69,
                        _ => return Err(parse_error!("invalid conntrack helper \"{value}\"")),
                    };
                }
                "nat" => ct.actions.push(Action::Nat(self.nat(value)?)),
                "exec" => {
                    let mut inner = self.clone();
                    ct.actions.extend(inner.actions(value, Outer::Ct)?);
                }
                _ => return Err(parse_error!("invalid argument to \"ct\" action: `{key}'")),
            }
        }
        if ct.force && !ct.commit {
            return Err(ParseError::new("\"force\" flag requires \"commit\" flag."));
        }
        if self.facts.as_ref().is_some_and(|f| !check::ct_fits(&ct, f)) {
            return Err(inconsistent("OFPBAC_MATCH_INCONSISTENT"));
        }
        Ok(Action::Ct(Box::new(ct)))
    }

    pub(in crate::action) fn nat_action(&self, arg: &str) -> Result<Action> {
        self.nat(arg).map(Action::Nat)
    }

    fn nat(&self, arg: &str) -> Result<Nat> {
        let mut nat = Nat::default();
        for (key, value) in KeyValues(arg) {
            let flag = match key {
                "src" => NatFlags::SRC,
                "dst" => NatFlags::DST,
                "persistent" => NatFlags::PERSISTENT,
                "hash" => NatFlags::HASH,
                "random" => NatFlags::RANDOM,
                _ => return Err(parse_error!("invalid key \"{key}\" in \"nat\" argument")),
            };
            nat.flags = nat.flags | flag;
            if matches!(key, "src" | "dst") {
                nat_range(value, &mut nat)?;
            }
        }
        let has = |f| nat.flags.contains(f);
        if has(NatFlags::SRC | NatFlags::DST) {
            return Err(ParseError::new(
                "May only specify one of \"src\" or \"dst\".",
            ));
        }
        if !has(NatFlags::SRC) && !has(NatFlags::DST) && nat.flags.0 != 0 {
            return Err(ParseError::new(
                "Flags allowed only with \"src\" or \"dst\".",
            ));
        }
        if has(NatFlags::HASH | NatFlags::RANDOM) {
            return Err(ParseError::new(
                "Both \"hash\" and \"random\" are not allowed.",
            ));
        }
        if let Some(facts) = &self.facts {
            let fits = match nat.addrs {
                None => facts.is_ip(),
                Some((IpAddr::V4(_), _)) => facts.has(Prerequisite::Ipv4),
                Some((IpAddr::V6(_), _)) => facts.has(Prerequisite::Ipv6),
            };
            if !fits {
                return Err(inconsistent("OFPBAC_MATCH_INCONSISTENT"));
            }
        }
        Ok(nat)
    }

    pub(in crate::action) fn encap(&mut self, arg: &str) -> Result<Action> {
        let (key, value) = KeyValues(arg)
            .next()
            .ok_or_else(|| parse_error!("Missing encap hdr: {arg}"))?;
        let packet_type = match key {
            "ethernet" => 0,
            "nsh" => 0x1894f,
            "mpls" => 0x18847,
            "mpls_mc" => 0x18848,
            _ => return Err(parse_error!("Encap hdr not supported: {value}")),
        };
        let mut properties = Vec::new();
        for (key, value) in KeyValues(value) {
            properties.push(match key {
                "md_type" | "tlv" if packet_type != 0x1894f => {
                    return Err(parse_error!("Invalid property: {key}"));
                }
                _ if value.is_empty() => {
                    return Err(ParseError::new("Value missing for encap property"));
                }
                "md_type" => match scan::u8(value, "md_type")? {
                    md @ 1..=2 => EncapProperty::NshMdType(md),
                    _ => return Err(ParseError::new("invalid md_type")),
                },
                "tlv" => nsh_tlv(value)?,
                _ => return Err(parse_error!("Invalid property: {key}")),
            });
        }
        if let Some(facts) = &mut self.facts {
            check::encap(facts, packet_type);
        }
        Ok(Action::Encap(Box::new(Encap {
            packet_type,
            hdr_size: 0,
            properties,
        })))
    }

    pub(in crate::action) fn decap(&mut self, arg: &str) -> Result<Action> {
        let mut packet_type = 0xfffe;
        if let Some((key, value)) = KeyValues(arg).next() {
            if key != "packet_type" {
                return Err(parse_error!("Invalid decap argument: {key}"));
            }
            let mut parts = KeyValues(value);
            let mut part = |name: &str| match parts.next() {
                Some((key, value)) if key == name => scan::u16(value, name).map(u32::from),
                _ => Err(parse_error!("Missing packet_type attribute {name}")),
            };
            let ns = part("ns")?;
            if ns > 1 {
                return Err(parse_error!("Unsupported ns value: {ns}"));
            }
            packet_type = ns << 16 | part("type")?;
        }
        if let Some(facts) = &mut self.facts {
            check::decap(facts);
        }
        Ok(Action::Decap { packet_type })
    }
}

/// `0xCLASS,TYPE,0xVALUE`.
fn nsh_tlv(value: &str) -> Result<EncapProperty> {
    let bad = || parse_error!("Invalid NSH TLV header: {value}");
    let mut parts = value.splitn(3, ',');
    let hex = |s: Option<&str>| {
        s.and_then(|s| s.strip_prefix("0x").map(str::to_owned))
            .ok_or_else(bad)
    };
    let class = u16::from_str_radix(&hex(parts.next())?, 16).map_err(|_| bad())?;
    let type_ = parts.next().and_then(|s| s.parse().ok()).ok_or_else(bad)?;
    let digits = hex(parts.next())?;
    let end = digits
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(digits.len())
        .min(251);
    let (value, _) = scan::hex_bytes(digits.get(..end).unwrap_or(""));
    if end == 0 {
        Err(bad())
    } else {
        Ok(EncapProperty::NshTlv {
            class,
            type_,
            value,
        })
    }
}

/// `ADDR[-ADDR][:PORT[-PORT]]`, IPv6 addresses in brackets if ports follow.
fn nat_range(s: &str, nat: &mut Nat) -> Result<()> {
    let bad = || parse_error!("invalid nat range \"{s}\"");
    nat.addrs = None;
    nat.ports = None;
    if s.is_empty() {
        return Ok(());
    }
    let Some((min, rest)) = address(s) else {
        // What is spelt with the letters of an address but is none is passed over, as there.
        let rest = after_address(s);
        let at = s.len() - rest.len();
        return match rest {
            "" => Ok(()),
            _ => Err(parse_error!(
                "garbage ({rest}) after nat range \"{s}\" (pos: {at})"
            )),
        };
    };
    let (max, rest) = match rest.strip_prefix('-') {
        None => (None, rest),
        Some(r) => {
            let (max, rest) = address(r).ok_or_else(bad)?;
            if max < min || max.is_ipv4() != min.is_ipv4() {
                return Err(bad());
            }
            (Some(max), rest)
        }
    };
    // Unspecified bounds are not sent.
    let max = max.filter(|m| !m.is_unspecified());
    nat.addrs = Some((min, max));
    let Some(ports) = rest.strip_prefix(':') else {
        return if rest.is_empty() { Ok(()) } else { Err(bad()) };
    };
    let port = |s| match scan::scan_int(s, 10) {
        Some((port, rest)) => Ok(((port & 0xffff) as u16, rest)),
        None => Err(bad()),
    };
    let (min, rest) = port(ports)?;
    let (max, rest) = match rest.strip_prefix('-') {
        Some(rest) => {
            let (max, rest) = port(rest)?;
            (Some(max), rest)
        }
        None => (None, rest),
    };
    if !rest.is_empty() {
        return Err(bad());
    }
    if max.is_some_and(|max| max < min) {
        return Err(bad());
    }
    nat.ports = Some((min, max.filter(|m| *m != 0))).filter(|ports| *ports != (0, None));
    Ok(())
}

/// What follows the letters that may be those of an IPv6 address, in brackets or not.
fn after_address(s: &str) -> &str {
    let letter = |c: char| matches!(c, ':' | '.') || c.is_ascii_hexdigit();
    match s.strip_prefix('[') {
        Some(inner) => inner
            .trim_start_matches(letter)
            .strip_prefix(']')
            .unwrap_or(s),
        None => s.trim_start_matches(letter),
    }
}

/// The address that `s` begins with, and what follows it.
fn address(s: &str) -> Option<(IpAddr, &str)> {
    if let Some(inner) = s.strip_prefix('[') {
        let (ip, rest) = inner.split_once(']')?;
        return Some((IpAddr::V6(ip.parse().ok()?), rest));
    }
    if let Some((ip, rest)) = scan::ipv4_prefix(s) {
        return Some((IpAddr::V4(ip), rest));
    }
    let rest = after_address(s);
    let v6 = s.strip_suffix(rest)?;
    Some((IpAddr::V6(v6.parse().ok()?), rest))
}
