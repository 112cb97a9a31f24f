//! Table Drop: one flow per reason, so that its counter answers how often.

use crate::cookie::Cookie;
use crate::fragment::{Fragment, Steps, any};
use crate::pipeline::{REASON, Table};
use crate::reason::DropReason;

const REASONS: u16 = 100;

pub(crate) fn base(f: &mut Fragment) {
    for reason in DropReason::ALL {
        let because = any().eq(REASON, u32::from(reason.code()));
        f.flow_of(
            Cookie::drop(*reason),
            Table::Drop,
            REASONS,
            because,
            Steps::new(),
        );
    }
}
