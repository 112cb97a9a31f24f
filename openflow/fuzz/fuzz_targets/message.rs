//! Every type of message, by its first byte.
#![no_main]

mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [type_, body @ ..] = data else { return };
    check::check(&check::message(type_ % 30, body));
    check::check(data);
});
