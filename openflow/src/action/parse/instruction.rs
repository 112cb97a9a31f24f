//! The text of instructions.

use super::{Outer, Parser, Result, inconsistent};
use crate::error::{ParseError, parse_error};
use crate::instruction::Instruction;
use crate::text::scan;

type Parsed = Result<Instruction>;

impl Parser {
    pub(crate) fn meter(&self, arg: &str) -> Parsed {
        let meter = scan::u32(arg)?;
        if self.facts.is_some() && !(1..=0xffff_0000).contains(&meter) {
            return Err(inconsistent("OFPMMFC_INVALID_METER"));
        }
        Ok(Instruction::Meter(meter))
    }

    /// It has no word: actions stand for themselves.
    pub(crate) fn apply_actions(&self, _: &str) -> Parsed {
        Err(ParseError::new("apply_actions is the default instruction"))
    }

    pub(crate) fn clear_actions(&self, _: &str) -> Parsed {
        Ok(Instruction::ClearActions)
    }

    pub(crate) fn write_actions(&self, arg: &str) -> Parsed {
        let mut inner = Parser {
            lenient: true,
            ..self.clone()
        };
        let actions = inner.actions(arg, Outer::WriteActions)?;
        Ok(Instruction::WriteActions(actions))
    }

    pub(crate) fn write_metadata(&self, arg: &str) -> Parsed {
        let (metadata, mask) = match arg.split_once('/') {
            Some((metadata, mask)) => (scan::u64(metadata)?, scan::u64(mask)?),
            None => (scan::u64(arg)?, u64::MAX),
        };
        Ok(Instruction::WriteMetadata { metadata, mask })
    }

    pub(crate) fn goto_table(&self, arg: &str) -> Parsed {
        let table = scan::table(arg).ok_or_else(|| parse_error!("unknown table \"{arg}\""))?;
        if self.table.is_some_and(|t| t.0 != 0xff && table <= t) {
            return Err(inconsistent("OFPBIC_BAD_TABLE_ID"));
        }
        Ok(Instruction::GotoTable(table))
    }
}
