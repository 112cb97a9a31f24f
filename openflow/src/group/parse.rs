//! Reads groups as `ovs-ofctl add-group` does, ovs-ofctl(8) "Group Syntax".

use std::str::FromStr;

use super::{Bucket, GroupCommand, GroupMod, GroupType};
use crate::action::parse_actions;
use crate::error::{ParseError, parse_error};
use crate::field::Field;
use crate::match_::parse_value;
use crate::text::scan::{self, KeyValues};
use crate::types::{GroupId, PortNo};

type Result<T> = std::result::Result<T, ParseError>;

/// The highest number of a group.
const MAX_GROUP: u32 = 0xffff_ff00;

/// The command may stand in front, as in files for `ovs-ofctl add-groups`; without, the group is added.
impl FromStr for GroupMod {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self> {
        // As there, a command may be cut short: no word at all begins every command.
        const COMMANDS: [(&str, GroupCommand); 4] = [
            ("add", GroupCommand::Add),
            ("delete", GroupCommand::Delete),
            ("modify", GroupCommand::Modify),
            ("add_or_mod", GroupCommand::AddOrMod),
        ];
        let s = s.trim_start_matches([' ', '\t', '\r', '\n']);
        let end = s.find([',', ' ', '\t', '\r', '\n']).unwrap_or(s.len());
        let (word, rest) = s.split_at(end);
        let found = COMMANDS.iter().find(|(name, _)| name.starts_with(word));
        match found {
            Some((_, command)) => Self::parse(*command, rest),
            None if ["insert_bucket", "remove_bucket"]
                .iter()
                .any(|c| c.starts_with(word)) =>
            {
                Err(parse_error!("OpenFlow 1.3 has no {word}"))
            }
            None => Self::parse(GroupCommand::Add, s),
        }
    }
}

impl GroupMod {
    /// Reads a group for `command`, as `ovs-ofctl add-group`, `mod-group` and `del-groups` do:
    /// `group_id=7,type=select,bucket=weight:2,actions=output:1,bucket=…`. What OpenFlow 1.3 cannot say, which is the
    /// method of selection and the number of a bucket, is checked and left out, as there.
    ///
    /// ```
    /// use openflow::{GroupCommand, GroupMod};
    /// let text = "group_id=7,type=ff,bucket=watch_port:1,actions=output:1";
    /// let group = GroupMod::parse(GroupCommand::Add, text)?;
    /// assert_eq!(group.to_string(), "ADD group_id=7,type=ff,bucket=watch_port:1,actions=output:1");
    /// # Ok::<(), openflow::ParseError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(command: GroupCommand, s: &str) -> Result<Self> {
        if matches!(
            command,
            GroupCommand::InsertBucket | GroupCommand::RemoveBucket
        ) {
            return Err(parse_error!(
                "OpenFlow 1.3 cannot say which bucket a group is changed at"
            ));
        }
        let deletes = command == GroupCommand::Delete;
        let mut group = GroupMod {
            command,
            type_: GroupType::All,
            id: GroupId::ANY,
            buckets: Vec::new(),
        };
        if deletes && s.is_empty() {
            group.id = GroupId::ALL;
            return Ok(group);
        }
        let (head, buckets) = match s.split_once("bucket=") {
            Some(_) if deletes => return Err(parse_error!("bucket is not needed")),
            Some((head, buckets)) => (head, Some(buckets)),
            None => (s, None),
        };
        let (mut type_, mut selection) = (None, Selection::default());
        for (name, value) in KeyValues(head) {
            match name {
                "group_id" if value == "all" => group.id = GroupId::ALL,
                "group_id" => {
                    group.id = GroupId(scan::strtou32(value)?);
                    if group.id != GroupId::ALL && group.id.0 > MAX_GROUP {
                        return Err(parse_error!("invalid group id {}", group.id.0));
                    }
                }
                "type" if !deletes => {
                    type_ = Some(group_type(value)?);
                }
                "type" => return Err(parse_error!("type is not needed")),
                "selection_method" | "selection_method_param" | "fields" if deletes => {
                    return Err(parse_error!("{name} is not needed"));
                }
                "selection_method" => selection.method(value)?,
                "selection_method_param" => {
                    (selection.param, selection.given) = (scan::u64(value)?, true);
                }
                "fields" => selection.fields(value)?,
                "command_bucket_id" => {
                    return Err(parse_error!("command bucket id is not needed"));
                }
                _ => return Err(parse_error!("unknown keyword {name}")),
            }
        }
        if group.id == GroupId::ANY {
            return Err(parse_error!("must specify a group_id"));
        }
        group.type_ = match type_ {
            Some(type_) => type_,
            None if deletes => GroupType::All,
            None => return Err(parse_error!("must specify a type")),
        };
        selection.check()?;
        // `ovs-ofctl` forgets that it may not leave this out once there are buckets.
        if buckets.is_none() && selection.given {
            return Err(parse_error!(
                "OpenFlow 1.3 cannot say how buckets are selected"
            ));
        }
        for text in buckets.iter().flat_map(|b| b.split("bucket=")) {
            let bucket = Bucket::parse(text, group.type_)?;
            if group.type_ != GroupType::Select && bucket.weight != 0 {
                return Err(parse_error!("Only select groups can have bucket weights."));
            }
            group.buckets.push(bucket);
        }
        if group.type_ == GroupType::Indirect && group.buckets.len() > 1 {
            return Err(parse_error!("Indirect groups can have at most one bucket."));
        }
        Ok(group)
    }
}

/// How buckets are selected, which OpenFlow 1.3 cannot say.
#[derive(Default)]
struct Selection<'a> {
    method: &'a str,
    param: u64,
    fields: Vec<Field>,
    /// Whether any of it was.
    given: bool,
}

impl<'a> Selection<'a> {
    fn method(&mut self, value: &'a str) -> Result<()> {
        if value.len() >= 16 {
            return Err(parse_error!(
                "selection method is longer than 15 bytes long"
            ));
        }
        (self.method, self.given) = (value, true);
        Ok(())
    }

    fn fields(&mut self, value: &str) -> Result<()> {
        for (name, mask) in KeyValues(value) {
            let field = Field::by_name(name);
            let field = field.ok_or_else(|| parse_error!("{name}: unknown field {name}"))?;
            if self.fields.contains(&field) {
                return Err(parse_error!("{name}: duplicate field"));
            }
            if !mask.is_empty() {
                let (bits, _) = parse_value(field, mask)?;
                if bits.is_zero() && !field.is_variable() {
                    return Err(parse_error!(
                        "{name}: values are wildcards here and must not be all-zeros"
                    ));
                }
            }
            self.fields.push(field);
        }
        self.given = true;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.method != "hash" && !self.fields.is_empty() {
            return Err(parse_error!(
                "fields may only be specified with \"selection_method=hash\""
            ));
        }
        if self.method.is_empty() && self.param != 0 {
            return Err(parse_error!(
                "selection_method_param is only allowed with \"selection_method\""
            ));
        }
        Ok(())
    }
}

fn group_type(name: &str) -> Result<GroupType> {
    Ok(match name {
        "all" => GroupType::All,
        "select" => GroupType::Select,
        "indirect" => GroupType::Indirect,
        "ff" | "fast_failover" => GroupType::FastFailover,
        _ => return Err(parse_error!("invalid group type {name}")),
    })
}

impl Bucket {
    /// Reads a bucket of a group of `type_`: `weight:1,watch_port:2,actions=…`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(s: &str, type_: GroupType) -> Result<Self> {
        let mut bucket = Bucket::new(u16::from(type_ == GroupType::Select), Vec::new());
        // Whatever is no attribute is an action, wherever it stands.
        let mut actions = String::new();
        for (name, value) in KeyValues(s) {
            match name.to_ascii_lowercase().as_str() {
                "weight" => bucket.weight = scan::u16(value, "weight")?,
                "watch_port" => {
                    let watched = |p: &PortNo| {
                        p.to_u16().is_some_and(|p| p < 0xff00)
                            || matches!(*p, PortNo::ANY | PortNo::CONTROLLER)
                    };
                    let port = scan::port(value).filter(watched);
                    bucket.watch_port =
                        port.ok_or_else(|| parse_error!("{value}: invalid watch_port"))?;
                }
                "watch_group" => {
                    bucket.watch_group = GroupId(scan::strtou32(value)?);
                    if bucket.watch_group.0 > MAX_GROUP {
                        return Err(parse_error!("invalid watch_group id {value}"));
                    }
                }
                "bucket_id" => {
                    if scan::strtou32(value)? > MAX_GROUP {
                        return Err(parse_error!("invalid bucket_id id {value}"));
                    }
                }
                "action" | "actions" => {
                    actions.push_str(value);
                    actions.push(',');
                }
                _ => actions.push_str(&format!("{name}({value}),")),
            }
        }
        let Some(actions) = actions.strip_suffix(',') else {
            return Err(parse_error!("bucket must specify actions"));
        };
        let watches = bucket.watch_port != PortNo::ANY || bucket.watch_group != GroupId::ANY;
        if type_ == GroupType::FastFailover && !watches {
            return Err(parse_error!(
                "fast failover bucket requires watch_port or watch_group"
            ));
        }
        bucket.actions = parse_actions(actions)?;
        Ok(bucket)
    }
}
