//! The binding a workload puts into its evidence, computed from the contract alone.
//! Native API contract, section 4.

use crate::keys::{sha256, sha512};

/// Label under the hash.
pub const LABEL: &[u8] = b"keygate/v1/binding\0";
/// Label in front of a Nitro document's `user_data`.
pub const NITRO_LABEL: &[u8] = b"keygate/v1\0";

/// What is asked for; absent members are empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question<'a> {
    /// `release`, `unwrap`, `generate`, `sign`, `wrap` or `attest`.
    pub operation: &'a str,
    /// Name of the key.
    pub key: &'a str,
    /// Version of the key.
    pub version: &'a str,
    /// How the answer is sealed.
    pub wrapping: &'a str,
    /// Algorithm of the operation.
    pub alg: &'a str,
    /// Ciphertext, digest, number of bytes in decimal, or audience.
    pub input: &'a [u8],
    /// Additional authenticated data.
    pub aad: &'a [u8],
}

impl Question<'_> {
    /// Q: SHA-256 over the seven members, each behind its length in four bytes big-endian.
    pub fn digest(&self) -> [u8; 32] {
        let members = [
            self.operation.as_bytes(),
            self.key.as_bytes(),
            self.version.as_bytes(),
            self.wrapping.as_bytes(),
            self.alg.as_bytes(),
            self.input,
            self.aad,
        ];
        let mut message = Vec::new();
        for member in members {
            message.extend((member.len() as u32).to_be_bytes());
            message.extend_from_slice(member);
        }
        sha256(&message)
    }
}

/// `bind`: 64 bytes over challenge, host, question, recipient's thumbprint input and runtime data.
pub fn bind(
    challenge: &[u8; 32],
    host: &str,
    question: &Question<'_>,
    thumbprint_input: &str,
    runtime_data: &[u8],
) -> [u8; 64] {
    let mut message = LABEL.to_vec();
    message.extend(challenge);
    message.extend(sha256(host.as_bytes()));
    message.extend(question.digest());
    message.extend(sha256(thumbprint_input.as_bytes()));
    message.extend(sha256(runtime_data));
    sha512(&message)
}

/// `user_data` of a Nitro document that carries `bind`: 75 bytes.
pub fn nitro_user_data(bind: &[u8; 64]) -> Vec<u8> {
    [NITRO_LABEL, bind].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const J: &str = r#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

    fn challenge() -> [u8; 32] {
        std::array::from_fn(|i| i as u8)
    }

    #[test]
    fn release_vector_of_the_contract() {
        let question = Question { operation: "release", key: "db-key", ..Default::default() };
        assert_eq!(hex::encode(question.digest()), "017d7a6bc9baf94b7f345c3a37e27292f995377a3088e4fa83d03fb5d1c1fbf6");
        assert_eq!(
            hex::encode(bind(&challenge(), "kms.example", &question, J, b"")),
            "48221dd13fdd97f5e09299c5768d77da9c33c3867fb220ad3415e5bf26fc9e96\
             dbf6fec7efebf31b1fe79afa324c69cdce05be24f748d45e93044cedd59f4449"
        );
    }

    #[test]
    fn unwrap_vector_of_the_contract() {
        let ciphertext: Vec<u8> = (0..16).collect();
        let question = Question {
            operation: "unwrap",
            key: "db-key",
            wrapping: "JWE",
            alg: "A256GCM",
            input: &ciphertext,
            aad: b"ctx",
            ..Default::default()
        };
        assert_eq!(hex::encode(question.digest()), "2079b4613e2cd3c820036a915d1e9c86d389a6d1af4e23cfd9f9d75f024fef9d");
        assert_eq!(
            hex::encode(bind(&challenge(), "kms.example", &question, J, b"")),
            "4d513409b4b7d8ea310acc1ce49843db73a644931399e28da9547af0a127ce24\
             eff5707143276af54652cc9986fca355b258f46926da5387866237b3b084fe68"
        );
    }

    #[test]
    fn user_data_of_nitro_has_75_bytes() {
        assert_eq!(nitro_user_data(&[0; 64]).len(), 75);
    }
}
