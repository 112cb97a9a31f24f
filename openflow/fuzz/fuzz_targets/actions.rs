//! Lists of actions: bytes that decode must encode to what decodes to the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openflow::wire::{Reader, Writer};
use openflow::{ErrorKind, action};

fuzz_target!(|bytes: &[u8]| {
    let read = |bytes: &[u8]| action::decode_list(Reader::new(bytes, ErrorKind::BacBadLen, "fuzz"));
    let Ok(list) = read(bytes) else { return };
    let _ = action::verify(&list);
    let _ = action::canonical(&list);
    list.iter().for_each(|a| drop(a.to_string()));
    let mut again = Vec::new();
    if action::encode_list(&list, &mut Writer::new(&mut again)).is_ok() {
        assert_eq!(read(&again).as_ref(), Ok(&list));
    }
});
