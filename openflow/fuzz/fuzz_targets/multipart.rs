//! Multipart requests and replies of every type.
#![no_main]

mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [type_, body @ ..] = data else { return };
    let head = [0, type_ >> 1 & 15, 0, 0, 0, 0, 0, 0];
    check::check(&check::message(
        18 + (type_ & 1),
        &[&head[..], body].concat(),
    ));
    let (vendor, exp_type) =
        [(0x2320_u32, 3_u32), (0x2320, 4), (0x4f4e_4600, 1870)][usize::from(*type_) % 3];
    let head = [
        &[0xff, 0xff, 0, 0, 0, 0, 0, 0][..],
        &vendor.to_be_bytes(),
        &exp_type.to_be_bytes(),
    ]
    .concat();
    check::check(&check::message(
        18 + (type_ & 1),
        &[&head[..], body].concat(),
    ));
});
