//! Framing: a stream cut at any place gives the same documents as the whole, and no document of
//! valid JSON is longer or shorter than it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ovsdb::framing::Scanner;

fn ends(data: &[u8], step: usize) -> Result<Vec<usize>, ()> {
    let mut scanner = Scanner::new(1 << 16);
    let (mut from, mut to, mut ends) = (0, 0, Vec::new());
    loop {
        match scanner.scan(&data[from..to]) {
            Ok(Some(envelope)) => {
                let document = &data[from..from + envelope.end];
                for span in [envelope.id, envelope.method, envelope.params, envelope.result, envelope.error] {
                    assert!(span.is_none_or(|span| span.end <= document.len()));
                }
                from += envelope.end;
                ends.push(from);
            }
            Ok(None) if to == data.len() => return Ok(ends),
            Ok(None) => to = (to + step).min(data.len()),
            Err(_) => return Err(()),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((step, data)) = data.split_first() else { return };
    let whole = ends(data, data.len().max(1));
    assert_eq!(whole, ends(data, usize::from(*step).max(1)));
    // What is one JSON object to the parser is one document to the scanner.
    if let Ok(serde_json::Value::Object(_)) = serde_json::from_slice(data)
        && let Ok(ends) = whole
    {
        assert_eq!(ends.len(), 1);
        assert!(data[ends[0]..].iter().all(u8::is_ascii_whitespace));
    }
});
