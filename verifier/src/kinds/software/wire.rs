//! The layout of a software statement: a compact JWS with exactly these members.
//!
//! RFC 7515. Header `alg`, `typ`, `x5c`; payload `measurement`, `host`, `report_data`, `iat`, `debug`; nothing else, nothing
//! twice.

use serde::Deserialize;

use crate::error::VerifyError;
use crate::formats::jose::{Compact, certificates, strict_json};
use crate::time::UnixTime;

pub(super) const PART: &str = "software-statement";
/// The most bytes of a statement.
const MAX_STATEMENT: usize = 64 * 1024;
/// The most certificates in `x5c`.
pub(super) const MAX_CHAIN: usize = 4;
/// The most bytes in a host name.
const MAX_HOST: usize = 255;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    x5c: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    measurement: String,
    host: String,
    report_data: String,
    iat: i64,
    debug: bool,
}

/// A statement with its signature, not yet checked.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    /// What the attester says it measured, SHA-384.
    pub measurement: [u8; 48],
    /// The machine's name, by its own word.
    pub host: String,
    /// What the workload wants signed.
    pub report_data: [u8; 64],
    /// When it was made.
    pub issued_at: UnixTime,
    /// Whether the attester says that it runs in debug mode.
    pub debug: bool,
    /// Leaf first, without the root, DER.
    pub chain: Vec<Vec<u8>>,
    /// The bytes that the signature is over.
    pub signed: &'a [u8],
    /// As it stands in the JWS: right only at 64 bytes, r ‖ s.
    pub signature: Vec<u8>,
}

impl<'a> Statement<'a> {
    /// Reads a statement.
    ///
    /// # Errors
    /// `malformed`, `too-large`, `unsupported` for another algorithm than ES256.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        let bad = |detail: &'static str| VerifyError::malformed(PART, detail);
        let jws = Compact::parse(bytes, MAX_STATEMENT)?;
        let header: Header = strict_json(&jws.header, "header")?;
        if header.alg != "ES256" {
            return Err(VerifyError::unsupported(PART, "the algorithm is not `ES256`"));
        }
        if header.typ != "keygate-software" {
            return Err(bad("the type is not `keygate-software`"));
        }
        let payload: Payload = strict_json(&jws.payload, "payload")?;
        if payload.host.len() > MAX_HOST {
            return Err(VerifyError::too_large(PART, format!("`host` has more than {MAX_HOST} bytes")));
        }
        Ok(Self {
            measurement: lower_hex(&payload.measurement)
                .ok_or_else(|| bad("`measurement` is not 96 lower-case hex digits"))?,
            host: payload.host,
            report_data: lower_hex(&payload.report_data)
                .ok_or_else(|| bad("`report_data` is not 128 lower-case hex digits"))?,
            issued_at: UnixTime::from_secs(payload.iat),
            debug: payload.debug,
            chain: certificates(&header.x5c, MAX_CHAIN)?,
            signed: jws.signed,
            signature: jws.signature,
        })
    }
}

fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let lower = text.bytes().all(|b| !b.is_ascii_uppercase());
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}
