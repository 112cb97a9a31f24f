//! Comments of rules, in which a rule says in words what it does: two rules with the same comment are the same rule.
//!
//! They are user data, in the form in which `nft` writes and prints them.

/// The type nft gives a comment among a rule's user data (`NFTNL_UDATA_RULE_COMMENT`).
const COMMENT: u8 = 0;

/// User data is a list of type, length, value, a byte each for the first two; a comment ends with a zero byte.
pub(super) fn user_data(comment: &str) -> Vec<u8> {
    let mut text = comment.as_bytes().to_vec();
    text.truncate(usize::from(u8::MAX) - 1);
    text.push(0);
    let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [vec![COMMENT, len], text].concat()
}

/// The comment among a rule's user data; empty if there is none.
pub(super) fn of(user_data: &[u8]) -> String {
    let mut rest = user_data;
    while let [kind, len, tail @ ..] = rest {
        let Some((value, after)) = tail.split_at_checked(usize::from(*len)) else {
            break;
        };
        if *kind == COMMENT {
            return String::from_utf8_lossy(value)
                .trim_end_matches('\0')
                .to_owned();
        }
        rest = after;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_survives_and_garbage_is_no_comment() {
        assert_eq!(user_data("hello"), b"\0\x06hello\0");
        assert_eq!(of(&user_data("hello")), "hello");
        // An unknown kind of user data before it.
        let behind = [vec![7, 2, 1, 2], user_data("behind")].concat();
        assert_eq!(of(&behind), "behind");
        assert_eq!(of(&[]), "");
        assert_eq!(of(&[COMMENT, 9, 1]), "");
    }
}
