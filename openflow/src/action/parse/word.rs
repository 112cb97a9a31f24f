//! The words of ovs-actions(7): those in the lists of actions and of instructions, and here what is neither: `drop`, ports.

use super::{Item, Parser, Result};
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
        if let Some(instruction) = Instruction::parse_listed(self, &word, arg) {
            return instruction.map(Item::Instruction);
        }
        Ok(match word.as_str() {
            "drop" => Item::Drop,
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
