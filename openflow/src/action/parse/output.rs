//! The text of actions that say where a packet goes: to a port, to a queue, to another table.

use super::{Parser, Result, inconsistent};
use crate::action::{Action, check_output_port};
use crate::error::{ParseError, parse_error};
use crate::text::scan::{self, KeyValues};
use crate::types::{PortNo, QueueId, TableId};

impl Parser {
    pub(in crate::action) fn check_port(&self, port: PortNo) -> Result<()> {
        if self.facts.is_some() && check_output_port(port).is_err() {
            return Err(inconsistent("OFPBAC_BAD_OUT_PORT"));
        }
        Ok(())
    }

    pub(in crate::action) fn output(&self, arg: &str) -> Result<Action> {
        if arg.contains("port") && arg.contains("max_len") {
            return self.output_trunc(arg);
        }
        if let Some(port) = scan::port(arg) {
            self.check_port(port)?;
            return Ok(Action::output(port));
        }
        let src = scan::subfield(arg).map_err(|_| parse_error!("{arg}: output to unknown port"))?;
        Ok(Action::OutputReg {
            src: self.source(src)?,
            max_len: u16::MAX,
        })
    }

    fn output_trunc(&self, arg: &str) -> Result<Action> {
        let (mut port, mut max_len) = (PortNo(0), 0);
        for (key, value) in KeyValues(arg) {
            match key {
                "port" => {
                    let bad = || parse_error!("output to unknown truncate port: {value}");
                    port = scan::port(value).ok_or_else(bad)?;
                    if port.0 > 0xff00 && port != PortNo::LOCAL && port != PortNo::IN_PORT {
                        return Err(parse_error!("output to unsupported truncate port: {value}"));
                    }
                }
                "max_len" => {
                    max_len = scan::u32(value)?;
                    if max_len < 14 {
                        return Err(parse_error!(
                            "max_len {max_len} is less than the minimum value 14"
                        ));
                    }
                }
                _ => return Err(parse_error!("invalid key '{key}' in output_trunc argument")),
            }
        }
        self.check_port(port)?;
        Ok(Action::OutputTrunc { port, max_len })
    }

    pub(in crate::action) fn enqueue(&self, arg: &str) -> Result<Vec<Action>> {
        let syntax = || {
            ParseError::new(
                "\"enqueue\" syntax is \"enqueue:PORT:QUEUE\" or \"enqueue(PORT,QUEUE)\"",
            )
        };
        let arg = arg.trim_start_matches([':', 'q', ',']);
        let (port, queue) = arg
            .split_once([':', 'q', ','])
            .filter(|(_, q)| !q.is_empty())
            .ok_or_else(syntax)?;
        let port =
            scan::port(port).ok_or_else(|| parse_error!("{port}: enqueue to unknown port"))?;
        let queue = QueueId(scan::u32(queue)?);
        if self.facts.is_some()
            && port.0 >= 0xff00
            && port != PortNo::IN_PORT
            && port != PortNo::LOCAL
        {
            return Err(inconsistent("OFPBAC_BAD_OUT_PORT"));
        }
        Ok(vec![
            Action::SetQueue(queue),
            Action::Output {
                port,
                max_len: u16::MAX,
            },
            Action::PopQueue,
        ])
    }

    pub(in crate::action) fn resubmit(&self, arg: &str) -> Result<Action> {
        let mut parts = arg.splitn(4, ',');
        let port = match parts.next().filter(|s| !s.is_empty()) {
            Some(s) => {
                scan::port(s).ok_or_else(|| parse_error!("{s}: resubmit to unknown port"))?
            }
            None => PortNo::IN_PORT,
        };
        let table = match parts.next().filter(|s| !s.is_empty()) {
            Some(s) => {
                scan::table(s).ok_or_else(|| parse_error!("{s}: resubmit to unknown table"))?
            }
            None => TableId::ALL,
        };
        let ct = match parts.next().filter(|s| !s.is_empty()) {
            Some("ct") => true,
            Some(s) => return Err(parse_error!("{s}: unknown parameter")),
            None => false,
        };
        if port == PortNo::IN_PORT && table == TableId::ALL {
            return Err(ParseError::new(
                "at least one \"in_port\" or \"table\" must be specified on resubmit",
            ));
        }
        if ct && self.facts.as_ref().is_some_and(|f| !f.ct_valid()) {
            return Err(inconsistent("OFPBAC_MATCH_INCONSISTENT"));
        }
        Ok(Action::Resubmit {
            port,
            table: Some(table),
            ct,
        })
    }
}
