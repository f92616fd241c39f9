//! A compact JWS, taken apart strictly. RFC 7515 sections 3.1 and 7.1; base64 of RFC 4648, canonical.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::error::VerifyError;

const PART: &str = "jws";

/// A signed text: well-formed, its signature not yet checked.
#[derive(Debug)]
pub(crate) struct Compact<'a> {
    /// The header's JSON text.
    pub header: Vec<u8>,
    /// The payload's bytes.
    pub payload: Vec<u8>,
    /// The bytes that the signature is over: `header.payload` as sent.
    pub signed: &'a [u8],
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Takes `header.payload.signature` apart; each in base64url without padding, at most `most` bytes in all.
    ///
    /// # Errors
    /// `too-large` before anything else; `malformed` for another number of segments or any base64 but the canonical one.
    pub fn parse(bytes: &'a [u8], most: usize) -> Result<Self, VerifyError> {
        if bytes.len() > most {
            return Err(VerifyError::too_large(PART, format!("{} bytes, at most {most}", bytes.len())));
        }
        let mut segments = bytes.splitn(4, |byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(VerifyError::malformed(PART, "not three segments divided by dots"));
        };
        let signed = bytes.get(..header.len().saturating_add(1).saturating_add(payload.len())).unwrap_or_default();
        Ok(Self {
            header: decode(header, "header")?,
            payload: decode(payload, "payload")?,
            signature: decode(signature, "signature")?,
            signed,
        })
    }
}

/// Reads JSON into a type that names every member: nothing unknown, nothing twice, nothing after the end. The type must deny
/// unknown fields.
///
/// # Errors
/// `malformed`; the sentence names the segment and never its content.
pub(crate) fn strict_json<'a, T: Deserialize<'a>>(bytes: &'a [u8], segment: &str) -> Result<T, VerifyError> {
    serde_json::from_slice(bytes).map_err(|error| {
        VerifyError::malformed(
            PART,
            format!("the {segment} is not the expected json at line {}, column {}", error.line(), error.column()),
        )
    })
}

/// The certificates of a header `x5c`: standard base64 with padding, each in DER; 1 to `most` of them.
///
/// # Errors
/// `malformed` or `too-large`.
pub(crate) fn certificates(x5c: &[String], most: usize) -> Result<Vec<Vec<u8>>, VerifyError> {
    if x5c.is_empty() {
        return Err(VerifyError::malformed(PART, "`x5c` is empty"));
    }
    if x5c.len() > most {
        return Err(VerifyError::too_large(PART, format!("{} certificates in `x5c`, at most {most}", x5c.len())));
    }
    let one = |text: &String| {
        STANDARD.decode(text).map_err(|_| VerifyError::malformed(PART, "`x5c` is not canonical base64"))
    };
    x5c.iter().map(one).collect()
}

fn decode(segment: &[u8], name: &str) -> Result<Vec<u8>, VerifyError> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| VerifyError::malformed(PART, format!("the {name} is not canonical base64url")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwt_32_and_35_only_three_canonical_segments() {
        let parts = Compact::parse(b"AQ.Ag.Aw", 64).unwrap();
        assert_eq!((parts.header, parts.payload, parts.signature), (vec![1], vec![2], vec![3]));
        assert_eq!(parts.signed, b"AQ.Ag");
        for bad in ["AQ.Ag", "AQ.Ag.Aw.BA", "AQ==.Ag.Aw", "AR.Ag.Aw", "AQ.A/.Aw", "AQ.A g.Aw", "AQ.Ag.Aw\n", ""] {
            assert_eq!(Compact::parse(bad.as_bytes(), 64).unwrap_err().code(), "malformed", "{bad}");
        }
        assert_eq!(Compact::parse(&[b'.'; 65], 64).unwrap_err().code(), "too-large");
    }

    #[test]
    fn jwt_30_and_31_json_says_everything_once() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct One {
            alg: String,
        }
        assert_eq!(strict_json::<One>(br#"{"alg":"x"}"#, "header").unwrap().alg, "x");
        for bad in [
            r#"{"alg":"x","alg":"x"}"#,
            r#"{"alg":"x","\u0061lg":"x"}"#,
            r#"{"alg":"x","b":1}"#,
            r#"{"alg":"x"}{}"#,
            "\u{feff}{\"alg\":\"x\"}",
            "{}",
        ] {
            assert_eq!(strict_json::<One>(bad.as_bytes(), "header").unwrap_err().code(), "malformed", "{bad}");
        }
    }
}
