//! What the evidence must carry, so that it counts for one request, one host and one recipient and for nothing else.
//!
//! Keygate's contract, section 4 *Binding*; Microsoft Azure Attestation, *Attest* (run-time data that an enclave holds).

use openssl::sha::{Sha256, Sha512, sha256};

use crate::error::VerifyError;
use crate::recipient::RecipientKey;
use crate::verified::BoundKey;

/// The label of domain separation; SHA-512 input and the head of a Nitro document's user data begin with it.
const LABEL: &[u8] = b"keygate/v1/binding\0";
/// The first eleven bytes of `user_data` in a Nitro document of the native door.
const NITRO_LABEL: &[u8] = b"keygate/v1\0";

/// How freshness and recipient are tied into the evidence.
#[derive(Debug, Clone)]
pub enum Binding {
    /// Nothing is asked: offline verification. What is verified so has no bound key and opens nothing.
    Unbound,
    /// The native door's binding.
    Native(Box<NativeBinding>),
    /// Azure Attestation's: data that the workload holds, named by their digest in the report data of `sgx`, `tdx` and `snp`.
    /// No challenge and no recipient is in it, so what is verified so has no bound key and opens nothing.
    HeldData {
        /// SHA-256 of the run-time data: the first half of the report data, the other half being zero. `None`: there are no
        /// run-time data, nothing is asked.
        runtime_sha256: Option<[u8; 32]>,
    },
}

impl Binding {
    /// The recipient that 64 bytes of report data stand for, as SGX, TDX and SEV-SNP carry them.
    ///
    /// # Errors
    /// `binding-mismatch`.
    pub(crate) fn in_report_data(&self, report_data: &[u8; 64]) -> Result<BoundKey, VerifyError> {
        match self {
            Self::Unbound | Self::HeldData { runtime_sha256: None } => Ok(BoundKey::Absent),
            Self::Native(native) if native.report_data() == report_data => {
                Ok(BoundKey::Present(native.recipient().clone()))
            }
            Self::Native(_) => {
                Err(VerifyError::binding("report-data", "the report data are not those of this challenge and request"))
            }
            Self::HeldData { runtime_sha256: Some(digest) } if is_held(report_data, digest) => Ok(BoundKey::Absent),
            Self::HeldData { .. } => Err(VerifyError::binding(
                "report-data",
                "the report data are not the digest of the run-time data followed by zeros",
            )),
        }
    }
}

/// The refusal by kinds whose evidence has no report data in Azure's sense.
pub(crate) fn no_held_data() -> VerifyError {
    VerifyError::unsupported("binding", "run-time data are bound by report data, which this kind of evidence has not")
}

fn is_held(report_data: &[u8; 64], digest: &[u8; 32]) -> bool {
    report_data.split_first_chunk::<32>().is_some_and(|(head, rest)| head == digest && rest.iter().all(|b| *b == 0))
}

/// The members of a native request that the evidence binds. `lp` of an absent member is `lp` of nothing.
#[derive(Debug, Clone, Copy)]
pub struct NativeRequest<'a> {
    /// `release`, `unwrap`, `generate`, `sign`, `wrap` or `attest`.
    pub operation: &'a str,
    /// Key name as sent; empty for `attest`.
    pub key: &'a str,
    /// Key version as sent; empty when none was named.
    pub version: &'a str,
    /// Wrapping as sent; empty when none was named.
    pub wrapping: &'a str,
    /// Algorithm as sent.
    pub alg: &'a str,
    /// Ciphertext, digest or plaintext decoded; the number of bytes in decimal; for `attest` its audience.
    pub input: &'a [u8],
    /// Additional authenticated data, decoded.
    pub aad: &'a [u8],
}

/// Q: SHA-256 over the length-prefixed members of a request, 32 bytes.
pub fn request_digest(request: &NativeRequest<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    let members: [&[u8]; 7] = [
        request.operation.as_bytes(),
        request.key.as_bytes(),
        request.version.as_bytes(),
        request.wrapping.as_bytes(),
        request.alg.as_bytes(),
        request.input,
        request.aad,
    ];
    for member in members {
        // Every member is bounded by the body limit, far below 2^32.
        let length = u32::try_from(member.len()).unwrap_or(u32::MAX);
        hash.update(&length.to_be_bytes());
        hash.update(member);
    }
    hash.finish()
}

/// `bind`: the 64 bytes that tie challenge, host, request, recipient and run-time data together.
pub fn native_bind(
    challenge: &[u8; 32],
    host: &str,
    request: &[u8; 32],
    recipient: &RecipientKey,
    runtime_data: &[u8],
) -> [u8; 64] {
    let mut hash = Sha512::new();
    hash.update(LABEL);
    hash.update(challenge);
    hash.update(&sha256(host.as_bytes()));
    hash.update(request);
    hash.update(&recipient.thumbprint());
    hash.update(&sha256(runtime_data));
    hash.finish()
}

/// What evidence of each kind must carry for one native request.
#[derive(Debug, Clone)]
pub struct NativeBinding {
    bind: [u8; 64],
    challenge: [u8; 32],
    recipient: RecipientKey,
}

impl NativeBinding {
    /// From the challenge, the host dialled, Q, the recipient and the run-time data.
    pub fn new(
        challenge: [u8; 32],
        host: &str,
        request: &[u8; 32],
        recipient: RecipientKey,
        runtime_data: &[u8],
    ) -> Self {
        let bind = native_bind(&challenge, host, request, &recipient, runtime_data);
        Self { bind, challenge, recipient }
    }
    /// The 64 bytes for a report-data field, compared whole.
    pub fn report_data(&self) -> &[u8; 64] {
        &self.bind
    }
    /// The nonce of a Nitro document: the challenge.
    pub fn nonce(&self) -> &[u8; 32] {
        &self.challenge
    }
    /// The user data of a Nitro document: label ‖ bind, 75 bytes.
    pub fn user_data(&self) -> Vec<u8> {
        [NITRO_LABEL, &self.bind].concat()
    }
    /// The recipient.
    pub fn recipient(&self) -> &RecipientKey {
        &self.recipient
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    fn recipient() -> RecipientKey {
        let Value::Object(jwk) = json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
        else {
            unreachable!()
        };
        RecipientKey::from_jwk(&jwk).unwrap()
    }

    fn challenge() -> [u8; 32] {
        std::array::from_fn(|i| u8::try_from(i).unwrap())
    }

    #[test]
    fn release_vector_of_the_contract() {
        let request = NativeRequest {
            operation: "release",
            key: "db-key",
            version: "",
            wrapping: "",
            alg: "",
            input: b"",
            aad: b"",
        };
        let q = request_digest(&request);
        assert_eq!(hex::encode(q), "017d7a6bc9baf94b7f345c3a37e27292f995377a3088e4fa83d03fb5d1c1fbf6");
        let bind = native_bind(&challenge(), "kms.example", &q, &recipient(), b"");
        assert_eq!(
            hex::encode(bind),
            "48221dd13fdd97f5e09299c5768d77da9c33c3867fb220ad3415e5bf26fc9e96dbf6fec7efebf31b1fe79afa324c69cdce05be24f748d45e93044cedd59f4449"
        );
    }

    #[test]
    fn unwrap_vector_of_the_contract() {
        let ciphertext: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let request = NativeRequest {
            operation: "unwrap",
            key: "db-key",
            version: "",
            wrapping: "JWE",
            alg: "A256GCM",
            input: &ciphertext,
            aad: b"ctx",
        };
        let q = request_digest(&request);
        assert_eq!(hex::encode(q), "2079b4613e2cd3c820036a915d1e9c86d389a6d1af4e23cfd9f9d75f024fef9d");
        let bind = native_bind(&challenge(), "kms.example", &q, &recipient(), b"");
        assert_eq!(
            hex::encode(bind),
            "4d513409b4b7d8ea310acc1ce49843db73a644931399e28da9547af0a127ce24eff5707143276af54652cc9986fca355b258f46926da5387866237b3b084fe68"
        );
    }

    #[test]
    fn every_member_of_a_request_changes_its_digest() {
        let base =
            NativeRequest { operation: "unwrap", key: "k", version: "", wrapping: "", alg: "", input: b"", aad: b"" };
        let changed = [
            NativeRequest { operation: "release", ..base },
            NativeRequest { key: "l", ..base },
            NativeRequest { version: "0", ..base },
            NativeRequest { wrapping: "JWE", ..base },
            NativeRequest { alg: "A256GCM", ..base },
            NativeRequest { input: b"0", ..base },
            NativeRequest { aad: b"0", ..base },
        ];
        for request in changed {
            assert_ne!(request_digest(&request), request_digest(&base), "{request:?}");
        }
    }

    #[test]
    fn sgx_31_a_jwk_with_members_that_are_not_its_numbers_is_refused() {
        let parse = |v: Value| match v {
            Value::Object(m) => RecipientKey::from_jwk(&m),
            _ => RecipientKey::from_jwk(&Map::new()),
        };
        let good = json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        assert!(parse(good.clone()).is_ok());
        for (name, value, code) in [
            ("d", json!("AAAA"), "malformed"),
            ("x5c", json!([]), "malformed"),
            ("n", json!("AAAA"), "malformed"),
            ("use", json!("sig"), "unsupported"),
            ("key_ops", json!(["sign"]), "unsupported"),
            ("alg", json!("ES256"), "unsupported"),
            ("crv", json!("P-521"), "unsupported"),
            ("y", json!("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1"), "malformed"),
            ("x", json!("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU="), "malformed"),
        ] {
            let mut jwk = good.clone();
            jwk[name] = value;
            assert_eq!(parse(jwk).unwrap_err().code(), code, "{name}");
        }
    }
}
