//! A foreign token that was found good: its claims with our conclusions beside them, and the key it vouches for.
//! Relying party tokens, section 8; native API, section 4.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::judge::Checked;
use super::reading::Reading;
use super::{Issuer, Profile, TokenBinding};
use crate::recipient::RecipientKey;
use crate::time::UnixTime;
use crate::tokens::fault::TokenFault;
use crate::verified::BoundKey;

/// A good token of a configured issuer. Only [`verify_foreign`](super::verify_foreign) makes one.
#[derive(Debug, Clone)]
pub struct Foreign {
    name: String,
    issuer: String,
    profile: Profile,
    claims: Map<String, Value>,
    bound: BoundKey,
    has_key: bool,
    key_id: Option<String>,
    bind: Option<[u8; 32]>,
    nonces: Vec<String>,
    debug: bool,
    companion: bool,
    platforms: Vec<String>,
    measurements: Vec<String>,
    blinded: Vec<[u8; 32]>,
    signer: String,
    issued: UnixTime,
    expires: UnixTime,
    not_after: UnixTime,
    digest: [u8; 32],
}

impl Foreign {
    /// The only constructor: holds the binding, then writes down what was concluded.
    pub(super) fn assertion(
        issuer: &Issuer<'_>,
        checked: Checked<'_>,
        reading: Reading,
        binding: &TokenBinding<'_>,
    ) -> Result<Self, TokenFault> {
        let (bound, bind) = bound(issuer.profile, &reading, binding)?;
        let mut keygate = reading.normalised();
        keygate.insert("kind".into(), json!("token"));
        keygate.insert("profile".into(), json!(issuer.profile.as_str()));
        keygate.insert("issuer".into(), json!(issuer.issuer));
        keygate.insert("issued_at".into(), json!(checked.issued.secs()));
        keygate.insert("expires_at".into(), json!(checked.expires.secs()));
        if let Some(bind) = &bind {
            keygate.insert("nonce".into(), json!(written(issuer.profile, bind)));
        }
        if let BoundKey::Present(key) = &bound {
            let jwk = serde_json::from_str::<Value>(&key.thumbprint_input()).unwrap_or_default();
            keygate.insert("binding_key".into(), jwk);
        }
        let mut claims = checked.claims;
        claims.entry("iss").or_insert_with(|| json!(issuer.issuer));
        claims.insert("keygate".into(), Value::Object(keygate));
        Ok(Self {
            name: issuer.name.to_owned(),
            issuer: issuer.issuer.to_owned(),
            profile: issuer.profile,
            claims,
            bound,
            has_key: reading.key.is_some(),
            key_id: reading.key.and_then(|key| key.kid),
            bind,
            nonces: reading.nonces,
            debug: reading.debug,
            companion: reading.companion,
            platforms: reading.platforms,
            measurements: reading.measurements,
            blinded: reading.blinded,
            signer: checked.signer,
            issued: checked.issued,
            expires: checked.expires,
            not_after: checked.not_after,
            digest: checked.digest,
        })
    }

    /// The issuer's name in settings.
    pub fn issuer_name(&self) -> &str {
        &self.name
    }
    /// The issuer as configured: the authority that a rule names. `iss` of the claims may be the name of a product instead.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
    /// The family.
    pub fn profile(&self) -> Profile {
        self.profile
    }
    /// The claims for a rule: the payload as signed with `iss` always among it, and the object `keygate` of what was concluded. For an
    /// NRAS bundle the payload of the overall token, each digest under `submods` replaced by the claims that it stands for.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
    /// The key to which answers may be sealed.
    pub fn bound_key(&self) -> &BoundKey {
        &self.bound
    }
    /// Whether the key stands in the token itself; else the nonce alone says whose it is, or nothing does.
    pub fn has_key(&self) -> bool {
        self.has_key
    }
    /// The name that the workload gave to the key in the token, where it has one.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }
    /// Whether the nonce of this request stood in a place that the workload fills and the issuer verified.
    pub fn is_fresh(&self) -> bool {
        self.bind.is_some()
    }
    /// The texts in places that the workload fills and the issuer verified, as they stand there: at most eight, each of at most 512
    /// bytes. Google's `eat_nonce`; Azure's `x-ms-runtime.nonce` and `x-ms-runtime.client-payload.nonce`, that one also out of its
    /// base64; `nonce` of run-time or held data of Intel and EAR. Never what an issuer echoes to whoever asked it.
    pub fn workload_nonces(&self) -> &[String] {
        &self.nonces
    }
    /// Whether the workload may be looked into; missing information is debug.
    pub fn is_debug(&self) -> bool {
        self.debug
    }
    /// Whether it is about a device beside a processor: opens nothing alone, see [`check_companion`](super::check_companion).
    pub fn is_companion(&self) -> bool {
        self.companion
    }
    /// Identities for deny lists: `snp-chip:<hex>`, `azure-vm:<id>`, `gce-instance:<id>`, `nvidia-gpu:<ueid>`.
    pub fn platforms(&self) -> &[String] {
        &self.platforms
    }
    /// Measurements for deny lists, lower-case hex.
    pub fn measurements(&self) -> &[String] {
        &self.measurements
    }
    /// Names for deny lists as a Keygate writes them into its tokens: SHA-256 over the sort, a NUL and the value. Empty for every
    /// other issuer.
    pub fn blinded_identities(&self) -> &[[u8; 32]] {
        &self.blinded
    }
    /// The RFC 7638 thumbprint of the key that signed, for deny lists.
    pub fn signer(&self) -> &str {
        &self.signer
    }
    /// `iat`.
    pub fn issued(&self) -> UnixTime {
        self.issued
    }
    /// `exp`, or where there is none the end of the configured age.
    pub fn expires(&self) -> UnixTime {
        self.expires
    }
    /// The earliest end of everything that counted.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }
    /// SHA-256 of what was signed (of an NRAS bundle: of its overall token): what tells a token that came before, whatever became of
    /// the bytes of its signature.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The digest that binds it to this request.
    pub(super) fn bind(&self) -> Option<&[u8; 32]> {
        self.bind.as_ref()
    }
    /// Whether `bind` stands in a place that the caller of the attester chose.
    pub(super) fn carries(&self, bind: &[u8; 32]) -> bool {
        carries(self.profile, &self.nonces, bind)
    }
}

/// The recipient and the nonce found, as `binding` asks.
fn bound(
    profile: Profile,
    reading: &Reading,
    binding: &TokenBinding<'_>,
) -> Result<(BoundKey, Option<[u8; 32]>), TokenFault> {
    let own = reading.key.as_ref().map(|key| &key.key);
    let present = |key: &RecipientKey| match reading.companion {
        true => BoundKey::Absent,
        false => BoundKey::Present(key.clone()),
    };
    match binding {
        TokenBinding::Unbound => Ok((own.map_or(BoundKey::Absent, present), None)),
        TokenBinding::Nonce { bind, .. } if !carries(profile, &reading.nonces, bind) => Err(TokenFault::Freshness),
        TokenBinding::Nonce { recipient, .. } if own.is_some_and(|own| own != *recipient) => {
            Err(TokenFault::Binding("its key is not the recipient"))
        }
        TokenBinding::Nonce { bind, recipient } => Ok((present(recipient), Some(**bind))),
    }
}

fn carries(profile: Profile, nonces: &[String], bind: &[u8; 32]) -> bool {
    let wanted = written(profile, bind);
    let same = |nonce: &String| nonce.len() == wanted.len() && openssl::memcmp::eq(nonce.as_bytes(), wanted.as_bytes());
    nonces.iter().any(same)
}

/// The nonce as text: hex for NRAS, base64url for everybody else.
fn written(profile: Profile, bind: &[u8; 32]) -> String {
    match profile {
        Profile::NvidiaNras => hex::encode(bind),
        _ => URL_SAFE_NO_PAD.encode(bind),
    }
}
