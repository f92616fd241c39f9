//! A signing key of the attestation door: RSA, its self-signed certificate, its place in the key set, and RS256.
//!
//! `maa-tokens-and-claims.md` sections 1 and 2: header members `alg`, `jku`, `kid`, `typ`; a key set of `x5c`, `kid`, `kty`; the
//! key id is over the PEM text of the public key. Parsed once and kept (`performance-floor.md` section 3, traps 2 and 6).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_policies::canonical;
use keygate_verifier::tokens::maa_kid;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sha::sha1;
use openssl::sign::Signer;
use serde_json::{Map, Value, json};

use super::SigningFailed;

/// Shortest modulus in bits.
const SHORTEST: u32 = 2048;

/// An RSA key for tokens in Azure Attestation's form. Neither printable nor cloneable.
pub struct AzureSigningKey {
    key: PKey<Private>,
    kid: String,
    created: i64,
    certificates: Vec<Vec<u8>>,
}

impl AzureSigningKey {
    /// Reads PKCS#1 DER; `certificates` are DER, leaf first; `created` is unix seconds.
    ///
    /// # Errors
    /// Bytes that are no RSA key, or one that is too short.
    pub fn from_pkcs1(der: &[u8], certificates: Vec<Vec<u8>>, created: i64) -> Result<Self, SigningFailed> {
        let unfit = SigningFailed("a service key is no RSA key");
        let rsa = Rsa::private_key_from_der(der).map_err(|_| unfit)?;
        let key = PKey::from_rsa(rsa).map_err(|_| unfit)?;
        if key.bits() < SHORTEST {
            return Err(unfit);
        }
        let kid = maa_kid(&key.public_key_to_der().map_err(|_| unfit)?);
        Ok(Self { key, kid, created, certificates })
    }

    /// The id of a key that has no certificate yet.
    ///
    /// # Errors
    /// As [`AzureSigningKey::from_pkcs1`].
    pub fn kid_of(der: &[u8]) -> Result<String, SigningFailed> {
        Ok(Self::from_pkcs1(der, Vec::new(), 0)?.kid)
    }

    /// Standard base64, with padding, of SHA-256 over the PEM text of the public key and a NUL.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// When it was made, unix seconds.
    pub fn created(&self) -> i64 {
        self.created
    }

    /// Its certificates, DER, leaf first.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// Its places in the key set, one for each of its names: `x5c`, `kid`, `kty` and nothing else.
    pub fn jwks(&self) -> impl Iterator<Item = Value> {
        let names = [Some(self.kid.clone()), self.thumbprint()];
        names.into_iter().flatten().map(|kid| json!({"x5c": self.chain(), "kid": kid, "kty": "RSA"}))
    }

    fn chain(&self) -> Vec<String> {
        self.certificates.iter().map(|der| STANDARD.encode(der)).collect()
    }

    /// The name under which reports on TPMs are signed: base64url of SHA-1 over the certificate; none without one.
    pub fn thumbprint(&self) -> Option<String> {
        Some(URL_SAFE_NO_PAD.encode(sha1(self.certificates.first()?)))
    }

    /// A token: header and payload in the order of their names, RS256.
    ///
    /// # Errors
    /// OpenSSL cannot sign.
    pub fn token(&self, issuer: &str, payload: Map<String, Value>) -> Result<String, SigningFailed> {
        self.signed(unsigned_part("RS256", &self.kid, issuer, payload))
    }

    /// A report on a TPM: the header has the certificates of the key or, with `omit_x5c`, the digest of the first in `x5t`. TPM and
    /// VBS attestation protocol, section 5.3.
    ///
    /// # Errors
    /// OpenSSL cannot sign; the key has no certificate.
    pub fn tpm_report(&self, payload: Map<String, Value>, omit_x5c: bool) -> Result<String, SigningFailed> {
        let thumbprint = self.thumbprint().ok_or(SigningFailed("a service key has no certificate"))?;
        let header = match omit_x5c {
            true => json!({"alg": "RS256", "kid": thumbprint, "typ": "JWT", "x5t": thumbprint}),
            false => json!({"alg": "RS256", "kid": thumbprint, "typ": "JWT", "x5c": self.chain()}),
        };
        self.signed(joined(&header, payload))
    }

    fn signed(&self, mut text: String) -> Result<String, SigningFailed> {
        let failed = |_| SigningFailed("a signature could not be made");
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).map_err(failed)?;
        let signature = signer.sign_oneshot_to_vec(text.as_bytes()).map_err(failed)?;
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(text)
    }

    /// The token of a draft policy: nobody vouches for it. The header keeps its four members, `alg` is `none`, and the third
    /// segment is empty.
    pub fn draft_token(&self, issuer: &str, payload: Map<String, Value>) -> String {
        let mut text = unsigned_part("none", &self.kid, issuer, payload);
        text.push('.');
        text
    }
}

fn unsigned_part(alg: &str, kid: &str, issuer: &str, payload: Map<String, Value>) -> String {
    let header = json!({"alg": alg, "jku": format!("{issuer}/certs"), "kid": kid, "typ": "JWT"});
    joined(&header, payload)
}

fn joined(header: &Value, payload: Map<String, Value>) -> String {
    let header = URL_SAFE_NO_PAD.encode(canonical::text(header));
    format!("{header}.{}", URL_SAFE_NO_PAD.encode(canonical::text(&Value::Object(payload))))
}
