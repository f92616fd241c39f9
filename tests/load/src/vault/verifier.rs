//! A verifier whose tokens count at the vault: known to the server by its key set alone, never asked.
//!
//! `secure-key-release.md` sections 1 and 3; `relying-party-tokens.md`, profile `maa`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use serde_json::{Value, json};

use super::{b64, number, random};
use crate::Fallible;
use crate::crypto::rs256_sign;

/// Its name in tokens and rules.
pub const ISSUER: &str = "https://sharedload.load.attest.example";
const KID: &str = "verifier-1";
/// What its machines were measured as.
const FILL: u8 = 0x4d;
/// Seconds that its tokens live.
const LIFE: u64 = 3_600;

/// The verifier.
pub struct Verifier {
    key: PKey<Private>,
}

impl Verifier {
    /// With a new RSA key of 2048 bits.
    pub fn new() -> Fallible<Self> {
        Ok(Self { key: PKey::from_rsa(Rsa::generate(2048)?)? })
    }

    /// The key set that a server is given.
    pub fn key_set(&self) -> Fallible<String> {
        let key = self.key.rsa()?;
        let jwk = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID, "n": number(key.n()), "e": number(key.e()),
        });
        Ok(json!({"keys": [jwk]}).to_string())
    }

    /// A release policy that its tokens meet.
    pub fn rule(&self) -> String {
        let measured = hex::encode([FILL; 48]);
        json!({"version": "1.0.0", "anyOf": [{"authority": ISSUER, "allOf": [
            {"claim": "x-ms-sevsnpvm-launchmeasurement", "equals": measured},
            {"claim": "x-ms-sevsnpvm-is-debuggable", "equals": "false"},
            {"claim": "x-ms-compliance-status", "equals": "azure-compliant-uvm"},
        ]}]})
        .to_string()
    }

    /// A new token, as long as those of a confidential container, for a machine that holds this key.
    pub fn token(&self, recipient: &Value) -> Fallible<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "iss": ISSUER, "iat": now, "nbf": now, "exp": now + LIFE, "jti": hex::encode(random::<32>()?),
            "x-ms-ver": "1.0", "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-uvm",
            "x-ms-policy-hash": b64(&[0x70; 32]), "x-ms-runtime": {"keys": [recipient]},
            "x-ms-sevsnpvm-authorkeydigest": "00".repeat(48), "x-ms-sevsnpvm-bootloader-svn": 3,
            "x-ms-sevsnpvm-familyId": "01".repeat(16), "x-ms-sevsnpvm-guestsvn": 2,
            "x-ms-sevsnpvm-hostdata": hex::encode([0x73; 32]), "x-ms-sevsnpvm-idkeydigest": hex::encode([0x57; 48]),
            "x-ms-sevsnpvm-imageId": "02".repeat(16), "x-ms-sevsnpvm-is-debuggable": false,
            "x-ms-sevsnpvm-launchmeasurement": hex::encode([FILL; 48]), "x-ms-sevsnpvm-microcode-svn": 115,
            "x-ms-sevsnpvm-migration-allowed": false, "x-ms-sevsnpvm-reportdata": "00".repeat(64),
            "x-ms-sevsnpvm-reportid": hex::encode([0x91; 32]), "x-ms-sevsnpvm-smt-allowed": true,
            "x-ms-sevsnpvm-snpfw-svn": 8, "x-ms-sevsnpvm-tee-svn": 0, "x-ms-sevsnpvm-vmpl": 0,
        });
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": KID, "jku": format!("{ISSUER}/certs")});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = rs256_sign(&self.key, &openssl::sha::sha256(message.as_bytes()))?;
        Ok(format!("{message}.{}", b64(&signature)))
    }
}
