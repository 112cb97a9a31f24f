//! Looks at OpenFlow 1.3 messages from the command line.
//!
//! `ofp print HEX` prints a message as `ovs-ofctl ofp-print` does, `ofp reencode HEX` decodes and encodes it again,
//! `ofp flow-mod TEXT` prints the FLOW_MOD that `ovs-ofctl -O OpenFlow13 add-flow` would send, `ofp group-mod TEXT` and
//! `ofp meter-mod TEXT` what `add-group` and `add-meter` would. With `-` in place of the argument each line of
//! standard input is one; its output is one line, with newlines inside written as `\n`.

use std::io::{self, BufRead as _, BufWriter, Write as _};
use std::process::ExitCode;

use openflow::header::{Header, VERSION};
use openflow::message::text::{self, DEFAULT_VERBOSITY};
use openflow::text::Numbers;
use openflow::{ErrorKind, GroupCommand, GroupMod, Message, ParseError};

const USAGE: &str = "usage: ofp print|reencode|flow-mod|group-mod|meter-mod [--names] (ARG | -)";

#[derive(Clone, Copy)]
enum Action {
    Print,
    Reencode,
    FlowMod,
    GroupMod,
    MeterMod,
}

impl Action {
    fn run(self, input: &str) -> Result<String, String> {
        match self {
            Action::Print => {
                let bytes = from_hex(input)?;
                // What another version means by it is not known here, nor whether it is wrong.
                if let Err(error) = Message::decode(&bytes)
                    && error.kind == ErrorKind::BrcBadVersion
                    && Header::peek(&bytes).is_some_and(|header| header.version != VERSION)
                {
                    return Err(error.to_string());
                }
                // There is no switch to ask for names, so numbers are printed with and without `--names`.
                Ok(text::print(&bytes, &Numbers, DEFAULT_VERBOSITY))
            }
            Action::Reencode => {
                let (xid, message) =
                    Message::decode(&from_hex(input)?).map_err(|error| error.to_string())?;
                message
                    .to_bytes(xid)
                    .map(|bytes| to_hex(&bytes))
                    .map_err(|error| error.to_string())
            }
            Action::FlowMod => sent(input.parse().map(Message::FlowMod)),
            Action::GroupMod => {
                sent(GroupMod::parse(GroupCommand::Add, input).map(Message::GroupMod))
            }
            Action::MeterMod => sent(input.parse().map(Message::MeterMod)),
        }
    }
}

fn sent(message: Result<Message, ParseError>) -> Result<String, String> {
    let bytes = message.map_err(|error| error.to_string())?.to_bytes(0);
    bytes
        .map(|bytes| to_hex(&bytes))
        .map_err(|error| error.to_string())
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    if !digits.len().is_multiple_of(2) {
        return Err("an odd number of hexadecimal digits".to_owned());
    }
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for pair in digits.chunks_exact(2) {
        let mut byte = 0;
        for digit in pair {
            byte = byte << 4
                | digit
                    .to_digit(16)
                    .ok_or_else(|| format!("{digit:?} is no hexadecimal digit"))?;
        }
        bytes.push(u8::try_from(byte).map_err(|error| error.to_string())?);
    }
    Ok(bytes)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of an output. Text that a switch sent has a character for each byte, whatever its encoding.
fn to_bytes(text: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .filter(|argument| argument != "--names")
        .collect();
    let input = arguments.pop();
    let action = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["print"] => Action::Print,
        ["reencode"] => Action::Reencode,
        ["flow-mod"] => Action::FlowMod,
        ["group-mod"] => Action::GroupMod,
        ["meter-mod"] => Action::MeterMod,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let Some(input) = input else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let done = if input == "-" {
        lines(action)
    } else {
        one(action, &input)
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ofp: {error}");
            ExitCode::FAILURE
        }
    }
}

fn one(action: Action, input: &str) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match action.run(input) {
        Ok(text) => {
            out.write_all(&to_bytes(text.strip_suffix('\n').unwrap_or(&text)))?;
            out.write_all(b"\n")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            writeln!(out, "error: {error}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// One line out for each line in, in the same order, whatever it holds.
fn lines(action: Action) -> io::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let text = match action.run(line.trim_end_matches('\r')) {
            Ok(text) => to_bytes(
                &text
                    .strip_suffix('\n')
                    .unwrap_or(&text)
                    .replace('\n', "\\n"),
            ),
            Err(error) => format!("error: {error}").replace('\n', "\\n").into_bytes(),
        };
        out.write_all(&text)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
