//! Table updates in both notations, applied one after the other.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ovsdb::fuzzing::updates(data));
