//! Reading flows in the syntax of `ovs-ofctl add-flow`.

use std::str::FromStr;

use super::FlowMod;
use crate::error::ParseError;

impl FromStr for FlowMod {
    type Err = ParseError;

    fn from_str(_s: &str) -> Result<Self, ParseError> {
        Err(ParseError::new("not yet"))
    }
}
