//! Messages and what stands in them: whatever decodes encodes again to something that decodes to
//! the same.
#![no_main]

use std::fmt::Debug;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ovsdb::framing::Scanner;
use ovsdb::rpc::Message;
use ovsdb::schema::DatabaseSchema;
use ovsdb::{Operation, Value};

fn again<T: serde::de::DeserializeOwned + serde::Serialize + PartialEq + Debug>(json: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(json) {
        let text = serde_json::to_vec(&read).expect("what was read can be written");
        let twice: T = serde_json::from_slice(&text).expect("what was written can be read");
        // A real without a fraction reads as an integer until its column is known, so compare what
        // is written.
        assert_eq!(serde_json::to_vec(&twice).expect("written again"), text);
    }
}

fuzz_target!(|data: &[u8]| {
    again::<Value>(data);
    again::<Operation>(data);
    again::<DatabaseSchema>(data);
    let Ok(Some(envelope)) = Scanner::new(1 << 16).scan(data) else { return };
    let document = Bytes::copy_from_slice(&data[..envelope.end]);
    if let Ok(message) = Message::decode(&document, envelope) {
        let body = match message {
            Message::Request { params, .. } | Message::Notification { params, .. } => params,
            Message::Response { outcome: Ok(result), .. } => result,
            Message::Response { outcome: Err(error), .. } => error,
        };
        again::<Vec<Value>>(&body);
        again::<Vec<Operation>>(&body);
    }
});
