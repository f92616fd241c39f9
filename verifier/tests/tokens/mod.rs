//! An issuer of tokens for tests: throw-away keys, and signatures over whatever header and payload a test writes.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

pub mod certificates;
pub mod foreign;
pub mod library;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{Expected, JwsAlgorithm, Jwt, KeySet, TokenFault, verify_jwt};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer as OpenSslSigner};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://issuer.example";
pub const AUDIENCE: &str = "https://keygate.example";
pub const NOW: UnixTime = UnixTime::from_secs(1_750_000_000);

/// What all rows start from; a test changes the part that it is about.
pub const EXPECTED: Expected<'static> = Expected {
    issuer: ISSUER,
    audiences: &[AUDIENCE],
    algorithms: &JwsAlgorithm::RFC_7518,
    typ: &[],
    leeway: 60,
    max_age: None,
};

/// A key that signs.
pub struct Signer {
    pub kid: &'static str,
    pub alg: &'static str,
    pub key: PKey<Private>,
}

pub static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("rsa-1", 2048));
pub static OTHER_RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("rsa-2", 2048));
pub static P256: LazyLock<Signer> = LazyLock::new(|| Signer::ec("p256-1", "ES256"));
pub static OTHER_P256: LazyLock<Signer> = LazyLock::new(|| Signer::ec("p256-2", "ES256"));
pub static P384: LazyLock<Signer> = LazyLock::new(|| Signer::ec("p384-1", "ES384"));
pub static P521: LazyLock<Signer> = LazyLock::new(|| Signer::ec("p521-1", "ES512"));

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a good token at [`NOW`].
pub fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "workload",
        "iat": NOW.secs() - 10, "nbf": NOW.secs() - 10, "exp": NOW.secs() + 3_600,
    })
}

/// The good claims with these members changed; a null takes the member away.
pub fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            _ => claims[name] = value.clone(),
        }
    }
    claims
}

/// A key set of these entries.
pub fn set(entries: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": entries }).to_string().as_bytes()).expect("a key set")
}

pub fn check(token: &str, keys: &KeySet) -> Result<Jwt, TokenFault> {
    verify_jwt(token, keys, &EXPECTED, NOW)
}

/// The code of a refusal; panics where the token is accepted.
pub fn code(token: &str, keys: &KeySet) -> &'static str {
    check(token, keys).map(|jwt| panic!("accepted: {:?} {:?}", jwt.header, jwt.claims)).unwrap_err().code()
}

impl Signer {
    pub fn rsa(kid: &'static str, bits: u32) -> Self {
        Self { kid, alg: "RS256", key: PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap() }
    }

    pub fn ec(kid: &'static str, alg: &'static str) -> Self {
        let curve = match alg {
            "ES256" => Nid::X9_62_PRIME256V1,
            "ES384" => Nid::SECP384R1,
            _ => Nid::SECP521R1,
        };
        let group = EcGroup::from_curve_name(curve).unwrap();
        Self { kid, alg, key: PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap() }
    }

    pub fn ed25519(kid: &'static str) -> Self {
        Self { kid, alg: "EdDSA", key: PKey::generate_ed25519().unwrap() }
    }

    /// The public key as an entry of a key set, without `alg`.
    pub fn jwk(&self) -> Value {
        if let Ok(rsa) = self.key.rsa() {
            return json!({ "kty": "RSA", "kid": self.kid, "n": b64(rsa.n().to_vec()), "e": b64(rsa.e().to_vec()) });
        }
        if let Ok(x) = self.key.raw_public_key() {
            return json!({ "kty": "OKP", "kid": self.kid, "crv": "Ed25519", "x": b64(x) });
        }
        let key = self.key.ec_key().unwrap();
        let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        let mut context = BigNumContext::new().unwrap();
        key.public_key().affine_coordinates(key.group(), &mut x, &mut y, &mut context).unwrap();
        let (curve, size) = match self.alg {
            "ES256" => ("P-256", 32),
            "ES384" => ("P-384", 48),
            _ => ("P-521", 66),
        };
        let (x, y) = (b64(x.to_vec_padded(size).unwrap()), b64(y.to_vec_padded(size).unwrap()));
        json!({ "kty": "EC", "kid": self.kid, "crv": curve, "x": x, "y": y })
    }

    /// The entry with these members changed; a null takes the member away.
    pub fn jwk_with(&self, changes: Value) -> Value {
        let mut jwk = self.jwk();
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
                _ => jwk[name] = value.clone(),
            }
        }
        jwk
    }

    /// The good header.
    pub fn header(&self) -> Value {
        json!({ "alg": self.alg, "kid": self.kid, "typ": "JWT" })
    }

    /// The good header with these members changed; a null takes the member away.
    pub fn header_with(&self, changes: Value) -> Value {
        let mut header = self.header();
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(header.as_object_mut().unwrap().remove(name)),
                _ => header[name] = value.clone(),
            }
        }
        header
    }

    /// A token of these claims under the good header.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    /// A token of this header and these claims, signed as `alg` of the header says, or as usual where the key cannot.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string(), header["alg"].as_str().unwrap_or_default())
    }

    /// A token of these two texts, whatever they are.
    pub fn sign_text(&self, header: &str, payload: &str, alg: &str) -> String {
        self.sign_segments(&b64(header), &b64(payload), alg)
    }

    /// A token of two segments as they stand.
    pub fn sign_segments(&self, header: &str, payload: &str, alg: &str) -> String {
        let signed = format!("{header}.{payload}");
        let signature = self.signature(alg, signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }

    /// A signature by the algorithm of that name; a name that the key is not for stands for the key's own.
    pub fn signature(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let digest = match alg.get(2..) {
            Some("384") => MessageDigest::sha384(),
            Some("512") => MessageDigest::sha512(),
            _ => MessageDigest::sha256(),
        };
        if let Ok(key) = self.key.ec_key() {
            let half = usize::try_from(key.group().degree()).unwrap().div_ceil(8);
            let digest = if half == 66 { MessageDigest::sha512() } else { digest };
            let hashed = openssl::hash::hash(digest, message).unwrap();
            let signature = EcdsaSig::sign(&hashed, &key).unwrap();
            let part = |n: &openssl::bn::BigNumRef| n.to_vec_padded(i32::try_from(half).unwrap()).unwrap();
            return [part(signature.r()), part(signature.s())].concat();
        }
        if self.key.raw_public_key().is_ok() {
            return OpenSslSigner::new_without_digest(&self.key).unwrap().sign_oneshot_to_vec(message).unwrap();
        }
        let mut signer = OpenSslSigner::new(digest, &self.key).unwrap();
        if alg.starts_with("PS") {
            signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            signer.set_rsa_mgf1_md(digest).unwrap();
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
        }
        signer.sign_oneshot_to_vec(message).unwrap()
    }
}

/// HMAC-SHA-256, for those who take a public key for a secret.
pub fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let mac = if secret.is_empty() {
        // OpenSSL makes no empty key: HMAC pads the key with zeros, so one zero byte is the same key.
        PKey::hmac(&[0])
    } else {
        PKey::hmac(secret)
    };
    let mac =
        OpenSslSigner::new(MessageDigest::sha256(), &mac.unwrap()).unwrap().sign_oneshot_to_vec(signed.as_bytes());
    format!("{signed}.{}", b64(mac.unwrap()))
}
