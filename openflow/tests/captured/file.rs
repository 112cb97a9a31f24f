//! The file of captured messages: a `from` line with the origin, a `hex` line, and what `ovs-ofctl ofp-print` printed,
//! each line after a tab.

use std::fmt::Write as _;

const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/captured/open-vswitch.txt"
);

/// A captured message.
pub(crate) struct Vector {
    /// Who sent it, and upon what.
    pub(crate) origin: String,
    /// The whole message.
    pub(crate) bytes: Vec<u8>,
    /// What `ovs-ofctl ofp-print` printed.
    pub(crate) print: String,
    /// Where it stands in the file.
    pub(crate) line: usize,
}

pub(crate) fn read() -> Vec<Vector> {
    let text = std::fs::read_to_string(PATH)
        .expect("the captured messages: UPDATE_GOLDEN=1 cargo test -p openflow --test vectors");
    let mut vectors: Vec<Vector> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(origin) = line.strip_prefix("from ") {
            vectors.push(Vector {
                origin: origin.to_owned(),
                bytes: Vec::new(),
                print: String::new(),
                line: number + 1,
            });
        } else if !line.is_empty() && !line.starts_with('#') {
            let vector = vectors.last_mut().expect("a from line first");
            if let Some(digits) = line.strip_prefix("hex ") {
                vector.bytes = unhex(digits);
            } else {
                let printed = line.strip_prefix('\t').expect("from, hex or a tab");
                let _ = writeln!(vector.print, "{printed}");
            }
        }
    }
    vectors
}

pub(crate) fn write(vectors: &[Vector]) {
    let mut out = "# Captured from Open vSwitch's programs; not to be edited by hand.\n\
                   # UPDATE_GOLDEN=1 cargo test -p openflow --test vectors\n"
        .to_owned();
    for vector in vectors {
        let _ = write!(
            out,
            "\nfrom {}\nhex {}\n",
            vector.origin,
            hex(&vector.bytes)
        );
        for line in vector.print.lines() {
            let _ = writeln!(out, "\t{line}");
        }
    }
    std::fs::write(PATH, out).expect("the file of captured messages is written");
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    pairs.map(|pair| byte(pair).expect("hexadecimal")).collect()
}
