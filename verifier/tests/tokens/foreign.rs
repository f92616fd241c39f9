//! Good tokens of every family of issuers, each with one thing to change.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keygate_verifier::RecipientKey;
use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{
    Foreign, Issuer, KeySet, Profile, TokenBinding, TokenFault, TokenRoots, verify_foreign,
};
use serde_json::{Map, Value, json};

use super::{AUDIENCE, NOW, OTHER_P256, OTHER_RSA, P256, P384, RSA, Signer, b64, set};

pub const BIND: [u8; 32] = [0x5a; 32];

/// The workload's key, and somebody else's.
pub static TEE: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("TeeKey", 2048));
pub static DECOY: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("HCLAkPub", 2048));
static OTHER_P384: LazyLock<Signer> = LazyLock::new(|| Signer::ec("p384-1", "ES384"));

/// The nonce of the request as families other than NRAS carry it.
pub fn nonce() -> String {
    b64(BIND)
}

/// The recipient with this key.
pub fn recipient(signer: &Signer) -> RecipientKey {
    let jwk = signer.jwk();
    RecipientKey::from_jwk(jwk.as_object().unwrap()).unwrap()
}

/// The key as a workload writes it for encryption.
pub fn for_encryption(signer: &Signer) -> Value {
    signer.jwk_with(json!({ "key_ops": ["encrypt"] }))
}

/// What was asked for with the tokens below.
pub fn asked(recipient: &RecipientKey) -> TokenBinding<'_> {
    TokenBinding::Nonce { bind: &BIND, recipient }
}

/// One issuer of a family, its key, and the claims of a good token.
pub struct Family {
    pub profile: Profile,
    pub issuer: &'static str,
    pub signer: &'static Signer,
    pub alg: &'static str,
    /// The same name, another key.
    pub impostor: &'static Signer,
}

impl Family {
    pub fn of(profile: Profile) -> Self {
        let (issuer, signer, alg, impostor) = match profile {
            Profile::Maa => ("https://sharedeus.eus.attest.azure.net", &RSA, "RS256", &OTHER_RSA),
            Profile::GoogleConfidentialSpace => {
                ("https://confidentialcomputing.googleapis.com", &RSA, "RS256", &OTHER_RSA)
            }
            Profile::IntelTrustAuthority => ("https://portal.trustauthority.intel.com", &RSA, "PS384", &OTHER_RSA),
            Profile::Ear => ("https://trustee.example", &P256, "ES256", &OTHER_P256),
            Profile::NvidiaNras => ("https://nras.attestation.nvidia.com", &P384, "ES384", &OTHER_P384),
            Profile::Oidc => ("https://idp.example", &P256, "ES256", &OTHER_P256),
        };
        Self { profile, issuer, signer: LazyLock::force(signer), alg, impostor: LazyLock::force(impostor) }
    }

    pub fn all() -> impl Iterator<Item = Self> {
        Profile::ALL.into_iter().map(Self::of)
    }

    pub fn keys(&self) -> KeySet {
        set(&[self.signer.jwk()])
    }

    pub fn header(&self) -> Value {
        self.signer.header_with(json!({ "alg": self.alg }))
    }

    /// The claims of a good token; for NRAS of the overall token, without `submods`.
    pub fn claims(&self) -> Value {
        let (iat, exp) = (NOW.secs() - 10, NOW.secs() + 290);
        let mut claims = match self.profile {
            Profile::Maa => json!({
                "x-ms-ver": "1.0", "x-ms-attestation-type": "sevsnpvm",
                "x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-guestsvn": 8, "x-ms-sevsnpvm-vmpl": 0,
                "x-ms-sevsnpvm-launchmeasurement": "ab".repeat(48),
                "x-ms-runtime": { "nonce": nonce(), "keys": [DECOY.jwk_with(json!({"key_ops": ["sign"]})),
                    for_encryption(&TEE), for_encryption(&DECOY)] },
            }),
            Profile::GoogleConfidentialSpace => json!({
                "aud": AUDIENCE, "swname": "CONFIDENTIAL_SPACE", "hwmodel": "GCP_INTEL_TDX", "oemid": 11129,
                "secboot": true, "dbgstat": "disabled-since-boot", "eat_nonce": ["another-nonce", nonce()],
                "submods": { "confidential_space": { "support_attributes": ["LATEST", "STABLE", "USABLE"] },
                    "container": { "image_digest": format!("sha256:{}", "cd".repeat(32)),
                        "image_signatures": [{ "key_id": "ef".repeat(32) }] },
                    "gce": { "instance_id": "1234567890" } },
            }),
            Profile::IntelTrustAuthority => json!({
                "eat_profile": "https://portal.trustauthority.intel.com/eat_profile.html", "intuse": "generic",
                "ver": "2.0.0", "dbgstat": "disabled",
                "tdx": { "tdx_mrtd": "ab".repeat(48), "tdx_is_debuggable": false, "attester_tcb_status": "UpToDate",
                    "attester_tcb_date": "2024-03-13T00:00:00Z", "attester_advisory_ids": [],
                    "attester_runtime_data": { "nonce": nonce(), "tee-pubkey": TEE.jwk() } },
            }),
            Profile::Ear => json!({
                "eat_profile": "tag:github.com,2024:confidential-containers/Trustee",
                "ear.verifier-id": { "developer": "https://confidentialcontainers.org", "build": "as 0.1.0" },
                "submods": { "cpu0": {
                    "ear.status": "affirming",
                    "ear.trustworthiness-vector": { "configuration": 2, "executables": 3, "hardware": 2 },
                    "ear.veraison.annotated-evidence": {
                        "snp": { "measurement": "ab".repeat(48), "chip_id": "cd".repeat(64),
                            "policy_debug_allowed": false },
                        "runtime_data_claims": { "nonce": nonce(), "tee-pubkey":
                            TEE.jwk_with(json!({"alg": "RSA1_5"})) } } } },
            }),
            Profile::NvidiaNras => json!({
                "sub": "NVIDIA-PLATFORM-ATTESTATION", "x-nvidia-ver": "3.0", "x-nvidia-overall-att-result": true,
                "eat_nonce": hex::encode(BIND),
            }),
            Profile::Oidc => json!({
                "aud": [AUDIENCE], "dbgstat": "disabled-since-boot", "cnf": { "jwk": TEE.jwk() },
            }),
        };
        for (name, value) in
            [("iss", json!(self.issuer)), ("iat", json!(iat)), ("nbf", json!(iat)), ("exp", json!(exp))]
        {
            claims[name] = value;
        }
        if self.profile == Profile::Ear {
            claims.as_object_mut().unwrap().remove("iss");
            claims.as_object_mut().unwrap().remove("nbf");
        }
        claims
    }

    /// The good claims with these members changed, by pointer; a null takes the member away.
    pub fn claims_with(&self, changes: &[(&str, Value)]) -> Value {
        let mut claims = self.claims();
        for (pointer, value) in changes {
            change(&mut claims, pointer, value);
        }
        claims
    }

    /// A good token of these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.signed(self.signer, &self.header(), claims)
    }

    /// A token, or a bundle about one GPU, under this header and key.
    pub fn signed(&self, signer: &Signer, header: &Value, claims: &Value) -> String {
        if self.profile != Profile::NvidiaNras {
            return signer.sign(header, claims);
        }
        let device = self.device(&[]);
        let mut claims = claims.clone();
        if claims.get("submods").is_none() {
            claims["submods"] = json!({ "GPU-0": digest(&device) });
        }
        bundle(&signer.sign(header, &claims), &[("GPU-0", &device)])
    }

    /// The token of a good GPU, with these members changed.
    pub fn device(&self, changes: &[(&str, Value)]) -> String {
        let chain = json!({ "x-nvidia-cert-status": "valid", "x-nvidia-cert-ocsp-status": "good" });
        let mut claims = json!({
            "iss": self.issuer, "iat": NOW.secs() - 10, "nbf": NOW.secs() - 10, "exp": NOW.secs() + 290,
            "eat_nonce": hex::encode(BIND), "measres": "success", "dbgstat": "disabled", "secboot": true,
            "hwmodel": "GH100 A01 GSP BROM", "ueid": "478176379286082186618948445787393647364802107249",
            "x-nvidia-gpu-attestation-report-nonce-match": true, "x-nvidia-gpu-arch-check": true,
            "x-nvidia-gpu-driver-version": "550.90.07", "x-nvidia-gpu-attestation-report-cert-chain": chain,
        });
        for (pointer, value) in changes {
            change(&mut claims, pointer, value);
        }
        self.signer.sign(&self.header(), &claims)
    }

    /// Judges a token with this key set, and this to be bound to.
    pub fn judge(&self, token: &str, keys: &KeySet, binding: &TokenBinding<'_>) -> Result<Foreign, TokenFault> {
        self.judge_at(token, keys, binding, NOW)
    }

    pub fn judge_at(
        &self,
        token: &str,
        keys: &KeySet,
        binding: &TokenBinding<'_>,
        now: UnixTime,
    ) -> Result<Foreign, TokenFault> {
        let roots = TokenRoots::none();
        let issuer = Issuer {
            name: "configured",
            issuer: self.issuer,
            profile: self.profile,
            keys,
            roots: &roots,
            audiences: &[AUDIENCE],
            max_age: None,
            is_keygate: false,
        };
        verify_foreign(token, &issuer, binding, now)
    }

    /// Judges a token of good claims with these changes, bound to the workload's key.
    pub fn changed(&self, changes: &[(&str, Value)]) -> Result<Foreign, TokenFault> {
        let recipient = recipient(&TEE);
        // A generic token has no place for a nonce.
        let binding = if self.profile == Profile::Oidc { TokenBinding::Unbound } else { asked(&recipient) };
        self.judge(&self.token(&self.claims_with(changes)), &self.keys(), &binding)
    }
}

/// Sets, or with a null takes away, what a pointer names; its parent must be there.
pub fn change(claims: &mut Value, pointer: &str, value: &Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let name = name.replace("~1", "/");
    let parent = claims.pointer_mut(parent).unwrap_or_else(|| panic!("no parent of `{pointer}`"));
    if let Some(list) = parent.as_array_mut() {
        list[name.parse::<usize>().unwrap()] = value.clone();
    } else if value.is_null() {
        parent.as_object_mut().unwrap().remove(&name);
    } else {
        parent.as_object_mut().unwrap().insert(name, value.clone());
    }
}

pub fn digest(token: &str) -> Value {
    json!(["DIGEST", ["SHA-256", hex::encode(openssl::sha::sha256(token.as_bytes()))]])
}

pub fn bundle(overall: &str, devices: &[(&str, &str)]) -> String {
    let devices: Map<String, Value> = devices.iter().map(|(name, token)| ((*name).to_owned(), json!(token))).collect();
    json!([["JWT", overall], devices]).to_string()
}

/// Data that Intel's clients hold: the exponent in four bytes, then the modulus in either order.
pub fn held(signer: &Signer, little_endian: bool) -> String {
    let rsa = signer.key.rsa().unwrap();
    let mut modulus = rsa.n().to_vec();
    if little_endian {
        modulus.reverse();
    }
    STANDARD.encode([&65_537_u32.to_le_bytes(), modulus.as_slice()].concat())
}
