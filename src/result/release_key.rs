//! The key that signs released keys in Key Vault's form, with its certificates.
//!
//! `secure-key-release.md` section 6: header `alg` RS256, `kid` and `x5t#S256` the SHA-256 of the leaf, `x5c` leaf first, root included.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Signer;
use openssl::x509::X509;
use serde_json::{Value, json};

use super::SigningFailed;

/// An RSA key and its chain. Neither printable nor cloneable.
pub struct ReleaseKey {
    key: PKey<Private>,
    kid: String,
    header: String,
    certificates: Vec<Vec<u8>>,
    until: i64,
    names: Vec<String>,
}

impl ReleaseKey {
    /// Reads PKCS#1 DER; `certificates` are DER, leaf first, root last.
    ///
    /// # Errors
    /// Bytes that are no RSA key, no certificate, or a certificate of another key.
    pub fn from_pkcs1(der: &[u8], certificates: Vec<Vec<u8>>) -> Result<Self, SigningFailed> {
        let unfit = SigningFailed("the key that signs released keys is unfit");
        let key = Rsa::private_key_from_der(der).and_then(PKey::from_rsa).map_err(|_| unfit)?;
        let leaf = X509::from_der(certificates.first().ok_or(unfit)?).map_err(|_| unfit)?;
        if !leaf.public_key().is_ok_and(|public| public.public_eq(&key)) {
            return Err(unfit);
        }
        let epoch = Asn1Time::from_unix(0).map_err(|_| unfit)?;
        let life = epoch.diff(leaf.not_after()).map_err(|_| unfit)?;
        let until = i64::from(life.days) * 86_400 + i64::from(life.secs);
        let alternatives = leaf.subject_alt_names();
        let names = alternatives.iter().flatten().filter_map(|name| match (name.dnsname(), name.ipaddress()) {
            (Some(host), _) => Some(host.to_owned()),
            (_, Some(bytes)) => address(bytes).map(|address| address.to_string()),
            _ => None,
        });
        let names = names.collect();
        let kid = URL_SAFE_NO_PAD.encode(sha256(certificates.first().ok_or(unfit)?));
        let chain: Vec<String> = certificates.iter().map(|der| STANDARD.encode(der)).collect();
        let header = json!({"alg": "RS256", "kid": kid, "x5c": chain, "x5t#S256": kid});
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        Ok(Self { key, kid, header, certificates, until, names })
    }

    /// Base64url of the SHA-256 of the leaf.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// DER, leaf first.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The end of the leaf, unix seconds.
    pub fn until(&self) -> i64 {
        self.until
    }

    /// Whether the leaf names this host or address.
    pub fn names(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']);
        match host.parse::<IpAddr>() {
            Ok(address) => self.names.contains(&address.to_string()),
            Err(_) => self.names.iter().any(|name| name == host),
        }
    }

    /// A compact JWS over the payload.
    ///
    /// # Errors
    /// OpenSSL cannot sign.
    pub fn jws(&self, payload: &Value) -> Result<String, SigningFailed> {
        let failed = |_| SigningFailed("a signature could not be made");
        let mut text = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(payload.to_string()));
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).map_err(failed)?;
        let signature = signer.sign_oneshot_to_vec(text.as_bytes()).map_err(failed)?;
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(text)
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
