//! Services: which endpoint is at which index, how one is chosen, and what has to be kept in mind between changes.
//!
//! - [`Slots`]: the endpoints of a Service by index. An endpoint keeps its index as long as it lives.
//! - [`Choice`]: how a packet gets to an index.
//! - [`Memory`]: the slots of all Services, and the addresses that are, or were lately, endpoints.
//! - [`counters`]: what a switch counted of them.
//! - [`affinity_remainder`]: what a client's affinity needs beyond the longest timeout there is.

mod affinity;
mod choice;
mod counters;
mod memory;
mod recover;
mod slots;

pub use affinity::affinity_remainder;
pub use choice::Choice;
pub use counters::{COUNTED, Counters, counters};
pub use memory::{Memory, Scope, service_number};
pub use slots::Slots;

pub(crate) use affinity::{LEARNED, SHORT};
pub(crate) use choice::{HASHED_BITS, Look, index_of, values};
pub(crate) use memory::Delta;
pub(crate) use recover::recover;
pub(crate) use slots::{Slot, changes};
