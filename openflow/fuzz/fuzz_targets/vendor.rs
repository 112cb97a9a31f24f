//! Vendors’ messages: Nicira’s by number, and the ONF’s.
#![no_main]

mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [type_, body @ ..] = data else { return };
    let nicira = [&0x2320_u32.to_be_bytes()[..], &[0, 0, 0, type_ % 34], body].concat();
    check::check(&check::message(4, &nicira));
    let exp_type = [1870_u32, 1871, 1872, 1911, 2300, 2301, 2350][usize::from(*type_) % 7];
    let onf = [
        &0x4f4e_4600_u32.to_be_bytes()[..],
        &exp_type.to_be_bytes(),
        body,
    ]
    .concat();
    check::check(&check::message(4, &onf));
});
