//! The text of packets, which is read from whatever a pod sends.
#![no_main]

mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let fixed = [
        0xff, 0xff, 0xff, 0xff, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 0, 0, 0, 0, 0,
    ];
    check::check(&check::message(10, &[&fixed[..], data].concat()));
    let layer3 = [
        0xff, 0xff, 0xff, 0xff, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 12, 0x80, 0, 0x58, 4,
    ];
    let type_ = [0, 1, 0x08, 0, 0, 0, 0, 0, 0, 0];
    check::check(&check::message(
        10,
        &[&layer3[..], &type_[..4], &[0; 6][..], data].concat(),
    ));
});
