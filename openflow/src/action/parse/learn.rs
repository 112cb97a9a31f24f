//! Reading `learn(…)`.

use super::fields::{bits_of, move_ends};
use super::{Parser, Result, inconsistent};
use crate::action::check::learn_fits;
use crate::action::{Action, Learn, LearnSource, LearnSpec, LearnTarget};
use crate::error::{ParseError, parse_error};
use crate::field::Subfield;
use crate::match_::parse_value;
use crate::text::scan::{self, KeyValues};
use crate::value::Value;

impl Parser {
    pub(in crate::action) fn learn(&self, arg: &str) -> Result<Action> {
        let mut l = Learn::default();
        for (name, value) in KeyValues(arg) {
            match name {
                "table" => {
                    l.table = scan::table(value)
                        .ok_or_else(|| parse_error!("unknown table \"{value}\""))?;
                    if l.table.0 == 0xff {
                        return Err(parse_error!(
                            "{arg}: table id 255 not valid for `learn' action"
                        ));
                    }
                }
                "priority" => l.priority = scan::atoi16(value),
                "idle_timeout" => l.idle_timeout = scan::atoi16(value),
                "hard_timeout" => l.hard_timeout = scan::atoi16(value),
                "fin_idle_timeout" => l.fin_idle_timeout = scan::atoi16(value),
                "fin_hard_timeout" => l.fin_hard_timeout = scan::atoi16(value),
                "cookie" => l.cookie = scan::strtoull(value).map_or(0, |(v, _)| v),
                "send_flow_rem" => l.send_flow_rem = true,
                "delete_learned" => l.delete_learned = true,
                "limit" => l.limit = scan::atoi(value),
                "result_dst" => {
                    let dst = scan::subfield(value)?;
                    if !dst.field.is_writable() {
                        return Err(parse_error!("{value} is read-only"));
                    }
                    if dst.n_bits != 1 {
                        return Err(ParseError::new(
                            "result_dst in 'learn' action must be a single bit",
                        ));
                    }
                    l.result_dst = Some(dst);
                }
                _ => l.specs.push(spec(arg, name, value)?),
            }
        }
        if let Some(facts) = &self.facts {
            learn_fits(&l, facts).map_err(|kind| inconsistent(kind.name()))?;
        }
        Ok(Action::Learn(Box::new(l)))
    }
}

fn with_header(arg: &str, name: &str, s: Subfield) -> Result<Subfield> {
    match s.field.nxm_header32() {
        Some(_) => Ok(s),
        None => Err(parse_error!(
            "{arg}: experimenter OXM field '{name}' not supported"
        )),
    }
}

fn spec(arg: &str, name: &str, value: &str) -> Result<LearnSpec> {
    if let Ok(dst) = scan::subfield(name) {
        let dst = with_header(arg, name, dst)?;
        let n_bits = dst.n_bits;
        if value.is_empty() {
            return Ok(LearnSpec {
                n_bits,
                src: LearnSource::Field(dst),
                dst: LearnTarget::Match(dst),
            });
        }
        let src = match scan::subfield(value) {
            Ok(src) if src.n_bits == n_bits => LearnSource::Field(src),
            Ok(src) => {
                return Err(parse_error!(
                    "{arg}: bit widths of {name} ({}) and {value} ({n_bits}) differ",
                    src.n_bits
                ));
            }
            Err(e) => LearnSource::Value(immediate(dst, value).map_err(|imm| {
                parse_error!(
                    "{arg}: {name} value {value} cannot be parsed as a subfield ({e}) or an immediate value ({imm})"
                )
            })?),
        };
        return Ok(LearnSpec {
            n_bits,
            src,
            dst: LearnTarget::Match(dst),
        });
    }
    match name {
        "load" => load(arg, value),
        "output" => {
            let src = scan::subfield(value)?;
            Ok(LearnSpec {
                n_bits: src.n_bits,
                src: LearnSource::Field(src),
                dst: LearnTarget::Output,
            })
        }
        _ => Err(parse_error!("{arg}: unknown keyword {name}")),
    }
}

/// A value for all of a field, in its format, or for some of its bits, as a number.
fn immediate(dst: Subfield, text: &str) -> Result<Value> {
    let bytes = dst.field.bytes();
    let value = if dst == Subfield::all(dst.field) {
        let (value, mask) = parse_value(dst.field, text)?;
        if !mask.is_ones() {
            return Err(parse_error!("{text}: wildcards not allowed here"));
        }
        value
    } else {
        let (value, rest) = scan::int_string(text, bytes)?;
        if !rest.is_empty() {
            return Err(parse_error!("{text}: cannot parse integer value"));
        }
        let width = bits_of(bytes);
        if value.scan(true, dst.n_bits.into(), width) != width {
            return Err(parse_error!(
                "{text}: value does not fit into {} bits",
                dst.n_bits
            ));
        }
        value
    };
    Ok(value.resized(usize::from(dst.n_bits.div_ceil(8))))
}

fn load(arg: &str, value: &str) -> Result<LearnSpec> {
    let Some((source, dst)) = value.split_once("->") else {
        return Err(parse_error!("load: missing `->' in `{value}'"));
    };
    if source.is_empty() {
        return Err(parse_error!(
            "load: missing source before `->' in `{value}'"
        ));
    }
    match scan::int_string(source, 128) {
        Ok((v, "")) => {
            let dst = with_header(arg, value, scan::subfield(dst)?)?;
            let width = bits_of(v.len());
            if v.scan(true, dst.n_bits.into(), width) != width {
                return Err(parse_error!(
                    "{value}: value does not fit into {} bits",
                    dst.n_bits
                ));
            }
            let v = v.resized(usize::from(dst.n_bits.div_ceil(8)));
            Ok(LearnSpec {
                n_bits: dst.n_bits,
                src: LearnSource::Value(v),
                dst: LearnTarget::Load(dst),
            })
        }
        Ok(_) => Err(parse_error!("load: garbage before `->' in `{value}'")),
        Err(_) => {
            let (src, dst) = move_ends(value)?;
            Ok(LearnSpec {
                n_bits: src.n_bits,
                src: LearnSource::Field(src),
                dst: LearnTarget::Load(dst),
            })
        }
    }
}
