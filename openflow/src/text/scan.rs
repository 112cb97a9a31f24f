//! Reading the pieces of the text form: numbers, ports, addresses, `key=value` lists.
//!
//! Numbers are read as the C library reads them for `ovs-ofctl`, quirks included, since the bytes
//! to be sent depend on it.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{ParseError, parse_error};
use crate::field::{Field, Subfield};
use crate::types::{MacAddr, PortNo, TableId};
use crate::value::Value;

type Result<T> = std::result::Result<T, ParseError>;

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits a list of `key`, `key=value`, `key:value` and `key(value)`, between commas or spaces.
///
/// A value goes to the next comma or space, or to its closing parenthesis; parentheses within it
/// are kept whole. Both are slices of the text.
#[derive(Clone, Debug)]
pub(crate) struct KeyValues<'a>(pub(crate) &'a str);

impl<'a> Iterator for KeyValues<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let s = self.0.trim_start_matches([',', ' ', '\t', '\r', '\n']);
        if s.is_empty() {
            self.0 = "";
            return None;
        }
        let end = s
            .find([':', '=', '(', ',', ' ', '\t', '\r', '\n'])
            .unwrap_or(s.len());
        let (key, rest) = s.split_at(end);
        let delimiter = rest.chars().next();
        let rest = rest.get(1..).unwrap_or("");
        let ends: &[char] = match delimiter {
            Some(':' | '=') => &[',', ' ', '\t', '\r', '\n'],
            Some('(') => &[')'],
            _ => {
                self.0 = rest;
                return Some((key, ""));
            }
        };
        let mut n = value_len(rest, ends);
        let after = rest.get(n..).unwrap_or("");
        if delimiter == Some('(') && after.starts_with(")->") {
            n += value_len(after, &[',', ' ', '\t', '\r', '\n']);
        }
        let (value, rest) = rest.split_at(n.min(rest.len()));
        self.0 = rest.get(1..).unwrap_or("");
        Some((key, value))
    }
}

/// How far a value goes that ends at one of `ends`, not counting what is in parentheses.
fn value_len(s: &str, ends: &[char]) -> usize {
    let mut level = 0u32;
    for (i, c) in s.char_indices() {
        match c {
            _ if level == 0 && ends.contains(&c) => return i,
            '(' => level += 1,
            ')' if level > 0 => level -= 1,
            _ => {}
        }
    }
    s.len()
}

/// Reads an unsigned number as `strtoull` with base 0 does, and what follows it. A minus sign
/// negates modulo 2⁶⁴.
pub(crate) fn strtoull(s: &str) -> Option<(u64, &str)> {
    let s = s.trim_start();
    let (negative, t) = match s.strip_prefix('-') {
        Some(t) => (true, t),
        None => (false, s.strip_prefix('+').unwrap_or(s)),
    };
    let hex = t.strip_prefix("0x").or_else(|| t.strip_prefix("0X"));
    let (digits, radix) = match hex.filter(|h| h.starts_with(|c: char| c.is_ascii_hexdigit())) {
        Some(h) => (h, 16),
        None if t.starts_with('0') => (t, 8),
        None => (t, 10),
    };
    let end = digits
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    let v = u64::from_str_radix(digits, radix).ok()?;
    Some((if negative { v.wrapping_neg() } else { v }, rest))
}

/// Reads a number that is all of `s`.
fn whole(s: &str) -> Option<u64> {
    strtoull(s)
        .filter(|(_, rest)| rest.is_empty())
        .map(|(v, _)| v)
}

/// Reads a number of 64 bits.
pub(crate) fn u64(s: &str) -> Result<u64> {
    whole(s).ok_or_else(|| parse_error!("invalid numeric format {s}"))
}

/// Reads a number of 32 bits; higher bits are cut off, as `ovs-ofctl` does.
pub(crate) fn u32(s: &str) -> Result<u32> {
    Ok((u64(s)? & 0xffff_ffff) as u32)
}

/// Reads a number of 32 bits as `strtoul` into so many does, and nothing after it.
pub(crate) fn strtou32(s: &str) -> Result<u32> {
    match strtoull(s) {
        Some((value, "")) => Ok((value & 0xffff_ffff) as u32),
        _ => Err(parse_error!("invalid numeric format {s}")),
    }
}

/// Reads a number of 16 bits, called `name`.
pub(crate) fn u16(s: &str, name: &str) -> Result<u16> {
    let bad = || parse_error!("invalid {name} \"{s}\"");
    whole(s).and_then(|v| u16::try_from(v).ok()).ok_or_else(bad)
}

/// Reads a number of 8 bits, called `name`.
pub(crate) fn u8(s: &str, name: &str) -> Result<u8> {
    let bad = || parse_error!("invalid {name} \"{s}\"");
    whole(s).and_then(|v| u8::try_from(v).ok()).ok_or_else(bad)
}

/// Reads the number that `s` begins with, as `atoi` does: 0 if there is none, and nothing after it
/// matters.
pub(crate) fn atoi(s: &str) -> u32 {
    let s = s.trim_start();
    let (negative, t) = match s.strip_prefix('-') {
        Some(t) => (true, t),
        None => (false, s.strip_prefix('+').unwrap_or(s)),
    };
    let end = t.find(|c: char| !c.is_ascii_digit()).unwrap_or(t.len());
    let digits = t.get(..end).unwrap_or("");
    let v = digits
        .parse::<u64>()
        .map_or(if digits.is_empty() { 0 } else { u64::MAX }, |v| v);
    let v = if negative { v.wrapping_neg() } else { v };
    (v & 0xffff_ffff) as u32
}

/// The low 16 bits of [`atoi`].
pub(crate) fn atoi16(s: &str) -> u16 {
    (atoi(s) & 0xffff) as u16
}

/// Reads a decimal number, all of `s`, as port and table numbers are.
fn decimal(s: &str) -> Option<u32> {
    let digits = s.trim_start();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Reads a port by number, of 16 or of 32 bits, or by the name of a reserved port.
#[must_use]
pub(crate) fn port(s: &str) -> Option<PortNo> {
    const RESERVED: [PortNo; 9] = [
        PortNo::UNSET,
        PortNo::IN_PORT,
        PortNo::TABLE,
        PortNo::NORMAL,
        PortNo::FLOOD,
        PortNo::ALL,
        PortNo::CONTROLLER,
        PortNo::LOCAL,
        PortNo::ANY,
    ];
    if let Some(n) = decimal(s) {
        return match u16::try_from(n) {
            Ok(n) => Some(PortNo::from_u16(n)),
            Err(_) => Some(PortNo(n)).filter(|p| p.to_u16().is_some()),
        };
    }
    if s.eq_ignore_ascii_case("none") {
        return Some(PortNo::ANY);
    }
    RESERVED
        .into_iter()
        .find(|p| p.name().is_some_and(|name| name.eq_ignore_ascii_case(s)))
}

/// Reads a table by number. There is no table with a name; what begins as a quoted one and does not end so is taken by
/// Open vSwitch for table 0.
#[must_use]
pub(crate) fn table(s: &str) -> Option<TableId> {
    if s.starts_with('"') && !is_quoted(s) {
        return Some(TableId(0));
    }
    decimal(s).and_then(|n| u8::try_from(n).ok()).map(TableId)
}

/// Whether all of `s` is a string of JSON.
fn is_quoted(s: &str) -> bool {
    let inner = s.strip_prefix('"').and_then(|s| s.strip_suffix('"'));
    inner.is_some_and(|inner| {
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            let wrong = match c {
                '"' => true,
                '\\' => !matches!(chars.next(), Some(e) if "\"\\/bfnrtu".contains(e)),
                _ => false,
            };
            if wrong {
                return false;
            }
        }
        true
    })
}

/// Reads an integer of `width` bytes and what follows it: hexadecimal of any length after `0x`,
/// otherwise a number of at most 64 bits.
pub(crate) fn int_string(s: &str, width: usize) -> Result<(Value, &str)> {
    let too_large = || parse_error!("{s}: too large for {width}-byte field");
    if let Some(hex) = s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")) {
        let mut digits: Vec<u8> = Vec::new();
        let mut rest = hex;
        loop {
            rest = rest.trim_start_matches(SPACE);
            let Some(d) = rest.chars().next().and_then(|c| c.to_digit(16)) else {
                break;
            };
            if d != 0 || !digits.is_empty() {
                digits.push((d & 0xf) as u8);
            }
            if digits.len() > width * 2 {
                return Err(too_large());
            }
            rest = rest.get(1..).unwrap_or("");
        }
        let mut bytes = vec![0u8; width];
        for (to, from) in bytes.iter_mut().rev().zip(digits.rchunks(2)) {
            *to = from.iter().fold(0, |acc, d| acc << 4 | d);
        }
        return Ok((Value::from_bytes(&bytes), rest));
    }
    let (v, rest) = strtoull(s).ok_or_else(|| parse_error!("{s}: cannot parse integer value"))?;
    if width < 8 && v >> (width * 8) != 0 {
        return Err(too_large());
    }
    Ok((Value::new(v.into(), 16).resized(width), rest))
}

/// Reads an integer in base 10 or 16, or in base 0 that of its prefix, as Open vSwitch's own `scanf` does: after spaces, with a sign if need be, of any
/// length, modulo 2⁶⁴. Returns what follows it too.
pub(crate) fn scan_int(s: &str, radix: u32) -> Option<(u64, &str)> {
    let s = s.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let (negative, s) = match s.strip_prefix('-') {
        Some(s) => (true, s),
        None => (false, s.strip_prefix('+').unwrap_or(s)),
    };
    let hex = s.strip_prefix("0x").or_else(|| s.strip_prefix("0X"));
    let (s, radix) = match (hex, radix) {
        (Some(hex), 0 | 16) => (hex, 16),
        (None, 0) if s.starts_with('0') => (s, 8),
        (_, 0) => (s, 10),
        _ => (s, radix),
    };
    let end = s.find(|c: char| !c.is_digit(radix)).unwrap_or(s.len());
    let (digits, rest) = s.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let digits = digits.chars().filter_map(|c| c.to_digit(radix));
    let value = digits.fold(0u64, |v, d| {
        v.wrapping_mul(radix.into()).wrapping_add(d.into())
    });
    Some((
        if negative {
            value.wrapping_neg()
        } else {
            value
        },
        rest,
    ))
}

/// Reads a decimal integer as [`scan_int`] does, cut to 32 bits.
fn scan_i32(s: &str) -> Option<(i32, &str)> {
    let (value, rest) = scan_int(s, 10)?;
    Some((((value & 0xffff_ffff) as u32).cast_signed(), rest))
}

/// Reads `N` bytes in base `radix` with `separator` between, each as [`scan_int`] does and cut to eight bits.
fn scan_bytes<const N: usize>(mut s: &str, radix: u32, separator: char) -> Option<([u8; N], &str)> {
    let mut bytes = [0; N];
    for (i, byte) in bytes.iter_mut().enumerate() {
        if i > 0 {
            s = s.strip_prefix(separator)?;
        }
        let (value, rest) = scan_int(s, radix)?;
        (*byte, s) = ((value & 0xff) as u8, rest);
    }
    Some((bytes, s))
}

/// Reads an Ethernet address.
pub(crate) fn mac(s: &str) -> Result<MacAddr> {
    match scan_bytes(s, 16, ':') {
        Some((mac, "")) => Ok(MacAddr(mac)),
        _ => Err(parse_error!("invalid mac address {s}")),
    }
}

/// Reads an Ethernet address; what follows it does not matter.
pub(crate) fn mac_prefix(s: &str) -> Result<MacAddr> {
    let read = scan_bytes(s, 16, ':');
    let (mac, _) = read.ok_or_else(|| parse_error!("invalid mac address {s}"))?;
    Ok(MacAddr(mac))
}

/// Reads the IPv4 address that `s` begins with, and what follows it.
pub(crate) fn ipv4_prefix(s: &str) -> Option<(Ipv4Addr, &str)> {
    let (bytes, rest) = scan_bytes::<4>(s, 10, '.')?;
    Some((Ipv4Addr::from(bytes), rest))
}

/// Reads an IPv4 address.
pub(crate) fn ipv4(s: &str) -> Result<Ipv4Addr> {
    s.parse()
        .map_err(|_| parse_error!("{s}: could not convert to IP address"))
}

/// Reads an IPv4 address with a mask or a prefix length, if it has one.
pub(crate) fn ipv4_masked(s: &str) -> Result<(Value, Value)> {
    let bad = || parse_error!("{s}: invalid IP address");
    let (ip, rest) = ipv4_prefix(s).ok_or_else(bad)?;
    let Some(mask) = rest.strip_prefix('/') else {
        return match rest {
            "" => Ok((ip.into(), Value::ones(4))),
            _ => Err(bad()),
        };
    };
    if let Some((mask, rest)) = ipv4_prefix(mask) {
        return match rest {
            "" => Ok((ip.into(), mask.into())),
            _ => Err(bad()),
        };
    }
    let (n, rest) = scan_int(mask, 10).ok_or_else(bad)?;
    if !rest.is_empty() {
        return Err(bad());
    }
    let n = u32::try_from(n & 0xffff_ffff).unwrap_or(u32::MAX);
    if n > 32 {
        return Err(parse_error!(
            "{s}: IPv4 network prefix bits not between 0 and 32, inclusive"
        ));
    }
    let mask = u32::MAX.checked_shl(32 - n).unwrap_or(0);
    Ok((ip.into(), mask.into()))
}

/// Reads an IPv6 address with a mask or a prefix length, if it has one.
pub(crate) fn ipv6_masked(s: &str) -> Result<(Value, Value)> {
    let bad = || parse_error!("{s}: invalid IPv6 address");
    let (ip, mask) = match s.split_once('/') {
        Some((ip, mask)) => (ip, Some(mask)),
        None => (s, None),
    };
    let ip: Ipv6Addr = ip.trim_start().parse().map_err(|_| bad())?;
    let mask = match mask.map(|mask| (mask, scan_i32(mask))) {
        None => u128::MAX,
        // What begins with a number is taken for a prefix length, as there.
        Some((_, Some((n, "")))) if (0..=128).contains(&n) => {
            u128::MAX.checked_shl(128 - n.unsigned_abs()).unwrap_or(0)
        }
        Some((_, Some((0..=128, _)))) => return Err(bad()),
        Some((_, Some(_))) => {
            return Err(parse_error!(
                "{s}: IPv6 network prefix bits not between 0 and 128, inclusive"
            ));
        }
        Some((m, None)) => {
            let mask: Ipv6Addr = m
                .parse()
                .map_err(|_| parse_error!("{s}: Invalid IPv6 mask"))?;
            mask.into()
        }
    };
    Ok((ip.into(), mask.into()))
}

/// Reads bytes in hexadecimal, two digits each, with spaces or dots between if one likes. Returns
/// what follows them.
pub(crate) fn hex_bytes(mut s: &str) -> (Vec<u8>, &str) {
    let mut out = Vec::new();
    loop {
        s = s.trim_start_matches([' ', '.', '\t', '\r', '\n']);
        let pair = s
            .get(..2)
            .filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(byte) = pair.and_then(|p| u8::from_str_radix(p, 16).ok()) else {
            return (out, s);
        };
        out.push(byte);
        s = s.get(2..).unwrap_or("");
    }
}

/// Reads a field by the name of a header or by its own, brackets excluded.
pub(crate) fn field(name: &str) -> Option<Field> {
    let header = match name.strip_suffix("_W") {
        Some(short) if !short.is_empty() => short,
        _ => name,
    };
    Field::by_header_name(header).or_else(|| Field::by_name(name))
}

/// Reads the subfield that `s` begins with, and what follows it.
pub(crate) fn subfield_prefix(s: &str) -> Result<(Subfield, &str)> {
    let end = s.find(['[', '-']).unwrap_or(s.len());
    let (name, rest) = s.split_at(end);
    let field = field(name).ok_or_else(|| parse_error!("{s}: unknown field `{name}'"))?;
    let syntax = || parse_error!("{s}: syntax error expecting [] or [<bit>] or [<start>..<end>]");
    let bits = u32::from(field.bits());
    let Some(inner) = rest.strip_prefix('[') else {
        return Ok((Subfield::all(field), rest));
    };
    let (inner, rest) = inner.split_once(']').ok_or_else(syntax)?;
    let (start, end) = if inner.is_empty() {
        (0, bits - 1)
    } else {
        let (start, after) = scan_i32(inner).ok_or_else(syntax)?;
        let (end, after) = match after.strip_prefix("..") {
            Some(end) => scan_i32(end).ok_or_else(syntax)?,
            None => (start, after),
        };
        if !after.is_empty() {
            return Err(syntax());
        }
        if start > end {
            return Err(parse_error!(
                "{s}: starting bit {start} is after ending bit {end}"
            ));
        }
        (start.cast_unsigned(), end.cast_unsigned())
    };
    let wide = |what: &str, bit: u32| {
        parse_error!("{s}: {what} bit {bit} is not valid because field is only {bits} bits wide")
    };
    if start >= bits {
        return Err(wide("starting", start));
    }
    if end >= bits {
        return Err(wide("ending", end));
    }
    // Both are below the width of a field, 992 at most.
    let small = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    Ok((
        Subfield::new(field, small(start), small(end - start + 1)),
        rest,
    ))
}

/// Reads a subfield that is all of `s`.
pub(crate) fn subfield(s: &str) -> Result<Subfield> {
    match subfield_prefix(s)? {
        (sub, "") => Ok(sub),
        _ => Err(parse_error!("{s}: unexpected input following field syntax")),
    }
}

/// Reads flags by name or number: `+a-b`, `a|b`, `1/3`. Returns their bits and the mask.
pub(crate) fn flags(
    s: &str,
    what: &str,
    names: &[(u32, &str)],
    allowed: u32,
) -> Result<(u32, u32)> {
    let unknown = || parse_error!("{s}: unknown {what} flag(s)");
    // What follows two numbers does not matter.
    if let Some((bits, rest)) = scan_int(s, 0)
        && let Some((mask, _)) = rest.strip_prefix('/').and_then(|mask| scan_int(mask, 0))
    {
        let (bits, mask) = ((bits & 0xffff_ffff) as u32, (mask & 0xffff_ffff) as u32);
        return if (bits | mask) & !allowed == 0 {
            Ok((bits, mask))
        } else {
            Err(unknown())
        };
    }
    let by_name = |name: &str| {
        let bit = names.iter().find(|(_, n)| *n == name).map(|(bit, _)| *bit);
        bit.filter(|bit| bit & !allowed == 0).ok_or_else(unknown)
    };
    if s.starts_with(['+', '-']) {
        let (mut bits, mut mask) = (0, 0);
        let mut rest = s;
        while let Some(sign) = rest.chars().next() {
            let name = rest.get(1..).unwrap_or("");
            let end = name.find(['+', '-']).unwrap_or(name.len());
            let (name, tail) = name.split_at(end);
            let bit = by_name(name)?;
            if mask & bit != 0 {
                return Err(parse_error!(
                    "{s}: Each {what} flag can be specified only once"
                ));
            }
            mask |= bit;
            bits |= if sign == '+' { bit } else { 0 };
            rest = tail;
        }
        return Ok((bits, mask));
    }
    let mut bits = 0;
    for part in s.split('|').filter(|p| !p.is_empty()) {
        bits |= match whole(part) {
            Some(n) => Some((n & 0xffff_ffff) as u32)
                .filter(|n| n & !allowed == 0)
                .ok_or_else(unknown)?,
            None => by_name(part)?,
        };
    }
    Ok((bits, u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_parentheses_whole() {
        let list = "a=1, b(c(d),e) f:g(h,i),check(1)->reg0[0],last";
        let items: Vec<_> = KeyValues(list).collect();
        let expected = [
            ("a", "1"),
            ("b", "c(d),e"),
            ("f", "g(h,i)"),
            ("check", "1)->reg0[0]"),
            ("last", ""),
        ];
        assert_eq!(items, expected);
    }

    #[test]
    fn masks_are_read_as_far_as_open_vswitch_reads_them() {
        let flags = |s| flags(s, "TCP", &[(1, "fin")], 0xfff).ok();
        assert_eq!(flags("0x1/0xff/f"), Some((1, 0xff)));
        assert_eq!(flags("0x1/0x61)tun_id=1"), Some((1, 0x61)));
        assert_eq!(flags("0x1/x"), None);
        let prefix = |s| ipv6_masked(s).ok().map(|(_, mask)| mask);
        assert_eq!(prefix("::1/18446744073709551616"), Some(0u128.into()));
        assert_eq!(prefix("::1/128"), Some(u128::MAX.into()));
        assert_eq!(prefix("::1/129"), None);
        assert_eq!(prefix("::1/64x"), None);
        assert_eq!(prefix("::1/ffff::"), Some((0xffff_u128 << 112).into()));
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        assert_eq!(strtoull("0x1fg"), Some((0x1f, "g")));
        assert_eq!(strtoull("010"), Some((8, "")));
        assert_eq!(strtoull("-1"), Some((u64::MAX, "")));
        assert_eq!(strtoull("0x"), Some((0, "x")));
        assert_eq!(strtoull(""), None);
        assert_eq!(atoi("12ab"), 12);
    }
}
