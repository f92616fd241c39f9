//! The answer to a release, opened as a careful client opens it.
//!
//! `secure-key-release.md` sections 4 and 5.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::sha::sha256;
use openssl::x509::X509;
use serde_json::{Value, json};

use super::{ENC, Workload};
use crate::Fallible;
use crate::crypto::{rs256_holds, rsa_aes_open, rsa_public};

/// What an answer must hold.
pub(super) struct Expect {
    /// The CA of the vault.
    pub(super) ca: X509,
    /// The host that its leaf names.
    pub(super) host: Arc<str>,
    /// Name of the key.
    pub(super) key: &'static str,
    /// The nonce that was sent.
    pub(super) nonce: String,
    /// Who asked.
    pub(super) workload: Arc<Workload>,
    /// What the key is.
    pub(super) secret: [u8; 32],
}

impl Expect {
    /// Whether a body is signed under the CA, answers this request, and holds the key, sealed to this machine.
    pub(super) fn met_by(&self, body: &[u8]) -> Fallible<()> {
        let told: Value = serde_json::from_slice(body)?;
        let jws = told["value"].as_str().ok_or("the answer holds no JWS")?;
        let (message, signature) = jws.rsplit_once('.').ok_or("a JWS without parts")?;
        let (header, payload) = message.split_once('.').ok_or("a JWS with two parts")?;
        let (header, payload) = (object(header)?, object(payload)?);
        self.is_signed(&header, message, &URL_SAFE_NO_PAD.decode(signature)?)?;

        let (asked, key) = (&payload["request"], &payload["response"]["key"]["key"]);
        let is_of_key = |kid: &Value| kid.as_str().is_some_and(|kid| kid.contains(&format!("/keys/{}", self.key)));
        if asked["nonce"] != self.nonce || asked["enc"] != ENC || !is_of_key(&asked["kid"]) || !is_of_key(&key["kid"]) {
            return Err("the answer is to another request".into());
        }
        let sealed = object(key["key_hsm"].as_str().ok_or("the answer holds no sealed key")?)?;
        if sealed["header"]["kid"] != self.workload.jwk["kid"] || sealed["header"]["enc"] != ENC {
            return Err("the key is sealed to somebody else, or otherwise".into());
        }
        let ciphertext = sealed["ciphertext"].as_str().ok_or("the sealed key has no ciphertext")?;
        match rsa_aes_open(&self.workload.key, &URL_SAFE_NO_PAD.decode(ciphertext)?)? == self.secret {
            true => Ok(()),
            false => Err("another key was released".into()),
        }
    }

    /// RS256 by a leaf that names the host, under the CA.
    fn is_signed(&self, header: &Value, message: &str, signature: &[u8]) -> Fallible<()> {
        let chain = header["x5c"].as_array().ok_or("the JWS names no certificates")?;
        let first = chain.first().and_then(Value::as_str).ok_or("the JWS names no leaf")?;
        let leaf = X509::from_der(&STANDARD.decode(first)?)?;
        let names = leaf.subject_alt_names().ok_or("the leaf names nobody")?;
        let is_ours = leaf.verify(self.ca.public_key()?.as_ref())?
            && names.iter().any(|name| name.dnsname() == Some(&*self.host));
        let rsa = leaf.public_key()?.rsa()?;
        let holds = rs256_holds(&rsa_public(rsa.n(), rsa.e())?, &sha256(message.as_bytes()), signature);
        match is_ours && holds && header["alg"] == json!("RS256") {
            true => Ok(()),
            false => Err("the answer is not signed by the vault".into()),
        }
    }
}

fn object(part: &str) -> Fallible<Value> {
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}

/// Answers as a vault gives them, right or wrong in one thing.
#[cfg(test)]
pub(super) mod forged {
    use openssl::asn1::Asn1Time;
    use openssl::hash::MessageDigest;
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::Rsa;
    use openssl::x509::extension::SubjectAlternativeName;
    use openssl::x509::{X509Builder, X509NameBuilder};

    use super::super::{RELEASED, b64};
    use super::*;
    use crate::crypto::{KeyWrap, oaep_seal, rs256_sign};

    /// What an answer says.
    #[derive(Clone)]
    pub(crate) struct Release {
        pub(crate) nonce: Value,
        pub(crate) enc: &'static str,
        pub(crate) sealed_as: &'static str,
        pub(crate) asked: &'static str,
        pub(crate) given: &'static str,
        pub(crate) recipient: Value,
        pub(crate) secret: [u8; 32],
        pub(crate) alg: &'static str,
        pub(crate) is_signed: bool,
        pub(crate) host: &'static str,
        pub(crate) jwk: Value,
    }

    impl Release {
        /// Sound, to this recipient; its nonce is to be set.
        pub(crate) fn of(jwk: &Value, secret: &[u8; 32]) -> Self {
            Self {
                nonce: Value::Null,
                enc: ENC,
                sealed_as: ENC,
                asked: RELEASED,
                given: RELEASED,
                recipient: jwk["kid"].clone(),
                secret: *secret,
                alg: "RS256",
                is_signed: true,
                host: "localhost",
                jwk: jwk.clone(),
            }
        }
    }

    /// A CA and a leaf's key.
    pub(crate) struct Authority {
        pub(crate) ca: X509,
        ca_key: PKey<Private>,
        leaf_key: PKey<Private>,
    }

    fn certificate(name: &str, host: &str, key: &PKey<Private>, by: &PKey<Private>) -> X509 {
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("CN", name).unwrap();
        let subject = subject.build();
        let mut made = X509Builder::new().unwrap();
        made.set_subject_name(&subject).unwrap();
        made.set_issuer_name(&subject).unwrap();
        made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        made.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        made.set_pubkey(key).unwrap();
        let names = SubjectAlternativeName::new().dns(host).build(&made.x509v3_context(None, None)).unwrap();
        made.append_extension(names).unwrap();
        made.sign(by, MessageDigest::sha256()).unwrap();
        made.build()
    }

    impl Authority {
        pub(crate) fn new() -> Self {
            let key = || PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
            let (ca_key, leaf_key) = (key(), key());
            Self { ca: certificate("ca", "ca.example", &ca_key, &ca_key), ca_key, leaf_key }
        }

        pub(crate) fn answer(&self, release: &Release) -> Vec<u8> {
            let number = |name: &str| {
                let bytes = URL_SAFE_NO_PAD.decode(release.jwk[name].as_str().unwrap()).unwrap();
                openssl::bn::BigNum::from_slice(&bytes).unwrap()
            };
            let public = rsa_public(&number("n"), &number("e")).unwrap();
            let mut ciphertext = oaep_seal(&public, &[3; 32]).unwrap();
            ciphertext.extend(KeyWrap::Padded.seal(&[3; 32], &release.secret).unwrap());
            let sealed = json!({
                "schema_version": "1.0", "ciphertext": b64(&ciphertext),
                "header": {"kid": release.recipient, "alg": "dir", "enc": release.sealed_as},
            });
            let kid = |name: &str| format!("https://localhost/keys/{name}");
            let payload = json!({
                "request": {"nonce": release.nonce, "enc": release.enc, "kid": kid(release.asked)},
                "response": {"key": {"key": {
                    "kid": format!("{}/1", kid(release.given)), "key_hsm": b64(sealed.to_string().as_bytes()),
                }}},
            });
            let leaf = certificate("leaf", release.host, &self.leaf_key, &self.ca_key).to_der().unwrap();
            let header = json!({"alg": release.alg, "x5c": [STANDARD.encode(leaf)]});
            let message = format!("{}.{}", b64(header.to_string().as_bytes()), b64(payload.to_string().as_bytes()));
            let signed = if release.is_signed { message.as_str() } else { "something else" };
            let signature = rs256_sign(&self.leaf_key, &sha256(signed.as_bytes())).unwrap();
            json!({"value": format!("{message}.{}", b64(&signature))}).to_string().into_bytes()
        }
    }
}
