//! Messages within messages: bundled, forwarded, and quoted by errors.
#![no_main]

mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [type_, body @ ..] = data else { return };
    let inner = check::message(type_ % 30, &body[..body.len().min(60_000)]);
    check::check(&check::message(
        1,
        &[&[0, type_ % 17, 0, type_ % 5][..], &inner].concat(),
    ));
    let head = |exp_type: u32| [0x4f4e_4600_u32.to_be_bytes(), exp_type.to_be_bytes()].concat();
    check::check(&check::message(
        4,
        &[&head(2301)[..], &[0, 0, 0, 1, 0, 0, 0, 3], &inner].concat(),
    ));
    check::check(&check::message(4, &[&head(2350)[..], &inner].concat()));
});
