//! Reading flows in the syntax of `ovs-ofctl add-flow`.

use std::str::FromStr;

use super::{FlowFlags, FlowMod, FlowModCommand, NO_BUFFER};
use crate::action::parse_instructions;
use crate::error::{ParseError, parse_error};
use crate::match_::MatchBuilder;
use crate::text::scan::{self, KeyValues};
use crate::types::{GroupId, TableId};

impl FromStr for FlowMod {
    type Err = ParseError;

    /// Reads a flow as `ovs-ofctl add-flow` does: the result encodes to the bytes that
    /// `ovs-ofctl -O OpenFlow13 add-flow` sends.
    fn from_str(s: &str) -> Result<Self, ParseError> {
        FlowMod::parse(FlowModCommand::Add, s)
    }
}

impl FlowMod {
    /// Reads a line of a file for `ovs-ofctl add-flows`, in which a command may come first: `add`, `modify`,
    /// `modify_strict`, `delete` or `delete_strict`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse_line(s: &str) -> Result<Self, ParseError> {
        let s = s.trim_start_matches([' ', '\t', '\r', '\n']);
        let end = s.find([',', ' ', '\t', '\r', '\n']).unwrap_or(s.len());
        let (word, rest) = s.split_at(end);
        let named = |name: &str| name.starts_with(word);
        // Any beginning of a command's name will do, as there.
        let (command, s) = match () {
            () if named("add") => (FlowModCommand::Add, rest),
            () if named("delete") => (FlowModCommand::Delete, rest),
            () if named("delete_strict") => (FlowModCommand::DeleteStrict, rest),
            () if named("modify") => (FlowModCommand::Modify, rest),
            () if named("modify_strict") => (FlowModCommand::ModifyStrict, rest),
            () => (FlowModCommand::Add, s),
        };
        FlowMod::parse(command, s)
    }

    /// Reads a flow for `command`, as `ovs-ofctl add-flow`, `mod-flows` and `del-flows` do.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(command: FlowModCommand, s: &str) -> Result<Self, ParseError> {
        use FlowModCommand as C;
        let deletes = matches!(command, C::Delete | C::DeleteStrict);
        let mut fm = FlowMod {
            command,
            table: TableId::ALL,
            buffer_id: NO_BUFFER,
            ..FlowMod::default()
        };
        let (fields, actions) = if deletes {
            (s, None)
        } else {
            let (fields, rest) = s.split_once("action").ok_or_else(must_act)?;
            (fields, Some(rest.split_once('=').ok_or_else(must_act)?.1))
        };
        let mut m = MatchBuilder::default();
        for (name, value) in KeyValues(fields) {
            if fm.flag(name)
                || matches!(name, "no_readonly_table" | "allow_hidden_fields")
                || m.add(name, value)?
            {
                continue;
            }
            if value.is_empty() {
                return Err(parse_error!("field {name} missing value"));
            }
            fm.attribute(name, value)?;
        }
        m.agree_on_eth_type();
        if let Some(actions) = actions {
            let table = Some(fm.table).filter(|t| *t != TableId::ALL);
            fm.instructions = parse_instructions(actions, m.facts(), table)?.into();
        }
        fm.match_ = m.finish();
        if fm.table == TableId::ALL && !deletes {
            fm.table = TableId(0);
        }
        if command != C::Add {
            fm.cookie &= fm.cookie_mask;
        }
        Ok(fm)
    }

    fn flag(&mut self, name: &str) -> bool {
        use FlowModCommand as C;
        let found = FlowFlags::NAMES.iter().find(|(_, n)| *n == name);
        match (found, self.command) {
            (_, C::Delete | C::DeleteStrict) | (None, _) => false,
            (Some((flag, _)), _) => {
                self.flags |= *flag;
                true
            }
        }
    }

    /// Reads what is neither field nor flag.
    fn attribute(&mut self, name: &str, value: &str) -> Result<(), ParseError> {
        use FlowModCommand as C;
        let deletes = matches!(self.command, C::Delete | C::DeleteStrict);
        match name {
            "table" => {
                self.table =
                    scan::table(value).ok_or_else(|| parse_error!("unknown table \"{value}\""))?
            }
            "out_port" if deletes => {
                let bad = || parse_error!("{value} is not a valid OpenFlow port");
                self.out_port = scan::port(value).ok_or_else(bad)?;
            }
            "out_group" if deletes => self.out_group = out_group(value)?,
            "priority" if self.command != C::Delete => self.priority = scan::u16(value, name)?,
            "idle_timeout" if !deletes => self.idle_timeout = scan::u16(value, name)?,
            "hard_timeout" if !deletes => self.hard_timeout = scan::u16(value, name)?,
            // Checked, but OpenFlow 1.3 cannot carry it.
            "importance" if self.command == C::Add => {
                scan::u16(value, name)?;
            }
            "cookie" => match value.split_once('/') {
                Some(_) if self.command == C::Add => {
                    return Err(ParseError::new("flow additions cannot use a cookie mask"));
                }
                Some((cookie, mask)) => {
                    self.cookie = scan::u64(cookie)?;
                    self.cookie_mask = scan::u64(mask)?;
                }
                None if deletes => {
                    return Err(parse_error!(
                        "cannot set cookie (to match on a cookie, specify a mask, e.g. cookie={value}/-1)"
                    ));
                }
                None => {
                    let cookie = scan::u64(value)?;
                    // A change cannot set a cookie in OpenFlow 1.3.
                    if self.command == C::Add {
                        self.cookie = cookie;
                    }
                }
            },
            // What dump-flows prints can be fed back.
            "duration" | "n_packets" | "n_bytes" | "idle_age" | "hard_age" => {}
            _ => return Err(parse_error!("unknown keyword {name}")),
        }
        Ok(())
    }
}

#[cold]
fn must_act() -> ParseError {
    ParseError::new("must specify an action")
}

/// A group by number, or `any` or `all`.
fn out_group(s: &str) -> Result<GroupId, ParseError> {
    match s.to_ascii_lowercase().as_str() {
        "any" => Ok(GroupId::ANY),
        "all" => Ok(GroupId::ALL),
        _ => {
            let bad = || parse_error!("{s} is not a valid OpenFlow group");
            s.parse().ok().map(GroupId).ok_or_else(bad)
        }
    }
}
