//! What stands in `data`: JSON, wrapped in a member `payload`. TPM and VBS attestation protocol, section 1.
//!
//! A message that is not wrapped is read as well; answers always are.

use keygate_policies::{Limits, json as strict};
use serde_json::{Value, json};

use crate::broker::error::{Code, Fault};

/// The one type of the first message.
const INIT: &str = "aikcert";

/// A message of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A challenge is asked for.
    Init,
    /// A request: a compact JWS, not looked at.
    Request(String),
}

/// Reads a message.
pub(super) fn read(data: &[u8]) -> Result<Message, Fault> {
    let malformed = |what: &'static str| Fault::new(Code::Malformed, what);
    let node = strict::parse(data, &Limits::request(data.len())).map_err(|diagnostic| {
        Fault::new(Code::of(diagnostic.code), "the message is no strict json").because(diagnostic.to_string())
    })?;
    let message = node.get("payload").unwrap_or(&node);
    if message.as_object().is_none() {
        return Err(malformed("the message is no object"));
    }
    match (message.get("type"), message.get("request")) {
        (Some(kind), None) if kind.as_text() == Some(INIT) => Ok(Message::Init),
        (Some(_), None) => Err(malformed("the type of a first message is `aikcert`")),
        (None, Some(request)) => match request.as_text() {
            Some(text) => Ok(Message::Request(text.to_owned())),
            None => Err(malformed("the request is no text")),
        },
        _ => Err(malformed("a message has a `type`, or a `request`")),
    }
}

/// Wraps an answer.
pub(super) fn wrapped(payload: &Value) -> Vec<u8> {
    json!({"payload": payload}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_wrapped_or_bare() {
        for text in [
            r#"{"payload":{"type":"aikcert"}}"#,
            r#"{"payload": {"type": "aikcert"}, "metadata": {"os_ver": "10.0"}}"#,
            r#"{"type":"aikcert"}"#,
        ] {
            assert_eq!(read(text.as_bytes()).unwrap(), Message::Init, "{text}");
        }
        for text in [r#"{"payload":{"request":"a.b.c"}}"#, r#"{"request":"a.b.c","other":1}"#] {
            assert_eq!(read(text.as_bytes()).unwrap(), Message::Request("a.b.c".into()), "{text}");
        }
        for text in [
            r#"{"payload":{"type":"aikCert"}}"#,
            r#"{"payload":{"type":7}}"#,
            r#"{"payload":{"type":"ekcert"}}"#,
            r#"{"payload":{"request":7}}"#,
            r#"{"payload":{"type":"aikcert","request":"a.b.c"}}"#,
            r#"{"payload":{"type":"aikcert","type":"aikcert"}}"#,
            r#"{"payload":{}}"#,
            r#"{"payload":[]}"#,
            r#"{"payload":"aikcert"}"#,
            "[]",
            "",
            "\u{feff}{\"type\":\"aikcert\"}",
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().code, Code::Malformed, "{text}");
        }
    }
}
