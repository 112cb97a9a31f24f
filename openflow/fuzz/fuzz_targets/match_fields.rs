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
        let _ = (m.to_string(), m.validate());
        let mut again = Vec::new();
        if m.encode_fields(&mut Writer::new(&mut again)).is_ok() {
            assert_eq!(Match::decode_fields(&again, false).as_ref(), Ok(&m));
        }
    }
});
