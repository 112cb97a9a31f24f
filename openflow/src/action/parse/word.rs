//! The words of ovs-actions(7): those in the list of actions, and here those that are none: instructions, `drop`, ports.

use super::{Item, Outer, Parser, Result, inconsistent};
use crate::action::{Action, Legacy};
use crate::error::{ParseError, parse_error};
use crate::instruction::Instruction;
use crate::text::scan;

impl Parser {
    /// Reads the argument of the word that `key` spells.
    pub(super) fn word(&mut self, key: &str, arg: &str) -> Result<Item> {
        let word = key.to_ascii_lowercase();
        if let Some(item) = Action::parse_listed(self, &word, key, arg) {
            return item;
        }
        if let Some(item) = Legacy::parse_listed(self, &word, key, arg) {
            return item;
        }
        Ok(match word.as_str() {
            "drop" => Item::Drop,
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
            "apply_actions" => {
                return Err(ParseError::new("apply_actions is the default instruction"));
            }
            "output_trunc" => return Err(parse_error!("unknown action {arg}")),
            "unroll_xlate" => {
                return Err(ParseError::new(
                    "UNROLL is an internal action that shouldn't be used via OpenFlow",
                ));
            }
            _ => {
                let port = scan::port(key).ok_or_else(|| parse_error!("unknown action {key}"))?;
                self.check_port(port)?;
                Action::Output { port, max_len: 0 }.into()
            }
        })
    }
}
