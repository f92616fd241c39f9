//! A signing key of the service, parsed once and kept, and compact JWS made with it.
//!
//! RFC 7515, RFC 7518 section 3.4 (ES256), RFC 7638; `performance-floor.md` section 3, traps 1, 5 and 6.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::bn::BigNumContext;
use openssl::ec::{EcKey, PointConversionForm};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;
use openssl::pkey::Private;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::SigningFailed;

/// A P-256 key for one purpose. Neither printable nor cloneable; OpenSSL clears it when it is dropped.
pub struct SigningKey {
    key: EcKey<Private>,
    kid: String,
    x: String,
    y: String,
    point: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

impl SigningKey {
    /// Reads SEC1 DER of a P-256 key; `certificates` are DER, leaf first.
    ///
    /// # Errors
    /// Another curve, or bytes that are no key.
    pub fn from_sec1(der: &[u8], certificates: Vec<Vec<u8>>) -> Result<Self, SigningFailed> {
        let unfit = SigningFailed("a service key is no P-256 key");
        let key = EcKey::private_key_from_der(der).map_err(|_| unfit)?;
        if key.group().curve_name() != Some(Nid::X9_62_PRIME256V1) {
            return Err(unfit);
        }
        let mut context = BigNumContext::new().map_err(|_| unfit)?;
        let form = PointConversionForm::UNCOMPRESSED;
        let point = key.public_key().to_bytes(key.group(), form, &mut context).map_err(|_| unfit)?;
        let (x, y) = match point.get(1..33).zip(point.get(33..65)) {
            Some((x, y)) => (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)),
            None => return Err(unfit),
        };
        let input = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(input.as_bytes()));
        Ok(Self { key, kid, x, y, point, certificates })
    }

    /// RFC 7638 SHA-256 thumbprint, base64url.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The uncompressed public point, 65 bytes.
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// Its certificates, DER, leaf first.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The private half, for signing certificates.
    pub(super) fn private(&self) -> &EcKey<Private> {
        &self.key
    }

    /// The public JWK with `kid`, `alg`, `use` and the purpose it serves.
    pub fn jwk(&self, purpose: &str) -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "x": self.x, "y": self.y,
            "kid": self.kid, "alg": "ES256", "use": "sig", "purpose": purpose,
        })
    }

    /// A JOSE header, base64url; with `x5c` where `chain` says so.
    pub fn header(&self, typ: &str, chain: bool) -> String {
        let mut header = Map::new();
        header.insert("alg".into(), json!("ES256"));
        header.insert("kid".into(), json!(self.kid));
        header.insert("typ".into(), json!(typ));
        if chain {
            let chain: Vec<String> = self.certificates.iter().map(|der| STANDARD.encode(der)).collect();
            header.insert("x5c".into(), json!(chain));
        }
        URL_SAFE_NO_PAD.encode(Value::Object(header).to_string())
    }

    /// A compact JWS under a header made by [`SigningKey::header`].
    ///
    /// # Errors
    /// OpenSSL has no randomness left.
    pub fn jws(&self, header: &str, payload: &Value) -> Result<String, SigningFailed> {
        let failed = SigningFailed("a signature could not be made");
        let mut text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload.to_string()));
        let signature = EcdsaSig::sign(&Sha256::digest(text.as_bytes()), &self.key).map_err(|_| failed)?;
        let mut fixed = signature.r().to_vec_padded(32).map_err(|_| failed)?;
        fixed.extend(signature.s().to_vec_padded(32).map_err(|_| failed)?);
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(fixed));
        Ok(text)
    }
}
