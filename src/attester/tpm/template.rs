//! Public areas of the keys that are made: endorsement keys, attestation keys, recipients, and the parent of the last two.
//!
//! TCG *EK Credential Profile* 2.5, annex B (templates L-1, L-2, H-3); *TPM 2.0 Keys for Device Identity and Attestation*; TCG
//! *Trusted Platform Module Library*, part 2, section 12.2.4 (TPMT_PUBLIC) and 8.3 (TPMA_OBJECT).

use super::wire::Parameters;

const RSA: u16 = 0x0001;
const ECC: u16 = 0x0023;
const AES: u16 = 0x0006;
const CFB: u16 = 0x0043;
const NULL: u16 = 0x0010;
const SHA256: u16 = 0x000b;
const SHA384: u16 = 0x000c;
const RSASSA: u16 = 0x0014;
const OAEP: u16 = 0x0017;
const ECDSA: u16 = 0x0018;
const P256: u16 = 0x0003;
const P384: u16 = 0x0004;

// TPMA_OBJECT.
const FIXED_TPM: u32 = 1 << 1;
const FIXED_PARENT: u32 = 1 << 4;
const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
const USER_WITH_AUTH: u32 = 1 << 6;
const ADMIN_WITH_POLICY: u32 = 1 << 7;
const NO_DA: u32 = 1 << 10;
const RESTRICTED: u32 = 1 << 16;
const DECRYPT: u32 = 1 << 17;
const SIGN: u32 = 1 << 18;

const OWN: u32 = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN;

/// PolicyA with SHA-256: PolicySecret(TPM_RH_ENDORSEMENT). EK profile, section B.6.2.
const POLICY_A: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7,
    0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];
/// PolicyB with SHA-384. EK profile, section B.6.5.
const POLICY_B: [u8; 48] = [
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a, 0x07, 0x41, 0x48,
    0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47, 0xba, 0x09, 0x69, 0x96,
    0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
];

/// A kind of endorsement key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EkKind {
    /// RSA-2048 with SHA-256, template L-1.
    Rsa,
    /// P-256 with SHA-256, template L-2.
    P256,
    /// P-384 with SHA-384, template H-3.
    P384,
}

impl EkKind {
    /// Every kind, in the order in which they are looked for.
    pub const ALL: [Self; 3] = [Self::Rsa, Self::P256, Self::P384];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::P256 => "ecc",
            Self::P384 => "ecc-p384",
        }
    }

    /// NV index of its certificate. TCG *PC Client Platform TPM Profile*, section 4.5.
    pub fn certificate(self) -> u32 {
        match self {
            Self::Rsa => 0x01c0_0002,
            Self::P256 => 0x01c0_000a,
            Self::P384 => 0x01c0_0016,
        }
    }

    /// Handles under which makers and tools leave it. TCG *TPM v2.0 Provisioning Guidance*, table 2.
    pub fn persistent(self) -> &'static [u32] {
        match self {
            Self::Rsa => &[0x8101_0001],
            Self::P256 => &[0x8101_0002, 0x8101_000a],
            Self::P384 => &[0x8101_0016],
        }
    }

    /// Whether its use is authorized by a policy alone: those of the L templates are.
    pub fn by_policy(self) -> bool {
        !matches!(self, Self::P384)
    }

    /// TPMT_PUBLIC of its template.
    pub fn template(self) -> Vec<u8> {
        let attributes = OWN | ADMIN_WITH_POLICY | RESTRICTED | DECRYPT;
        match self {
            Self::Rsa => {
                area(RSA, SHA256, attributes, &POLICY_A).raw(&aes(128)).u16(NULL).u16(2_048).u32(0).sized(&[0; 256])
            }
            Self::P256 => area(ECC, SHA256, attributes, &POLICY_A)
                .raw(&aes(128))
                .u16(NULL)
                .u16(P256)
                .u16(NULL)
                .sized(&[0; 32])
                .sized(&[0; 32]),
            Self::P384 => area(ECC, SHA384, attributes | USER_WITH_AUTH, &POLICY_B)
                .raw(&aes(256))
                .u16(NULL)
                .u16(P384)
                .u16(NULL)
                .sized(&[])
                .sized(&[]),
        }
        .into_bytes()
    }
}

/// A kind of attestation key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AkKind {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    Ecc,
    /// RSA-2048, PKCS#1 v1.5 with SHA-256.
    Rsa,
}

impl AkKind {
    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ecc => "ecc",
            Self::Rsa => "rsa",
        }
    }

    /// TPMT_PUBLIC of a restricted signing key: it signs nothing that begins with TPM_GENERATED_VALUE but what the TPM made.
    pub fn template(self) -> Vec<u8> {
        let attributes = OWN | USER_WITH_AUTH | NO_DA | RESTRICTED | SIGN;
        match self {
            Self::Ecc => area(ECC, SHA256, attributes, &[])
                .u16(NULL)
                .u16(ECDSA)
                .u16(SHA256)
                .u16(P256)
                .u16(NULL)
                .sized(&[])
                .sized(&[]),
            Self::Rsa => {
                area(RSA, SHA256, attributes, &[]).u16(NULL).u16(RSASSA).u16(SHA256).u16(2_048).u32(0).sized(&[])
            }
        }
        .into_bytes()
    }
}

/// The parent of attestation keys and recipients: a storage key on P-256 as the owner's usual one, but in the endorsement hierarchy,
/// so that clearing the owner's leaves it and counters in quotes are told as they are. It is the same at every making.
pub fn parent() -> Vec<u8> {
    let attributes = OWN | USER_WITH_AUTH | NO_DA | RESTRICTED | DECRYPT;
    area(ECC, SHA256, attributes, &[]).raw(&aes(128)).u16(NULL).u16(P256).u16(NULL).sized(&[]).sized(&[]).into_bytes()
}

/// A recipient: RSA-2048, decryption alone, OAEP with SHA-256.
pub fn recipient() -> Vec<u8> {
    let attributes = OWN | USER_WITH_AUTH | NO_DA | DECRYPT;
    area(RSA, SHA256, attributes, &[]).u16(NULL).u16(OAEP).u16(SHA256).u16(2_048).u32(0).sized(&[]).into_bytes()
}

fn area(kind: u16, name_hash: u16, attributes: u32, policy: &[u8]) -> Parameters {
    Parameters::new().u16(kind).u16(name_hash).u32(attributes).sized(policy)
}

fn aes(bits: u16) -> Vec<u8> {
    Parameters::new().u16(AES).u16(bits).u16(CFB).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::answers::{Key, Public};
    use super::*;

    #[test]
    fn templates_are_public_areas_and_rights_are_as_narrow_as_they_are_meant() {
        for kind in EkKind::ALL {
            let public = Public::read(&kind.template()).unwrap();
            assert_eq!(public.attributes & (SIGN | RESTRICTED | DECRYPT), RESTRICTED | DECRYPT, "{kind:?}");
        }
        for kind in [AkKind::Ecc, AkKind::Rsa] {
            let public = Public::read(&kind.template()).unwrap();
            assert_eq!(public.attributes, 0x0005_0472, "{kind:?}");
        }
        assert_eq!(Public::read(&recipient()).unwrap().attributes, 0x0002_0472);
        assert!(matches!(Public::read(&parent()).unwrap().key, Key::Ecc { curve: P256, .. }));
    }
}
