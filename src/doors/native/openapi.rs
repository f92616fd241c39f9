//! The interface as OpenAPI, made from the handlers' own descriptions.
//!
//! `native-api.md` section 3 (`/openapi.json`). The types here describe bodies; [`super::wire`] reads them, more strictly than a
//! schema can say.
#![allow(dead_code)] // read by the derive alone

use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Native::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Keygate", description = "A key-release broker gated on attestation: the native door", version = "1"),
    paths(
        super::handlers::challenge,
        super::handlers::attest,
        super::enrolments::begin,
        super::enrolments::activate,
        super::handlers::release,
        super::handlers::unwrap,
        super::handlers::generate,
        super::handlers::sign,
        super::handlers::wrap,
        super::handlers::key,
        super::handlers::audit_head,
        super::handlers::well_known,
        super::handlers::jwks,
    )
)]
struct Native;

/// An empty object.
#[derive(Serialize, ToSchema)]
pub(super) struct Empty {}

/// A challenge.
#[derive(Serialize, ToSchema)]
pub(super) struct Challenge {
    /// 32 bytes, base64url.
    challenge: String,
    /// Unix seconds.
    expires_at: i64,
    /// The host that evidence is to be bound to, as this node sees it; bind to the one you dialled.
    host: String,
}

/// Evidence as the hardware gave it.
#[derive(Serialize, ToSchema)]
pub(super) struct Evidence {
    /// `sgx`, `tdx`, `snp`, `nitro`, `software` or `composite`.
    kind: String,
    /// base64url.
    data: String,
}

/// A proof: evidence with challenge, or a token. One of the two.
#[derive(Serialize, ToSchema)]
pub(super) struct Proof {
    /// With `challenge`.
    evidence: Option<Evidence>,
    /// Instead of evidence: a token of `/v1/attestations`.
    token: Option<String>,
    /// 32 bytes, base64url.
    challenge: Option<String>,
    /// Public JWK: RSA of 2048, 3072 or 4096 bits, or EC P-256 or P-384.
    #[schema(value_type = Object)]
    recipient: serde_json::Value,
    /// Bound by the evidence, base64url; a JSON object becomes the claim `x-ms-runtime`.
    runtime_data: Option<String>,
    /// Its SHA-256 stands in the evidence, base64url; a JSON object becomes the claim `x-ms-inittime`.
    init_data: Option<String>,
    /// Certificates, revocation lists, DCAP collateral: base64url each, for this request only.
    endorsements: Option<Vec<String>>,
}

/// Body of an attestation.
#[derive(Serialize, ToSchema)]
pub(super) struct Attestation {
    #[serde(flatten)]
    proof: Proof,
    /// Whom the token is for; this provider if none is named.
    aud: Option<String>,
}

/// A token and what it says.
#[derive(Serialize, ToSchema)]
pub(super) struct Attested {
    /// ES256, `typ` `keygate-attestation`.
    token: String,
    /// What hardware and verifier say.
    #[schema(value_type = Object)]
    claims: serde_json::Value,
    /// What the workload says.
    #[schema(value_type = Object)]
    presented: serde_json::Value,
    /// Unix seconds.
    expires_at: i64,
}

/// A machine to be enrolled.
#[derive(Serialize, ToSchema)]
pub(super) struct Enrolment {
    /// 1 to 64 of `a-z 0-9 . _ -`, the first a letter or a digit.
    machine: String,
    /// The endorsement key's certificate in DER, base64url; without it an operator must have allowed the key.
    ek_certificate: Option<String>,
    /// Certificates between it and the root, DER, base64url each; 8 at most.
    ek_chain: Option<Vec<String>>,
    /// The endorsement key, TPMT_PUBLIC or TPM2B_PUBLIC, base64url.
    ek_public: String,
    /// The attestation key likewise.
    ak_public: String,
}

/// What the TPM has to activate.
#[derive(Serialize, ToSchema)]
pub(super) struct EnrolmentBegun {
    /// Names the attempt.
    id: String,
    /// TPM2B_ID_OBJECT, base64url.
    credential_blob: String,
    /// TPM2B_ENCRYPTED_SECRET, base64url.
    secret: String,
    /// Unix seconds until which the activation is awaited.
    expires: i64,
}

/// What the TPM gave back.
#[derive(Serialize, ToSchema)]
pub(super) struct Activation {
    /// The secret as TPM2_ActivateCredential gives it, base64url.
    secret: String,
}

/// A machine that is enrolled.
#[derive(Serialize, ToSchema)]
pub(super) struct Enrolled {
    /// Its name.
    machine: String,
    /// The name of its attestation key, hex.
    ak_name: String,
    /// The operator's anchor that vouches for its endorsement key, or `allowed-ek`.
    anchor: String,
    /// Unix seconds at which the record ends.
    expires: i64,
}

/// Body of a release.
#[derive(Serialize, ToSchema)]
pub(super) struct Release {
    #[serde(flatten)]
    proof: Proof,
    /// `RSA_AES_KEY_WRAP_256` or `JWE`.
    wrapping: Option<String>,
}

/// Body of an unwrap.
#[derive(Serialize, ToSchema)]
pub(super) struct Unwrap {
    #[serde(flatten)]
    proof: Proof,
    wrapping: Option<String>,
    /// `A256GCM`, `A256KWP`, `RSA-OAEP-256`, …
    alg: String,
    /// base64url.
    ciphertext: String,
    /// base64url.
    aad: Option<String>,
}

/// Body of a generate.
#[derive(Serialize, ToSchema)]
pub(super) struct Generate {
    #[serde(flatten)]
    proof: Proof,
    wrapping: Option<String>,
    alg: String,
    /// 1 to 1024.
    bytes: u32,
    /// base64url.
    aad: Option<String>,
}

/// Body of a sign.
#[derive(Serialize, ToSchema)]
pub(super) struct Sign {
    #[serde(flatten)]
    proof: Proof,
    wrapping: Option<String>,
    /// `ES256`, `PS256`, …
    alg: String,
    /// base64url.
    digest: String,
}

/// Body of a wrap.
#[derive(Serialize, ToSchema)]
pub(super) struct Wrap {
    #[serde(flatten)]
    proof: Option<Proof>,
    alg: String,
    /// base64url.
    plaintext: String,
    /// base64url.
    aad: Option<String>,
}

/// What is for the recipient alone.
#[derive(Serialize, ToSchema)]
pub(super) struct Wrapped {
    /// `RSA_AES_KEY_WRAP_256` or `JWE`.
    wrapping: String,
    /// With `RSA_AES_KEY_WRAP_256`.
    ciphertext: Option<String>,
    /// With `JWE`: compact.
    jwe: Option<String>,
}

/// A released key.
#[derive(Serialize, ToSchema)]
pub(super) struct Released {
    /// `kid`, `kty` and the public members.
    #[schema(value_type = Object)]
    key: serde_json::Value,
    wrapped: Wrapped,
    /// Compact JWS; check it before you use what you unsealed.
    receipt: String,
}

/// A sealed outcome.
#[derive(Serialize, ToSchema)]
pub(super) struct Sealed {
    /// `name/versions/version`.
    kid: String,
    alg: Option<String>,
    ciphertext: Option<String>,
    wrapped: Wrapped,
    /// Compact JWS; check it before you use what you unsealed.
    receipt: String,
}

/// What was encrypted.
#[derive(Serialize, ToSchema)]
pub(super) struct Ciphertext {
    /// `name/versions/version`.
    kid: String,
    alg: String,
    /// base64url; names its key version inside.
    ciphertext: String,
}

/// The provider.
#[derive(Serialize, ToSchema)]
pub(super) struct WellKnown {
    issuer: String,
    hosts: Vec<String>,
    kinds: Vec<String>,
    wrappings: Vec<String>,
    #[schema(value_type = Object)]
    limits: serde_json::Value,
    jwks_uri: String,
}

/// RFC 9457.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    /// A URI that ends in the stable code.
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// Under which the audit has the rest.
    instance: Option<String>,
    /// What did not hold, for whoever may know.
    #[schema(value_type = Option<Vec<Object>>)]
    reasons: Option<Vec<serde_json::Value>>,
}
