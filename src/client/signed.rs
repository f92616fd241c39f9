//! A compact JWS that brings its certificates along: taken apart strictly, and held against a CA that is pinned.
//!
//! RFC 7515 sections 4.1.6 and 7.1; RFC 5280 section 6. Which algorithm, host and purpose count is the caller's to say.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_policies::{Limits, json};
use openssl::error::ErrorStack;
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{X509, X509StoreContext};
use serde_json::{Map, Value};

use super::ClientError;

/// The most certificates in `x5c`, the root counted.
const LONGEST_CHAIN: usize = 4;

/// A compact JWS, its signature not yet checked.
pub(crate) struct Signed<'a> {
    /// As sentences call it.
    name: &'static str,
    /// The header's members.
    pub header: Map<String, Value>,
    payload: Vec<u8>,
    /// What the signature is over.
    pub message: &'a [u8],
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

impl<'a> Signed<'a> {
    /// Takes a text of at most `most` bytes apart. Each part is base64url without padding, canonical; the header is an object that says
    /// nothing twice.
    ///
    /// # Errors
    /// `answer-not-authentic`.
    pub fn read(text: &'a str, name: &'static str, most: usize) -> Result<Self, ClientError> {
        let bad = |what: &str| ClientError::not_authentic(format!("{name} {what}"));
        if text.len() > most {
            return Err(bad("is too long"));
        }
        let mut parts = text.splitn(4, '.');
        let (Some(head), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad("has not three parts"));
        };
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| bad("is not base64url"));
        let (message, _) = text.rsplit_once('.').unwrap_or_default();
        let header = object(&decoded(head)?, most).ok_or_else(|| bad("has no header in json"))?;
        let (payload, signature) = (decoded(payload)?, decoded(signature)?);
        Ok(Self { name, header, payload, message: message.as_bytes(), signature })
    }

    /// A member of the header is this text.
    pub fn says(&self, name: &str, wanted: &str) -> bool {
        self.header.get(name).and_then(Value::as_str) == Some(wanted)
    }

    /// The payload's members.
    ///
    /// # Errors
    /// `answer-not-authentic`: no object, or one that says something twice.
    pub fn payload(&self) -> Result<Map<String, Value>, ClientError> {
        object(&self.payload, self.payload.len()).ok_or_else(|| self.bad("is no json"))
    }

    /// The certificates of `x5c`, leaf first, DER: 1 to 4.
    ///
    /// # Errors
    /// `answer-not-authentic`.
    pub fn certificates(&self) -> Result<Vec<Vec<u8>>, ClientError> {
        let chain =
            self.header.get("x5c").and_then(Value::as_array).ok_or_else(|| self.bad("names no certificates"))?;
        chain
            .iter()
            .take(LONGEST_CHAIN + 1)
            .map(|c| c.as_str().and_then(|c| STANDARD.decode(c).ok()))
            .collect::<Option<_>>()
            .filter(|c: &Vec<Vec<u8>>| (1..=LONGEST_CHAIN).contains(&c.len()))
            .ok_or_else(|| self.bad("has certificates that do not parse"))
    }

    /// The leaf of these certificates, if they lead from it to one of the authorities under these rules.
    ///
    /// # Errors
    /// `answer-not-authentic`.
    pub fn leaf(
        &self,
        certificates: &[Vec<u8>],
        authorities: &[X509],
        rules: &X509VerifyParam,
    ) -> Result<X509, ClientError> {
        let (leaf, between) = certificates.split_first().ok_or_else(|| self.bad("names no certificates"))?;
        let leaf = X509::from_der(leaf).map_err(|_| self.bad("has a certificate that does not parse"))?;
        if !chains(&leaf, between, authorities, rules).unwrap_or(false) {
            return Err(self.bad("has a certificate that does not chain to the CA that is pinned"));
        }
        Ok(leaf)
    }

    /// A refusal about this JWS.
    pub fn bad(&self, what: &str) -> ClientError {
        ClientError::not_authentic(format!("{} {what}", self.name))
    }
}

/// A JSON object that says nothing twice, of at most `most` bytes.
pub(crate) fn object(bytes: &[u8], most: usize) -> Option<Map<String, Value>> {
    match json::parse(bytes, &Limits::request(most)).map(|node| node.to_value()) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

fn chains(leaf: &X509, between: &[Vec<u8>], authorities: &[X509], rules: &X509VerifyParam) -> Result<bool, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for authority in authorities {
        store.add_cert(authority.clone())?;
    }
    store.set_param(rules)?;
    let store = store.build();
    let mut stack = Stack::new()?;
    for der in between {
        stack.push(X509::from_der(der)?)?;
    }
    X509StoreContext::new()?.init(&store, leaf, &stack, |context| context.verify_cert())
}
