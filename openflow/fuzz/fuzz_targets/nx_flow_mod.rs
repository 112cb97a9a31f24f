//! NXT_FLOW_MOD: a flow with the match of Nicira's extension.
#![no_main]

mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let body = [&0x2320_u32.to_be_bytes()[..], &[0, 0, 0, 13], data].concat();
    check::check(&check::message(4, &body));
});
