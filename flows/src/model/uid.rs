//! UIDs. Of 100,000 pods each has one, so that they are not kept as text.

/// A UID, good for telling whether two are the same.
///
/// Those that servers give are UUIDs, which are kept as they are; of anything else a hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid([u8; 16]);

impl Uid {
    /// The UID that this text is.
    pub fn new(text: &str) -> Uid {
        Uid(uuid(text).unwrap_or_else(|| hash(text)))
    }

    /// Whether both may be of one object: they are the same, or one of them is not known, which is that of the empty
    /// text.
    pub fn may_be(self, other: Uid) -> bool {
        self == other || [self, other].contains(&Uid::default())
    }
}

impl Default for Uid {
    fn default() -> Uid {
        Uid::new("")
    }
}

/// The bytes of a UUID in its usual form.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let dashes = [8, 13, 18, 23];
    let bytes = text.as_bytes();
    if bytes.len() != 36 || dashes.iter().any(|at| bytes.get(*at) != Some(&b'-')) {
        return None;
    }
    let mut digits = bytes
        .iter()
        .filter(|byte| **byte != b'-')
        .map(|byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        });
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        *byte = (digits.next()?? << 4) | digits.next()??;
    }
    digits.next().is_none().then_some(uuid)
}

/// 128 bits of FNV-1a.
fn hash(text: &str) -> [u8; 16] {
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in text.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    hash.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_told_apart() {
        let all = [
            "",
            "1",
            "2",
            "web",
            "0c9f1d4e-c3a5-4f6e-9d2b-6f3b1a2c4d5e",
            "0c9f1d4e-c3a5-4f6e-9d2b-6f3b1a2c4d5f",
            "0C9F1D4E-c3a5-4f6e-9d2b-6f3b1a2c4d5e",
            "0c9f1d4ec3a54f6e9d2b6f3b1a2c4d5e",
            "0c9f1d4e-c3a5-4f6e-9d2b-6f3b1a2c-d5e",
        ];
        for (at, text) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(
                    Uid::new(text) == Uid::new(other),
                    at == other_at,
                    "{text} {other}"
                );
            }
        }
        let kept = Uid::new("00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(
            kept.0,
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
        );
        assert_eq!(Uid::default(), Uid::new(""));
    }

    #[test]
    fn what_is_not_known_may_be_any() {
        let (a, b, unknown) = (Uid::new("a"), Uid::new("b"), Uid::default());
        assert!(a.may_be(a) && a.may_be(unknown) && unknown.may_be(a) && unknown.may_be(unknown));
        assert!(!a.may_be(b));
    }
}
