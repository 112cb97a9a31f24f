//! Reading the pieces of the text form: numbers, ports, addresses, `key=value` lists.

use crate::types::PortNo;

/// Reads an unsigned number as C's `strtoull` with base 0 does, and nothing after it: decimal,
/// `0x` hexadecimal, or octal with a leading zero.
#[must_use]
pub(crate) fn uint(s: &str) -> Option<u64> {
    let (digits, radix) = match s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if s.len() > 1 && s.starts_with('0') => (s, 8),
        None => (s, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// Reads a port by number, of 16 or of 32 bits, or by the name of a reserved port.
#[must_use]
pub(crate) fn port(s: &str) -> Option<PortNo> {
    if let Some(n) = uint(s).and_then(|n| u32::try_from(n).ok()) {
        if let Ok(n) = u16::try_from(n) {
            return Some(PortNo::from_u16(n));
        }
        return Some(PortNo(n)).filter(|p| p.to_u16().is_some());
    }
    let reserved = [
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
    if s.eq_ignore_ascii_case("none") {
        return Some(PortNo::ANY);
    }
    reserved
        .into_iter()
        .find(|p| p.name().is_some_and(|name| name.eq_ignore_ascii_case(s)))
}
