//! A key in a request, and what binds it to the machine. TPM and VBS attestation protocol, section 2.2.
//!
//! The text of a JWK is kept as it stood on the wire: the quote covers a hash over exactly that text.

use openssl::sha::Sha256;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::error::VerifyError;
use crate::formats::base64url::decode_lenient;
use crate::formats::json;
use crate::signatures::PublicKey;
use crate::tokens::public_key;

const PART: &str = "tpm-key";
/// The one hash by which a quote binds a key.
const SHA_256: &str = "sha-256";

/// A key with its binding, as the payload has it.
#[derive(Deserialize)]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    jwk: &'a RawValue,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InfoWire {
    tpm_quote: Option<QuoteWire>,
    tpm_certify: Option<CertifyWire>,
    vbs_ncrypt: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct QuoteWire {
    hash_alg: String,
}

#[derive(Deserialize)]
struct CertifyWire {
    public: String,
    certification: String,
    signature: String,
}

/// What binds a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Info {
    /// Nothing.
    Unbound,
    /// The qualifying data of the quote are a hash over it and the challenge.
    Quoted,
    /// It is resident in the TPM, which the attestation key certifies.
    Certified(Certified),
}

/// The certification of a resident key: TPMT_PUBLIC, TPMS_ATTEST and TPMT_SIGNATURE as they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certified {
    pub public: Vec<u8>,
    pub certification: Vec<u8>,
    pub signature: Vec<u8>,
}

/// A key in a request.
pub(super) struct KeyObject {
    text: String,
    /// Its members.
    pub jwk: Map<String, Value>,
    /// The key.
    pub key: PublicKey,
    /// What binds it.
    pub info: Info,
}

impl KeyObject {
    /// Reads a key with its binding.
    ///
    /// # Errors
    /// `malformed`; `unsupported` for a binding or a hash that is not known; see [`KeyObject::bare`].
    pub fn read(wire: &Wire<'_>) -> Result<Self, VerifyError> {
        let info = wire.info.map_or(Ok(Info::Unbound), info)?;
        Self::of(wire.jwk, info)
    }

    /// Reads a key that nothing binds.
    ///
    /// # Errors
    /// `malformed.tpm-key`: no JWK of RSA or a NIST curve, one with a private part, one that is too weak.
    pub fn bare(jwk: &RawValue) -> Result<Self, VerifyError> {
        Self::of(jwk, Info::Unbound)
    }

    fn of(raw: &RawValue, info: Info) -> Result<Self, VerifyError> {
        let text = raw.get().to_owned();
        let bad = || VerifyError::malformed(PART, "a key is no jwk of a public key that is served");
        let jwk = json::object(text.as_bytes()).map_err(|_| bad())?;
        let key = public_key(&jwk).ok_or_else(bad)?;
        Ok(Self { text, jwk, key, info })
    }

    /// What a quote that binds it has as qualifying data: SHA-256 over the text as it stood on the wire, a zero byte, the challenge.
    pub fn quoted_with(&self, challenge: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.text.as_bytes());
        hash.update(&[0]);
        hash.update(challenge);
        hash.finish()
    }

    /// The key as policies see it where nothing or the quote binds it; what a certification says of it is for whoever checked that.
    pub fn for_policies(&self, certified: Option<Value>) -> Value {
        let info = match (&self.info, certified) {
            (Info::Quoted, _) => json!({"tpm_quote": {"hash_alg": SHA_256}}),
            (_, Some(certified)) => json!({"tpm_certify": certified}),
            (_, None) => json!({}),
        };
        json!({"jwk": self.jwk, "info": info})
    }
}

fn info(raw: &RawValue) -> Result<Info, VerifyError> {
    let unknown = || VerifyError::unsupported(PART, "what binds a key is `tpm_quote`, `tpm_certify` or nothing");
    let members = json::object(raw.get().as_bytes())
        .map_err(|_| VerifyError::malformed(PART, "what binds a key is no json object"))?;
    if members.keys().any(|name| !matches!(name.as_str(), "tpm_quote" | "tpm_certify" | "vbs_ncrypt")) {
        return Err(unknown());
    }
    let wire: InfoWire = serde_json::from_str(raw.get())
        .map_err(|_| VerifyError::malformed(PART, "what binds a key lacks a member or has it of another type"))?;
    match (wire.tpm_quote, wire.tpm_certify, wire.vbs_ncrypt) {
        (None, None, None) => Ok(Info::Unbound),
        (Some(quote), None, None) if quote.hash_alg == SHA_256 => Ok(Info::Quoted),
        (Some(_), None, None) => {
            Err(VerifyError::unsupported(PART, "a quote binds a key by `sha-256` and nothing else"))
        }
        (None, Some(wire), None) => Ok(Info::Certified(Certified {
            public: bytes(&wire.public)?,
            certification: bytes(&wire.certification)?,
            signature: bytes(&wire.signature)?,
        })),
        (None, None, Some(_)) => Err(VerifyError::unsupported(PART, "keys of the secure kernel are not served")),
        _ => Err(VerifyError::malformed(PART, "a key is bound in one way or in none")),
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, VerifyError> {
    decode_lenient(text).ok_or_else(|| VerifyError::malformed(PART, "a member is not base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC: &str = r#"{"kty":"EC", "crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

    fn read(text: &str) -> Result<KeyObject, VerifyError> {
        KeyObject::read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_text_of_a_key_is_hashed_as_it_stands() {
        let quoted = format!(r#"{{ "jwk" : {EC} , "info": {{"tpm_quote": {{"hash_alg": "sha-256"}}}} }}"#);
        let key = read(&quoted).unwrap();
        assert_eq!(key.info, Info::Quoted);
        let wanted = openssl::sha::sha256(format!("{EC}\0challenge").as_bytes());
        assert_eq!(key.quoted_with(b"challenge"), wanted);
        let compact = EC.replace(", ", ",");
        let other = read(&quoted.replace(EC, &compact)).unwrap();
        assert_eq!(other.jwk, key.jwk);
        assert_ne!(other.quoted_with(b"challenge"), wanted, "the same key in another text");
        assert_eq!(key.for_policies(None)["info"], json!({"tpm_quote": {"hash_alg": "sha-256"}}));
        assert_eq!(key.for_policies(None)["jwk"]["crv"], "P-256");
    }

    #[test]
    fn a_key_is_bound_in_one_known_way_or_in_none() {
        let with = |info: &str| read(&format!(r#"{{"jwk":{EC},"info":{info}}}"#)).map(|key| key.info);
        for nothing in ["{}", "null"] {
            assert_eq!(with(nothing).unwrap(), Info::Unbound);
        }
        let certify = r#""tpm_certify":{"public":"AA","certification":"AQ","signature":"Ag=="}"#;
        let certified = Certified { public: vec![0], certification: vec![1], signature: vec![2] };
        assert_eq!(with(&format!("{{{certify}}}")).unwrap(), Info::Certified(certified));
        for (info, code) in [
            (r#"{"tpm_quote":{"hash_alg":"sha-1"}}"#.to_owned(), "unsupported"),
            (r#"{"tpm_quote":{"hash_alg":"SHA-256"}}"#.to_owned(), "unsupported"),
            (r#"{"tpm_quote":{}}"#.to_owned(), "malformed"),
            (format!(r#"{{"tpm_quote":{{"hash_alg":"sha-256"}},{certify}}}"#), "malformed"),
            (r#"{"tpm_certify":{"public":"A","certification":"AQ","signature":"Ag"}}"#.to_owned(), "malformed"),
            (r#"{"tpm_certify":{"public":"AA","certification":"AQ"}}"#.to_owned(), "malformed"),
            (r#"{"vbs_ncrypt":{}}"#.to_owned(), "unsupported"),
            (r#"{"other":{}}"#.to_owned(), "unsupported"),
            ("[]".to_owned(), "malformed"),
            (r#"{"tpm_quote":{"hash_alg":"sha-256"},"tpm_quote":{"hash_alg":"sha-256"}}"#.to_owned(), "malformed"),
        ] {
            assert_eq!(with(&info).unwrap_err().code(), code, "{info}");
        }
    }

    #[test]
    fn a_key_is_public_whole_and_strong() {
        for jwk in [
            EC.replace("\"y\"", "\"d\":\"AA\",\"y\""),
            EC.replace("P-256", "P-384"),
            EC.replace("f83O", "f83P"),
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(),
            r#"{"kty":"oct","k":"AQAB"}"#.to_owned(),
            r#""text""#.to_owned(),
        ] {
            assert_eq!(read(&format!(r#"{{"jwk":{jwk}}}"#)).err().unwrap().code(), "malformed", "{jwk}");
        }
    }
}
