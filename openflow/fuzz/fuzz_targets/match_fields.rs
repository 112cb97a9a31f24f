//! Matches: bytes that decode must encode to what decodes to the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openflow::Match;
use openflow::wire::Writer;

fuzz_target!(|bytes: &[u8]| {
    for strict in [true, false] {
        let Ok(m) = Match::decode_fields(bytes, strict) else {
            continue;
        };
        let _ = m.to_string();
        let mut again = Vec::new();
        // As Open vSwitch does, one may read from NXM what OpenFlow 1.3 cannot say, such as a
        // priority without a tag; no switch takes it.
        if m.validate().is_ok() && m.encode_fields(&mut Writer::new(&mut again)).is_ok() {
            assert_eq!(Match::decode_fields(&again, false).as_ref(), Ok(&m));
        }
    }
});
