//! The text form of whole messages, as `ovs-ofctl ofp-print` prints them.

use super::Message;

impl Message {
    /// The message as `ovs-ofctl` prints it, with `xid` in the header.
    #[must_use]
    pub fn to_text(&self, xid: u32) -> String {
        let body = match self {
            Message::FlowMod(flow) => flow.to_string(),
            Message::GroupMod(group) => group.to_string(),
            _ => String::new(),
        };
        format!("{} (OF1.3) (xid={xid:#x}): {body}", self.name())
    }
}
