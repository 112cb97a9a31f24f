//! Reading the text of a match.

use std::str::FromStr;

use super::Match;
use crate::error::ParseError;

impl FromStr for Match {
    type Err = ParseError;

    fn from_str(_s: &str) -> Result<Self, ParseError> {
        Err(ParseError::new("not yet"))
    }
}
