//! Table Drop: one flow per reason, so that its counter answers how often; on demand it sends the agent samples.

use openflow::Action;
use openflow::action::Controller;

use crate::cookie::Cookie;
use crate::fragment::{Fragment, Steps, any};
use crate::pipeline::{DROP_METER, REASON, SAMPLE_BYTES, Table};
use crate::reason::DropReason;

const REASONS: u16 = 100;

/// `sampling` says whether dropped packets are sent to the agent, no more of them than [`DROP_METER`] lets pass.
pub(crate) fn base(sampling: bool, f: &mut Fragment) {
    for reason in DropReason::ALL {
        let because = any().eq(REASON, u32::from(reason.code()));
        let steps = if sampling {
            Steps::new().action(sample())
        } else {
            Steps::new()
        };
        f.flow_of(Cookie::drop(*reason), Table::Drop, REASONS, because, steps);
    }
}

fn sample() -> Action {
    Action::Controller(Box::new(Controller {
        max_len: SAMPLE_BYTES,
        meter_id: Some(DROP_METER.0),
        ..Controller::default()
    }))
}
