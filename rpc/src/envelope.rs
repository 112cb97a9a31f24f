//! The JSON-RPC 2.0 request and response around every method's own types.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{ErrorObject, code};

/// `params` of every request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params<T> {
    /// The protocol the caller speaks, [`PROTOCOL`](crate::PROTOCOL).
    pub protocol: u32,
    /// The method's request.
    pub body: T,
}

impl<T> Params<T> {
    /// `body` in the protocol of this build.
    pub fn new(body: T) -> Self {
        Params {
            protocol: crate::PROTOCOL,
            body,
        }
    }
}

/// For the serving side: the body out of the raw text of `params`. The protocol is looked at
/// before the body is, so that a body of another protocol is never misread.
///
/// # Errors
/// [`code::PROTOCOL_MISMATCH`] or [`code::INVALID_PARAMS`], ready to be sent back.
pub fn decode_params<T: DeserializeOwned>(params: &str) -> Result<T, ErrorObject> {
    #[derive(Deserialize)]
    struct Head {
        protocol: u32,
    }
    let invalid = |error: serde_json::Error| {
        ErrorObject::new(code::INVALID_PARAMS, format!("invalid params: {error}"))
    };
    let head: Head = serde_json::from_str(params).map_err(invalid)?;
    if !(crate::MIN_PROTOCOL..=crate::PROTOCOL).contains(&head.protocol) {
        return Err(ErrorObject::protocol_mismatch(head.protocol));
    }
    serde_json::from_str::<Params<T>>(params)
        .map(|params| params.body)
        .map_err(invalid)
}

/// A request on the wire.
#[derive(Debug, Serialize)]
pub(crate) struct Request<'a, T> {
    pub(crate) jsonrpc: &'static str,
    pub(crate) id: u64,
    pub(crate) method: &'a str,
    pub(crate) params: Params<&'a T>,
}

/// A response on the wire. `result` and `error` exclude each other (section 5).
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub(crate) struct Response<T> {
    pub(crate) id: Option<u64>,
    #[serde(default = "none")]
    pub(crate) result: Option<T>,
    #[serde(default)]
    pub(crate) error: Option<ErrorObject>,
}

/// `Default` for `Option<T>` without asking `T: Default`.
fn none<T>() -> Option<T> {
    None
}
